"""The doors: what each is called, where it listens, on which queue it works, and how it is opened and closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from taskspool.settings import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from taskspool.engine.lifecycle import Queue
    from taskspool.engine.sweep import Ticker

PROTOCOL_PATHS = ("/api/tasks", "/api/workers")
"""Where workers of any kind fetch tasks, at the bridge and at the managed door (docs/protocol.md)."""


@dataclass(frozen=True, slots=True)
class Served:
    """A door that is open. ``is_quick``: see ``web.bridge``; None: as the app's routes say."""

    app: WSGIApplication
    is_quick: Callable[[str, str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Door:
    """``title`` is how people call it; ``queue`` what it works on: None has none, empty takes the one asked for."""

    title: str
    port: Callable[[Settings], int]
    queue: str | None
    open: Callable[[Settings, ExitStack], Served]

    def settings(self, settings: Settings, port: int | None = None) -> Settings:
        """``settings`` with this door's port, or ``port``, and its queue."""
        chosen = replace(settings, port=self.port(settings) if port is None else port)
        return replace(chosen, queue=self.queue) if self.queue else chosen

    @contextmanager
    def opened(self, settings: Settings) -> Iterator[Served]:
        """The door over ``settings`` of its own; closed at the end. Raises RefusedToStart."""
        with ExitStack() as closing:
            yield self.open(settings, closing)


def _bridge(settings: Settings, closing: ExitStack) -> Served:
    from taskspool.doors.bridge.named_queues import NamedQueues

    queue = _queue(settings, closing)
    queues = NamedQueues(queue, settings, lambda other: _tickers(other, settings))
    closing.callback(queues.close)
    return Served(queues, queues.is_quick)


def _managed(settings: Settings, closing: ExitStack) -> Served:
    """With the worker protocol beside it: the bridge's own addresses, over the same queue."""
    from taskspool.doors import bridge, managed
    from taskspool.web.mount import Mount

    queue = _queue(settings, closing)
    protocol = bridge.create_app(queue, settings)
    return Served(Mount(managed.create_app(queue, settings), dict.fromkeys(PROTOCOL_PATHS, protocol)))


def _todos(settings: Settings, closing: ExitStack) -> Served:
    from taskspool.doors import todos
    from taskspool.records.database import open_database

    database = open_database(settings)
    closing.callback(database.close)
    return Served(todos.create_app(database, settings))


def _tagged(settings: Settings, closing: ExitStack) -> Served:
    from taskspool.doors import tagged
    from taskspool.doors.tagged.projection import Projection
    from taskspool.records.database import open_database
    from taskspool.records.tagged_home import refuse_foreign_rows

    database = open_database(settings)
    closing.callback(database.close)
    queue = _queue(settings, closing)
    refuse_foreign_rows(database, settings)
    projection = Projection(queue, database)
    projection.start()
    closing.callback(projection.stop)
    return Served(tagged.create_app(queue, database, settings))


DOORS: Mapping[str, Door] = {
    "bridge": Door("the bridge", lambda settings: settings.port, "", _bridge),
    "managed": Door("the door of managed tasks", lambda settings: settings.managed_port, "managed", _managed),
    "todos": Door("the door of to-dos", lambda settings: settings.todos_port, None, _todos),
    "tagged": Door("the door of tagged tasks", lambda settings: settings.tagged_port, "tagged", _tagged),
}


def _queue(settings: Settings, closing: ExitStack) -> Queue:
    """The queue of ``settings``, with what goes on in it without a caller."""
    from taskspool.engine.lifecycle import open_queue

    queue = open_queue(settings)
    closing.callback(queue.close)
    for ticker in _tickers(queue, settings):
        ticker.start()
        closing.callback(ticker.stop)
    return queue


def _tickers(queue: Queue, settings: Settings) -> list[Ticker]:
    from taskspool.cli.event_log import EventLog
    from taskspool.engine.sweep import Lookout, Sweeper

    tickers: list[Any] = [Sweeper(queue), Lookout(queue)]
    return cast("list[Ticker]", [*tickers, *([EventLog(queue)] if settings.log_format == "json" else [])])
