"""The words of managed tasks: bodies -> values, values -> JSON. The only place that knows them. Source: seed 004.

| State | status |
|---|---|
| ready; scheduled, not tried yet | queued |
| scheduled after a failed try | retrying |
| claimed | processing |
| done | completed |
| dead | failed |
| cancelled | canceled |
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from taskspool.clock import to_text
from taskspool.doors.managed.dialect import InvalidPriority, InvalidTaskType
from taskspool.doors.managed.models import (
    DEFAULT_PRIORITY, DEFAULT_RETRIES, DEFAULT_TIMEOUT_SECONDS, PRIORITIES, TASK_TYPES, TaskRequest,
)
from taskspool.engine.history import SELF
from taskspool.engine.options import Backoff, Options
from taskspool.engine.task import NewTask, Priority, Result, Snapshot, State, Step, Task, check_name

STATUS: Mapping[State, str] = {
    State.SCHEDULED: "queued", State.READY: "queued", State.CLAIMED: "processing", State.DONE: "completed",
    State.DEAD: "failed", State.CANCELLED: "canceled",
}
"""But for what was tried and is scheduled: that is RETRYING."""
RETRYING = "retrying"
PRIORITY: Mapping[str, Priority] = {word: Priority[word.upper()] for word in PRIORITIES}
REQUESTER = "managed"
BACKOFF = Backoff("exponential", base_seconds=1.0, cap_seconds=60.0, jitter=0.0)
"""min(1 s * 2^retry_count, 60 s)."""
TIMEOUT_MESSAGE = "Task timeout"
_TOOK_TOO_LONG = re.compile(r"(?:given up: )?attempt \d+ took longer than its timeout of \S+ s|timed out after \S+ s")
"""What the sweep says of such a task, and what its worker says, whichever is first."""
LOCK_SEEN = timedelta(seconds=60)
BY_HAND = ("retry", "promote")
FAILED = ("fail", "expire")
"""Steps of a task's story: what somebody does to it, and how a try ends that leaves a ``last_error``."""


# -- bodies -> values ------------------------------------------------------------------------------------------------


def new_task_of(body: TaskRequest) -> NewTask:
    """Raises InvalidRequest naming the field and the rule."""
    if body.task_type not in TASK_TYPES:
        rule = "|".join(TASK_TYPES)
        raise InvalidTaskType(f"task_type must be one of {rule}", field="task_type", rule=rule)
    word = body.priority or DEFAULT_PRIORITY
    if word not in PRIORITY:
        rule = "|".join(PRIORITIES)
        raise InvalidPriority(f"priority must be one of {rule}", field="priority", rule=rule)
    check_name("kb_id", body.kb_id)
    options = Options(group=body.kb_id, timeout_seconds=body.timeout or DEFAULT_TIMEOUT_SECONDS, backoff=BACKOFF)
    retries = DEFAULT_RETRIES if body.max_retries is None else body.max_retries
    return NewTask(body.task_type, body.payload, REQUESTER, PRIORITY[word], retries, run_at=body.schedule_for,
                   options=options)


# -- values -> JSON --------------------------------------------------------------------------------------------------


def status_of(snapshot: Snapshot) -> str:
    is_retrying = snapshot.state is State.SCHEDULED and snapshot.task.was_started
    return RETRYING if is_retrying else STATUS[snapshot.state]


def retry_count_of(snapshot: Snapshot, max_crashes: int) -> int:
    """How many retries were used: every failed try but the one that was the last.

    A task that was given up because its workers died (``max_crashes`` of them) had no last failed try.
    """
    task = snapshot.task
    is_last_failed = snapshot.state is State.DEAD and task.attempts > 0 and task.crashes < max_crashes
    return task.attempts - is_last_failed


def task_json(snapshot: Snapshot, result: Result | None, max_crashes: int, now: datetime) -> dict[str, Any]:
    """A task as lists show it. ``result``: of a finished one."""
    task, state = snapshot.task, snapshot.state
    told = task.progress
    return {
        "id": task.id, "task_type": task.type, "status": status_of(snapshot), "priority": task.priority.word,
        "kb_id": task.options.group or "", "payload": task.data, "result": _result_of(result),
        "progress": 100 if state is State.DONE else int(told.percent or 0) if told is not None else 0,
        "retry_count": retry_count_of(snapshot, max_crashes), "max_retries": task.max_retries,
        "error_message": _error_message(snapshot, result), "worker_id": _worker_of(snapshot, result),
        "created_at": time_text(task.created_at),
        "updated_at": time_text(max(updated_at_of(snapshot), alive_at_of(snapshot, now))),
        "started_at": optional_text(started_at_of(snapshot, result)),
        "completed_at": optional_text(None if result is None else result.completed_at),
        "scheduled_for": time_text(task.not_before or task.created_at),
        "timeout": round(task.options.timeout_seconds or DEFAULT_TIMEOUT_SECONDS),
    }


def time_text(instant: datetime) -> str:
    """RFC 3339 as Go writes it: ``Z``, and no zeros at the end of the fraction."""
    return to_text(instant)[:-1].rstrip("0").rstrip(".") + "Z"


def optional_text(instant: datetime | None) -> str | None:
    return None if instant is None else time_text(instant)


def updated_at_of(snapshot: Snapshot) -> datetime:
    """The last thing that is known to have happened to it, a sign of life of its worker included."""
    task = snapshot.task
    told = [snapshot.updated_at, snapshot.seen_at, None if task.progress is None else task.progress.at,
            task.history[-1].at if task.history else None]
    return max(instant for instant in told if instant is not None)


def alive_at_of(snapshot: Snapshot, now: datetime) -> datetime:
    """When its worker was surely alive. One on this machine shows that by a lock, and tells nothing while it works: a
    client that takes over what was not updated for five minutes must not take what it works on."""
    is_held_by_lock = snapshot.lease is not None and snapshot.lease.lease_seconds == 0
    return now - LOCK_SEEN if is_held_by_lock else snapshot.updated_at


def started_at_of(snapshot: Snapshot, result: Result | None) -> datetime | None:
    """When its latest try began, since somebody last retried it. A token tells whole milliseconds only: no try is
    shown to have begun before its task was there."""
    task = snapshot.task
    if snapshot.state is State.CLAIMED:
        began: datetime | None = snapshot.updated_at if snapshot.lease is None else snapshot.lease.claimed_at
    else:
        began = None if result is None else result.claimed_at
        began = began or next((step.claimed_at for step in reversed(_latest_steps(task)) if step.claimed_at), None)
    return None if began is None else max(began, task.created_at)


def _latest_steps(task: Task) -> list[Step]:
    """What happened since somebody last retried it."""
    last = max((number for number, step in enumerate(task.history) if step.verb in BY_HAND), default=-1)
    return list(task.history[last + 1:])


def _result_of(result: Result | None) -> dict[str, Any]:
    """``{}`` until there is one; a worker of another kind may have returned something else than an object."""
    if result is None or result.data is None:
        return {}
    return result.data if isinstance(result.data, dict) else {"value": result.data}


def _error_message(snapshot: Snapshot, result: Result | None) -> str:
    """Why it failed, or failed the last time; what a client said with PUT progress comes before that."""
    task, state = snapshot.task, snapshot.state
    if result is not None:
        return error_words(result.error_message) if state is State.DEAD else ""
    if task.progress is not None and task.progress.by is not None and task.progress.message:
        return task.progress.message
    has_failed = any(step.verb in FAILED for step in _latest_steps(task))
    return error_words(task.last_error) if has_failed else ""


def error_words(message: str | None) -> str:
    """The engine's reason in the words clients know."""
    return TIMEOUT_MESSAGE if message is not None and _TOOK_TOO_LONG.fullmatch(message) else message or ""


def _worker_of(snapshot: Snapshot, result: Result | None) -> str:
    """Who holds it, or finished it; nobody finished what was cancelled or given up while it waited."""
    if snapshot.state is State.CLAIMED:
        return snapshot.worker or ""
    if result is None or result.worker == SELF or (result.attempt is None and snapshot.state is State.CANCELLED):
        return ""
    return result.worker
