"""Hooks: functions of a handler module that a worker calls beside its handlers.

    from taskspool import on_failure

    @on_failure
    def tell_somebody(context, error):
        send_mail(f"task {context.task_id} is dead: {error}")

They are called with the TaskContext of the run, and with how it ended if they take a second argument, in the order in
which they stand in the modules, in the worker's own process. ``on_start`` comes before the handler (None); the others
when the queue has taken the end of the run: ``on_success`` (the result), ``on_retry`` (the error, or why it was put
off: the task comes again), ``on_failure`` (the error: it is dead), ``on_cancel`` (why). What a hook raises is logged
and changes nothing. A run whose lease was lost, or that a stopping worker gives back, is none of these.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from taskspool.errors import RefusedToStart
from taskspool.worker.context import TaskContext

Function = TypeVar("Function", bound=Callable[..., object])
MARK = "__taskspool_hooks__"
NAMES = ("on_start", "on_success", "on_retry", "on_failure", "on_cancel")

log = logging.getLogger("taskspool.worker")


def on_start(function: Function) -> Function:
    """Mark a function to be called before a handler."""
    return _marked(function, "on_start")


def on_success(function: Function) -> Function:
    """Mark a function to be called when a task is done."""
    return _marked(function, "on_success")


def on_retry(function: Function) -> Function:
    """Mark a function to be called when a task will come again: a failed attempt with retries left, or a snooze."""
    return _marked(function, "on_retry")


def on_failure(function: Function) -> Function:
    """Mark a function to be called when a task is dead."""
    return _marked(function, "on_failure")


def on_cancel(function: Function) -> Function:
    """Mark a function to be called when a task ended as cancelled."""
    return _marked(function, "on_cancel")


def _marked(function: Function, name: str) -> Function:
    setattr(function, MARK, (*getattr(function, MARK, ()), name))
    return function


@dataclass(frozen=True, slots=True)
class Hook:
    name: str
    function: Callable[..., object]
    wants_end: bool

    def __call__(self, context: TaskContext, end: object) -> None:
        """Call it; what it raises is logged."""
        try:
            self.function(context, end) if self.wants_end else self.function(context)
        except BaseException:  # a hook may raise anything, and none of it is a reason to lose the task, or the runner
            log.exception("the hook %s of task %s failed", self.function.__qualname__, context.task_id)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The hooks of a worker, in their order."""

    all: Sequence[Hook] = field(default=())

    def tell(self, name: str, context: TaskContext, end: Any = None) -> None:
        """Call the hooks ``name``, one after the other. Raises nothing."""
        for hook in self.all:
            if hook.name == name:
                hook(context, end)


def hooks_among(values: Iterable[object]) -> list[Hook]:
    """The marked functions among ``values``. Raises RefusedToStart when a worker cannot call one."""
    return [_hook(name, value) for value in values if callable(value)
            for name in NAMES if name in _marks(value)]


def _marks(value: object) -> tuple[str, ...]:
    marks = getattr(value, MARK, ())
    return marks if isinstance(marks, tuple) else ()


def _hook(name: str, function: Callable[..., object]) -> Hook:
    signature = inspect.signature(function)
    for arguments in (("context", "end"), ("context",)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return Hook(name, function, wants_end=len(arguments) == 2)
    named = getattr(function, "__qualname__", repr(function))
    raise RefusedToStart(f"the hook {named}{signature} cannot be called with (context) or (context, end)",
                         hint=f"write it as: @{name}  def my_hook(context, end): ...")
