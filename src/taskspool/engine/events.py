"""What happens to tasks, as values: ``Change`` is what a store notes at each instant, ``Event`` what readers get.

Both are hints for those who watch (the index, logs, streams), never the truth: the files are.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from taskspool.engine.task import Result, State, Task


class Change(NamedTuple):
    """One move of one task, noted right after its instant by the process that made it.

    ``verb`` is a key of ``task.TRANSITIONS``; ``state`` is where the task is now, None when it is gone (pruned).
    ``task`` is its content where the move knows it, ``result`` stands when the move finished it. ``worker`` and
    ``attempt`` are those of the lease that was won, kept or given up; ``reason`` the error, or why.
    """

    verb: str
    task_id: str
    state: State | None
    at: datetime
    task: Task | None = None
    result: Result | None = None
    worker: str | None = None
    attempt: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One change as the stream tells it. ``id`` is what a reader sends back to go on behind it."""

    id: str
    at: datetime
    verb: str
    task_id: str
    state: State | None
    type: str | None = None
    worker: str | None = None
    attempt: int | None = None
    reason: str | None = None
