"""Where handlers run: in the runner's own thread, or in a process of their own. Each runner has an executor of its own.

    executor   a handler that does not stop            a handler that kills its process
    thread     goes on; its task is taken from it      ends the worker
    process    is ended with all it has started        fails its attempt; a new process takes its place
"""

from __future__ import annotations

from typing import Protocol

from taskspool.errors import RefusedToStart
from taskspool.worker.calling import Outcome, call_handler
from taskspool.worker.context import TaskContext
from taskspool.worker.handlers import Handlers
from taskspool.worker.process_executor import ProcessExecutor
from taskspool.worker.recycling import Recycling

EXECUTORS = ("thread", "process")


class Executor(Protocol):
    """Runs one handler at a time. All of it is called by one runner, but ``close`` by any thread."""

    def prepare(self) -> bool:
        """Be ready for the next task. False: not now, ask again a moment later."""

    def call(self, context: TaskContext, data: object) -> Outcome:
        """Run the handler; how it went. Raises nothing a handler raises."""

    def close(self) -> None:
        """Nothing of it is left running."""


class ThreadExecutor:
    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def prepare(self) -> bool:
        return True

    def call(self, context: TaskContext, data: object) -> Outcome:
        return call_handler(self._handlers, context, data)

    def close(self) -> None:
        """A thread cannot be ended: it ends with the process."""


def make_executor(kind: str, handlers: Handlers, recycling: Recycling, grace_seconds: float) -> Executor:
    """The executor ``kind`` (EXECUTORS). Raises RefusedToStart: handlers that another process cannot load."""
    if kind == "thread":
        return ThreadExecutor(handlers)
    if handlers.origin is None:
        raise RefusedToStart("handlers that come from no module cannot run in a process of their own",
                             hint="put them into a module, or use the thread executor")
    return ProcessExecutor(handlers.origin, recycling, grace_seconds)
