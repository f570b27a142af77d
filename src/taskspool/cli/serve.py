"""``taskspool serve``: the doors, each on its port, over one queue."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.logs import log_to_stderr
from taskspool.cli.options import folder_options
from taskspool.settings import Settings, from_environment

log = logging.getLogger("taskspool.serve")


@click.command()
@click.argument("door", type=click.Choice(["bridge"]), default="bridge", expose_value=False)
@click.option("--host", metavar="H", help="Address to listen on (TASKSPOOL_HOST; 127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65_535), metavar="P", help="Port (TASKSPOOL_PORT; 8091); 0: a free one.")
@click.option("--durability", type=click.Choice(["strict", "fast"]),
              help="strict: what was accepted survives a power cut; fast: it survives a crash only.")
@click.option("--lease-seconds", type=click.IntRange(1, 86_400), metavar="S",
              help="How long a worker may be silent before its task goes to another (60).")
@click.option("--cors-origin", "cors_origins", multiple=True, metavar="ORIGIN",
              help="Origin of a page or extension that may call; may be repeated.")
@click.option("--allowed-host", "allowed_hosts", multiple=True, metavar="NAME",
              help="Host name to answer to beside localhost; may be repeated.")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@folder_options
def serve(host: str | None, port: int | None, durability: str | None, lease_seconds: int | None,
          cors_origins: tuple[str, ...], allowed_hosts: tuple[str, ...], log_format: str | None, root: Path | None,
          queue: str | None) -> int:
    """Serve a door until Ctrl-C.

    Without DOOR: all of them; today the bridge is the only one.
    """
    settings = from_environment(
        root=root, queue=queue, host=host, port=port, durability=durability, lease_seconds=lease_seconds,
        cors_origins=cors_origins or None, allowed_hosts=allowed_hosts or None, log_format=log_format)
    log_to_stderr(settings.log_format)
    serve_bridge(settings)
    return ExitCode.OK


def serve_bridge(settings: Settings) -> None:
    """The bridge until a signal comes. Raises RefusedToStart."""
    from taskspool.cli.event_log import EventLog
    from taskspool.doors.bridge.named_queues import NamedQueues
    from taskspool.engine.lifecycle import Queue, open_queue
    from taskspool.engine.sweep import Lookout, Sweeper, Ticker
    from taskspool.web.port import require_loopback
    from taskspool.web.server import serve as serve_app

    def tickers_of(queue: Queue) -> list[Ticker]:
        """What goes on in a queue without a caller."""
        return [Sweeper(queue), Lookout(queue), *([EventLog(queue)] if settings.log_format == "json" else [])]

    require_loopback(settings.host)
    queue = open_queue(settings)
    queues = NamedQueues(queue, settings, tickers_of)
    tickers = tickers_of(queue)
    try:
        for ticker in tickers:
            ticker.start()
        serve_app(queues, settings, is_quick=queues.is_quick, on_ready=announce(settings))
    finally:
        queues.close()
        for ticker in reversed(tickers):
            ticker.stop()
        queue.close()
    log.info("stopped")


def announce(settings: Settings) -> Callable[[str, int], None]:
    def on_ready(host: str, port: int) -> None:
        log.info("the bridge listens on http://%s:%d, the queue is %s", host, port, settings.folder.absolute())
    return on_ready
