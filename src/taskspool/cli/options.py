"""Options that several commands share, and what they lead to: settings, an open queue, a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from taskspool.errors import NotFound
from taskspool.settings import Settings, from_environment

if TYPE_CHECKING:
    from taskspool.client import Client
    from taskspool.engine.lifecycle import Queue

Command = TypeVar("Command", bound=Callable[..., Any])


def root_option(command: Command) -> Command:
    """``--root``: which folder of queues."""
    return click.option("--root", type=click.Path(path_type=Path), metavar="DIR",
                        help="Folder that holds the queues (TASKSPOOL_ROOT; outputs).")(command)


def folder_options(command: Command) -> Command:
    """``--root`` and ``--queue``: which folder."""
    queue = click.option("--queue", metavar="NAME", help="Queue: a folder in it (TASKSPOOL_QUEUE; task_queue).")
    return root_option(queue(command))


def url_option(command: Command) -> Command:
    return click.option("--url", metavar="URL", help="Ask the bridge at URL instead of the folder.")(command)


def json_option(command: Command) -> Command:
    return click.option("--json", "as_json", is_flag=True, help="JSON for programs.")(command)


@contextmanager
def opened(root: Path | None, queue: str | None, *, must_exist: bool = True) -> Iterator[Queue]:
    """The queue of the folder, closed at the end. Raises NotFound when it must be there and is not."""
    from taskspool.engine.lifecycle import open_queue

    settings = existing(root, queue) if must_exist else from_environment(root=root, queue=queue)
    found = open_queue(settings)
    try:
        yield found
    finally:
        found.close()


def existing(root: Path | None, queue: str | None) -> Settings:
    """The settings of a folder that is there: looking must not make an empty queue in the wrong place."""
    settings = from_environment(root=root, queue=queue)
    if not settings.folder.is_dir():
        raise NotFound(f"there is no queue in {settings.folder.absolute()}",
                       hint="say where it is: --root DIR, or TASKSPOOL_ROOT")
    return settings


@contextmanager
def connected(url: str) -> Iterator[Client]:
    """A client of the bridge at ``url`` that gives up soon: a person is waiting."""
    from taskspool.client import Client

    address = url.rstrip("/").removesuffix("/api")
    with Client(address if "://" in address else f"http://{address}", retries=1) as client:
        yield client
