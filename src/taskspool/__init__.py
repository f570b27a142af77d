"""taskspool: a task queue you can ``ls``. ``taskspool.Client`` hands tasks over, ``@taskspool.handler`` does them.

What is here is fetched when first named: importing this package does nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskspool.client import Client as Client
    from taskspool.worker.contact import Cancelled as Cancelled
    from taskspool.worker.context import (
        GiveUp as GiveUp, Retry as Retry, Run as Run, Snooze as Snooze, TaskContext as TaskContext,
    )
    from taskspool.worker.handlers import handler as handler
    from taskspool.worker.hooks import (
        on_cancel as on_cancel, on_failure as on_failure, on_retry as on_retry, on_start as on_start,
        on_success as on_success,
    )

_HOMES = {"Client": "taskspool.client", "handler": "taskspool.worker.handlers", "Cancelled": "taskspool.worker.contact"}
_HOMES |= dict.fromkeys(("GiveUp", "Retry", "Run", "Snooze", "TaskContext"), "taskspool.worker.context")
_HOMES |= dict.fromkeys(("on_cancel", "on_failure", "on_retry", "on_start", "on_success"), "taskspool.worker.hooks")

__all__ = ["Cancelled", "Client", "GiveUp", "Retry", "Run", "Snooze", "TaskContext", "handler", "on_cancel",
           "on_failure", "on_retry", "on_start", "on_success"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
