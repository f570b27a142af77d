"""``taskspool work``: a worker, on the folder or over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from taskspool.cli.logs import log_to_stderr
from taskspool.cli.options import folder_options
from taskspool.errors import InvalidRequest
from taskspool.settings import from_environment


@click.command()
@click.option("--url", metavar="URL", help="Work for the bridge at URL instead of on the folder.")
@click.option("--handlers", "modules", multiple=True, metavar="MODULE",
              help="Module (my.jobs) or file (jobs.py) with @handler functions; may be repeated.")
@click.option("--no-builtin", is_flag=True, help="Leave the built-in handlers (ping, calculation, ...) out.")
@click.option("--concurrency", type=click.IntRange(1, 1000), default=1, show_default=True, metavar="N",
              help="Tasks run at the same time.")
@click.option("--name", metavar="NAME", help="Name of this worker (host and process id).")
@click.option("--wait", "wait_seconds", type=click.FloatRange(0, 25, clamp=True), default=25.0, metavar="S",
              help="With --url: how long one question may wait for a task (25).")
@click.option("--once", is_flag=True, help="Ask once, do what came, stop.")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@folder_options
def work(url: str | None, modules: tuple[str, ...], no_builtin: bool, concurrency: int, name: str | None,
         wait_seconds: float, once: bool, log_format: str | None, root: Path | None, queue: str | None) -> int:
    """Claim tasks and do them until Ctrl-C.

    A type without a handler is never claimed.
    """
    from taskspool.worker.handlers import load_handlers
    from taskspool.worker.loop import run_folder_worker, run_http_worker

    settings = from_environment(root=root, queue=queue, log_format=log_format)
    log_to_stderr(settings.log_format)
    handlers = load_handlers(modules, builtin=not no_builtin)
    if url is None:
        return run_folder_worker(settings, handlers=handlers, name=name, concurrency=concurrency, once=once)
    if root is not None or queue is not None:
        raise InvalidRequest("--url and --root or --queue exclude each other: a worker takes from one place",
                             field="url", rule="one of --url and --root")
    address = url.rstrip("/").removesuffix("/api")
    return run_http_worker(address if "://" in address else f"http://{address}", handlers=handlers, name=name,
                           concurrency=concurrency, wait_seconds=wait_seconds, once=once)
