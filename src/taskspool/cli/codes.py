"""Exit codes: one table, also the end of ``taskspool --help``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from taskspool.errors import (
    InvalidRequest, RefusedToStart, ResultPending, ServerUnreachable, StoreUnavailable, TaskspoolError,
)


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    PENDING = 4
    RECYCLED = 5


MEANINGS: Mapping[ExitCode, str] = {
    ExitCode.OK: "it was done",
    ExitCode.FAILED: "not found, the task failed, somebody else holds it, or doctor found problems",
    ExitCode.USAGE: "wrong arguments, or it refused to start",
    ExitCode.UNREACHABLE: "the bridge gave no answer, or the disk refused",
    ExitCode.PENDING: "not finished within the time it was waited for",
    ExitCode.RECYCLED: "work has done enough (--max-tasks, --max-memory): start it anew",
}

_OF_ERROR: Mapping[type[TaskspoolError], ExitCode] = {
    InvalidRequest: ExitCode.USAGE,
    RefusedToStart: ExitCode.USAGE,
    ServerUnreachable: ExitCode.UNREACHABLE,
    StoreUnavailable: ExitCode.UNREACHABLE,
    ResultPending: ExitCode.PENDING,
}


def code_of(error: TaskspoolError) -> ExitCode:
    """The code of the nearest class in the error's ancestry that has one; FAILED when none has."""
    return next((_OF_ERROR[kind] for kind in type(error).__mro__ if kind in _OF_ERROR), ExitCode.FAILED)


def epilog() -> str:
    """The table as ``--help`` shows it."""
    return "\b\nExit codes:\n" + "\n".join(f"  {code.value}  {meaning}" for code, meaning in MEANINGS.items())
