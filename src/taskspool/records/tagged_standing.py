"""A tagged task between two stores: what its row asks of the engine, and what the engine's task means for the row.

    the engine says                                    status        current_retry_count
    scheduled, ready; no run has ended yet             to_do         0
    scheduled, ready; a run failed, or its worker died retrying      runs that have ended
    claimed                                            in_progress   runs that ended before this one
    done, dead, cancelled                              done, failed, cancelled, with the same count

The count is that of second tries, so it never passes ``retry_limit``. ``paused`` is reserved (contract tagged-8002).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from taskspool.engine.options import Options
from taskspool.engine.task import JsonValue, NewTask, Priority, Result, Snapshot, State
from taskspool.records.models.tagged import TaggedTask

EXECUTE = "execute_task"
"""The type of the engine's task for every tagged task. Source: seed 003, task 3.2."""
HEAVY = "heavy_task"
"""The type of the proof of concept's task. Source: seed 003, milestone 0."""
PRIORITIES = {"高": Priority.HIGH, "中": Priority.NORMAL, "低": Priority.LOW}
REQUESTER = "tagged"
FINAL = {State.DONE: "done", State.DEAD: "failed", State.CANCELLED: "cancelled"}
LOST = "the queue does not know this task any more: its files were removed"


class Finder(Protocol):
    """As much of a queue's store as it takes to look at a task."""

    def find(self, task_id: str) -> Snapshot | None:
        """The task and where it is; None when it is nowhere."""

    def result(self, task_id: str) -> Result | None:
        """The task's result; None while there is none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the engine says of a task, in the words of its row. ``at``: since when."""

    status: str
    current_retry_count: int
    at: datetime
    completed_at: datetime | None = None
    error: str | None = None
    result: JsonValue = None

    def is_in(self, row: TaggedTask) -> bool:
        """Whether ``row`` says so."""
        return (row.status == self.status and row.current_retry_count == self.current_retry_count
                and row.completed_at == self.completed_at and row.error == self.error and row.result == self.result)

    def put_into(self, row: TaggedTask) -> None:
        """A row that says so already stays as it is."""
        if self.is_in(row):
            return
        row.status, row.current_retry_count, row.completed_at = self.status, self.current_retry_count, self.completed_at
        row.error, row.result, row.updated_at = self.error, self.result, max(row.updated_at, self.at)


def new_task_of(row: TaggedTask) -> NewTask:
    """The engine's task for ``row``. The row alone says what is to be done: here stands only which row it is."""
    options = Options(timeout_seconds=float(row.timeout_seconds), crashes_count=True)
    return NewTask(EXECUTE, {"task_id": row.id, "uuid": row.uuid}, REQUESTER, PRIORITIES[row.priority],
                   row.retry_limit, options=options)


def key_of(row: TaggedTask) -> str:
    """The idempotency key under which the engine knows ``row``: however often it is handed over, it is one task."""
    return f"tagged:{row.uuid}"


def look(finder: Finder, row: TaggedTask) -> Standing | None:
    """What the engine says of ``row`` this moment; None when it does not know it."""
    if row.queue_id is None:
        return None
    snapshot = finder.find(row.queue_id)
    if snapshot is None:
        return None
    result = finder.result(row.queue_id) if snapshot.state.is_final else None
    return standing_of(snapshot, result, row.retry_limit)


def standing_of(snapshot: Snapshot, result: Result | None, retry_limit: int) -> Standing:
    """The table above. ``result`` is that of ``snapshot``, if it is final."""
    task = snapshot.task
    ended = task.attempts + task.crashes
    if snapshot.state in FINAL:
        attempt = None if result is None else result.attempt
        return Standing(
            FINAL[snapshot.state], min(ended if attempt is None else attempt - 1, retry_limit), snapshot.updated_at,
            snapshot.updated_at if snapshot.state is State.DONE else None,
            None if result is None or result.is_success else _text(result.error_message),
            result.data if result is not None and result.is_success else None)
    last = task.history[-1].at if task.history else task.created_at
    at = max(snapshot.updated_at, last)
    if snapshot.state is State.CLAIMED and not _is_let_go(snapshot):
        before = ended if snapshot.lease is None else snapshot.lease.attempt - 1
        return Standing("in_progress", min(before, retry_limit), at, error=_text(task.last_error))
    return Standing("retrying" if ended else "to_do", min(ended, retry_limit), at, error=_text(task.last_error))


def _is_let_go(snapshot: Snapshot) -> bool:
    """Whether nobody runs it, though it is claimed: it is about to be ended without a run, or its holder has written
    the end of the run and only the move is left."""
    lease, history = snapshot.lease, snapshot.task.history
    if lease is None:
        return False
    if lease.attempt == 0 or snapshot.task.next_attempt > lease.attempt:
        return True
    return bool(history) and (history[-1].attempt, history[-1].claimed_at) == (lease.attempt, lease.claimed_at)


def _text(text: str | None) -> str | None:
    """Without NUL, which PostgreSQL cannot keep."""
    return None if text is None else text.replace("\0", "�")
