"""The worker over HTTP: `taskspool work --url`, under the option names its users know.

`--interval` is how long one question may wait for a task at the bridge (it answers at once when there is one).
"""

from __future__ import annotations

import argparse

from _find_package import prepare
from bridge_url import bridge_url


def parse() -> argparse.Namespace:
    """The arguments, under the names their users know."""
    parser = argparse.ArgumentParser(description="Ask the bridge for tasks and do them.")
    parser.add_argument("--api-url", default="http://127.0.0.1:8091", help="the bridge, with or without /api")
    parser.add_argument("--worker-id", help="name of this worker (host and process id)")
    parser.add_argument("--interval", type=float, default=25.0, metavar="S", help="seconds one question may wait (25)")
    parser.add_argument("--once", action="store_true", help="ask once, do what came, stop")
    return parser.parse_args()


if __name__ == "__main__":
    prepare()
    asked = parse()
    from taskspool.cli.main import main

    main(["work", "--url", bridge_url(asked.api_url), "--wait", str(asked.interval),
          *(["--name", asked.worker_id] if asked.worker_id else []), *(["--once"] if asked.once else [])])
