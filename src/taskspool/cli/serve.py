"""``taskspool serve``: a door on its port, or all of them, a process each."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.doors import DOORS, Door
from taskspool.cli.logs import log_to_stderr
from taskspool.cli.options import folder_options
from taskspool.errors import InvalidRequest
from taskspool.settings import Settings, from_environment

log = logging.getLogger("taskspool.serve")


@click.command()
@click.argument("door", type=click.Choice(list(DOORS)), required=False)
@click.option("--host", metavar="H", help="Address to listen on (TASKSPOOL_HOST; 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="P",
              help="Port of that door (bridge 8091, managed 8084, todos 8001, tagged 8002); 0: a free one.")
@click.option("--durability", type=click.Choice(["strict", "fast"]),
              help="strict: what was accepted survives a power cut; fast: it survives a crash only.")
@click.option("--lease-seconds", type=click.IntRange(1, 86_400), metavar="S",
              help="How long a worker may be silent before its task goes to another (60).")
@click.option("--cors-origin", "cors_origins", multiple=True, metavar="ORIGIN",
              help="Origin of a page or extension that may call; may be repeated.")
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME",
              help="Host name to answer to beside localhost; may be repeated.")
@click.option("--database-url", metavar="URL",
              help="Where to-dos and tagged tasks lie (TASKSPOOL_DATABASE_URL; a SQLite file below the root).")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@click.option("--until-stdin-ends", is_flag=True, hidden=True, help="Stop when whoever started this is gone.")
@folder_options
def serve(door: str | None, host: str | None, port: int | None, durability: str | None, lease_seconds: int | None,
          cors_origins: tuple[str, ...], allowed_hosts: tuple[str, ...], database_url: str | None,
          log_format: str | None, until_stdin_ends: bool, root: Path | None, queue: str | None) -> int:
    """Serve a door until Ctrl-C: bridge, managed, todos or tagged.

    Without DOOR: all of them, each in a process of its own; with a --port: the bridge, as ever.
    """
    settings = from_environment(
        root=root, queue=queue, host=host, durability=durability, lease_seconds=lease_seconds,
        cors_origins=cors_origins or None, allowed_hosts=allowed_hosts or None, database_url=database_url,
        log_format=log_format)
    log_to_stderr(settings.log_format)
    if door is None and port is None:
        from taskspool.cli.serve_all import serve_all

        return serve_all(settings)
    door = door or "bridge"
    if DOORS[door].queue != "" and queue is not None:
        raise InvalidRequest(f"--queue is for the bridge: {DOORS[door].title} has its own", field="queue",
                             rule="with the bridge")
    if until_stdin_ends:
        threading.Thread(target=_stop_with_stdin, daemon=True).start()
    serve_door(DOORS[door], DOORS[door].settings(settings, port))
    return ExitCode.OK


def serve_door(door: Door, settings: Settings) -> None:
    """``door`` until a signal comes. Raises RefusedToStart."""
    from taskspool.web.port import require_loopback
    from taskspool.web.server import serve as serve_app

    require_loopback(settings.host)
    with door.opened(settings) as served:
        serve_app(served.app, settings, is_quick=served.is_quick, on_ready=announce(door, settings))
    log.info("stopped")


def announce(door: Door, settings: Settings) -> Callable[[str, int], None]:
    def on_ready(host: str, port: int) -> None:
        if door.queue is None:
            log.info("%s listens on http://%s:%d", door.title, host, port)
        else:
            log.info("%s listens on http://%s:%d, the queue is %s", door.title, host, port,
                     settings.folder.absolute())
    return on_ready


def _stop_with_stdin() -> None:
    """Whoever started this holds the other end of our stdin: when that ends, so do we."""
    sys.stdin.buffer.read()
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGINT)
    else:
        os.kill(os.getpid(), signal.SIGTERM)
