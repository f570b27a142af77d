"""``taskspool work``: a worker, on the folder or over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from taskspool.cli.logs import log_to_stderr
from taskspool.cli.options import folder_options
from taskspool.cli.work_exec import Exec, exec_options, handlers_of
from taskspool.cli.work_options import worker_options
from taskspool.errors import InvalidRequest
from taskspool.settings import as_environment, from_environment

if TYPE_CHECKING:
    from taskspool.worker.loop import WorkerOptions


@click.command()
@click.option("--url", metavar="URL", help="Work for the bridge at URL instead of on the folder.")
@click.option("--handlers", "modules", multiple=True, metavar="MODULE",
              help="Module (my.jobs) or file (jobs.py) with @handler functions; may be repeated.")
@click.option("--no-builtin", is_flag=True, help="Leave the built-in handlers (ping, calculation, ...) out.")
@click.option("--name", metavar="NAME", help="Name of this worker (host and process id).")
@click.option("--wait", "wait_seconds", type=click.FloatRange(0, 25, clamp=True), default=25.0, metavar="S",
              help="With --url: how long one question may wait for a task (25).")
@click.option("--once", is_flag=True, help="Ask once, do what came, stop.")
@click.option("--log-format", type=click.Choice(["text", "json"]))
@folder_options
@worker_options
@exec_options
def work(url: str | None, modules: tuple[str, ...], no_builtin: bool, name: str | None, wait_seconds: float,
         once: bool, log_format: str | None, root: Path | None, queue: str | None, program: Exec,
         options: WorkerOptions) -> int:
    """Claim tasks and do them until Ctrl-C.

    A type without a handler is never claimed. On the queues managed and tagged, the work of those doors is done too.
    With --exec a program is the handler:

    \b
    taskspool work --exec --type resize -- python resize.py
    """
    from taskspool.worker.loop import run_folder_worker, run_http_worker

    settings = from_environment(root=root, queue=queue, log_format=log_format)
    log_to_stderr(settings.log_format)
    if url is not None and (root is not None or queue is not None):
        raise InvalidRequest("--url and --root or --queue exclude each other: a worker takes from one place",
                             field="url", rule="one of --url and --root")
    if url is None:
        os.environ.update(as_environment(settings))  # handlers, also those in child processes, learn where they work
    modules = (*own_handlers(settings.queue, program, url, builtin=not no_builtin), *modules)
    with handlers_of(program, modules, builtin=not no_builtin, grace_seconds=options["grace_seconds"],
                     max_result_bytes=settings.max_task_bytes) as handlers:
        if url is None:
            return run_folder_worker(settings, handlers=handlers, name=name, once=once, **options)
        address = url.rstrip("/").removesuffix("/api")
        return run_http_worker(address if "://" in address else f"http://{address}", handlers=handlers, name=name,
                               wait_seconds=wait_seconds, once=once, **options)


OWN_HANDLERS = {"managed": "taskspool.jobs.managed", "tagged": "taskspool.jobs.tagged"}
"""What workers on the queue of a door do beside the built-in types."""


def own_handlers(queue: str, program: Exec, url: str | None, *, builtin: bool) -> tuple[str, ...]:
    """The handlers that belong to ``queue``; none for a program, nor where the queue is behind a URL."""
    module = OWN_HANDLERS.get(queue)
    return (module,) if module is not None and url is None and builtin and not program.is_asked else ()
