"""One Flask app, to be served by each of the servers compared: an empty route, and a route that waits.

    python -m benchmarks.server_apps inline|pooled --port P      on our own front (uvicorn + httptools)
    granian --interface wsgi benchmarks.server_apps:app ...      as WSGI: a waiting request holds a thread
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, jsonify, request
from werkzeug.wrappers import Response as AnyResponse

from taskspool.settings import Settings
from taskspool.web import waiting
from taskspool.web.server import serve

SECONDS = "benchmark.seconds"


def nothing() -> Response:
    return jsonify({})


def health() -> Response:
    return jsonify({"status": "ok"})


def wait() -> AnyResponse:
    """Waits as long as the body's ``wait`` says for something that never comes."""
    environ = request.environ
    if SECONDS not in environ:  # asked again, the body is read already
        environ[SECONDS] = float(request.get_json()["wait"])
    if waiting.may_wait(environ):
        return waiting.park(environ, waiting.Parked(environ[SECONDS], _join))
    return jsonify({"task": None})


def _join(wake: Callable[[], None]) -> Callable[[bool], None]:
    return _leave


def _leave(is_rung: bool) -> None:
    pass


def create_app() -> Flask:
    made = Flask("compared")
    made.add_url_rule("/empty", "empty", nothing, methods=["POST"])
    made.add_url_rule("/health", "health", health)
    made.add_url_rule("/api/tasks/next", "wait", wait, methods=["POST"])
    made.wsgi_app = waiting.in_thread(made.wsgi_app)  # type: ignore[method-assign]  # Flask's place for middleware
    return made


def __getattr__(name: str) -> Any:
    """``app``, made when a server asks for it: importing does nothing."""
    if name == "app":
        return create_app()
    raise AttributeError(name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["inline", "pooled"])
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    settings = Settings(port=given.port)
    serve(create_app(), settings, is_quick=lambda method, path: given.kind == "inline")


if __name__ == "__main__":
    main()
