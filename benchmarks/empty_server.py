"""An empty Flask route on our own server: what a request costs before it does anything.

    python -m benchmarks.empty_server onion|bare|pooled --port P

``onion``: behind everything a bridge request passes (Host and Origin gates, headers, access log); ``bare``: a plain
Flask app; ``pooled``: the onion, called in a thread instead of on the event loop. All on the server in ``web/``.
"""

from __future__ import annotations

import argparse

from flask import Flask, Response, jsonify

from taskspool.cli.logs import log_to_stderr
from taskspool.settings import Settings
from taskspool.web.app import build_app
from taskspool.web.route import Route
from taskspool.web.server import serve


def nothing() -> Response:
    return jsonify({})


def health() -> Response:
    return jsonify({"status": "ok"})


def create_app(kind: str, settings: Settings) -> Flask:
    if kind == "bare":
        app = Flask("empty")
        app.add_url_rule("/empty", "empty", nothing, methods=["POST"])
        app.add_url_rule("/health", "health", health)
        return app
    return build_app("empty", settings, [Route("POST", "/empty", nothing, "Nothing."),
                                         Route("GET", "/health", health, "Alive.")])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["onion", "bare", "pooled"])
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    settings = Settings(port=given.port)
    log_to_stderr(settings.log_format)
    serve(create_app(given.kind, settings), settings, is_quick=lambda method, path: given.kind != "pooled")


if __name__ == "__main__":
    main()
