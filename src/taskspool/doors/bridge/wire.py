"""The bridge's two dialects: bodies -> values, values -> JSON. The only place that knows their words.

| State | both dialects say |
|---|---|
| scheduled, ready | pending |
| claimed | in_progress |
| done | completed |
| dead | failed |
| cancelled | cancelled |
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from taskspool.clock import to_text
from taskspool.doors.bridge.worker_models import ERROR_WORDS, SUCCESS_WORDS, Failing, Finish
from taskspool.engine.lifecycle import Enqueued, Failure
from taskspool.engine.task import Claim, Counts, Lease, NewTask, Priority, Result, Snapshot, State, Task
from taskspool.engine.worker_record import RUN
from taskspool.errors import InvalidRequest
from taskspool.web.reply import encode_part

STATUS: Mapping[State, str] = {
    State.SCHEDULED: "pending", State.READY: "pending", State.CLAIMED: "in_progress", State.DONE: "completed",
    State.DEAD: "failed", State.CANCELLED: "cancelled",
}
PRIORITY: Mapping[str, Priority] = {
    "urgent": Priority.CRITICAL, "critical": Priority.CRITICAL, "high": Priority.HIGH, "normal": Priority.NORMAL,
    "low": Priority.LOW,
}
WORD: Mapping[Priority, str] = {
    Priority.CRITICAL: "urgent", Priority.HIGH: "high", Priority.NORMAL: "normal", Priority.LOW: "low",
}
CANCEL_REQUESTED = "cancel_requested"
"""What the header Task-Status says to a worker that should stop."""


# -- bodies -> values ------------------------------------------------------------------------------------------------


def failure_of(body: Finish) -> Failure | None:
    """How the task failed; None when it succeeded. Raises InvalidRequest when the body contradicts itself."""
    return None if _is_success(body) else failing(body)


def failing(body: Failing) -> Failure:
    return Failure(_error_text(body), body.data, body.retryable, body.retry_after)


def _is_success(body: Finish) -> bool:
    word = None if body.status is None else body.status.strip().lower()
    if word is not None and word not in SUCCESS_WORDS + ERROR_WORDS:
        raise InvalidRequest("status must be success or error", field="status", rule="success|error")
    said = {body.success, None if word is None else word in SUCCESS_WORDS} - {None}
    if len(said) > 1:
        raise InvalidRequest("status and success contradict each other", field="success", rule="agree with status")
    if said:
        return said == {True}
    has_error = body.error is not None or body.error_message is not None
    if not has_error and "data" not in body.model_fields_set:
        raise InvalidRequest("status is missing: say success or error", field="status", rule="success|error")
    return not has_error


def _error_text(body: Failing) -> str:
    error = body.error
    if isinstance(error, dict):
        error = str(error.get("message") or error.get("type") or "")
    return body.error_message or error or body.message or "the worker gave no reason"


# -- values -> JSON --------------------------------------------------------------------------------------------------


def task_json(task: Task) -> dict[str, Any]:
    """What stays the same about a task, under the names of both dialects."""
    return {
        "id": task.id, "task_id": task.id, "type": task.type, "task_type": task.type, "requester": task.requester,
        "data": task.data, "priority": WORD[task.priority], "created_at": to_text(task.created_at),
    }


def snapshot_json(snapshot: Snapshot) -> dict[str, Any]:
    """A task with where it stands, as both dialects show it."""
    task = snapshot.task
    shape = task_json(task) | {
        "status": STATUS[snapshot.state], "state": snapshot.state.value, "assigned_to": snapshot.worker,
        "updated_at": to_text(snapshot.updated_at), "attempts": task.attempts, "max_attempts": task.max_retries + 1,
        "previous_error": task.last_error,
    }
    if task.not_before is not None and snapshot.state is State.SCHEDULED:
        shape["not_before"] = to_text(task.not_before)
    return shape


def claim_json(claim: Claim, renewed_at: datetime | None = None) -> dict[str, Any]:
    """A claimed task, with the lease its worker must show; ``renewed_at`` if that began anew since."""
    task, lease = claim.task, claim.lease
    claimed_at = to_text(lease.claimed_at)
    return task_json(task) | {
        "status": "in_progress", "assigned_to": lease.worker, "updated_at": claimed_at, "claimed_at": claimed_at,
        "attempt": lease.attempt, "max_attempts": task.max_retries + 1, "previous_error": task.last_error,
        "deadline_at": optional_text(deadline_of(claim)), "checkpoint": task.checkpoint,
        "group": task.options.group, "parent_id": task.options.parent,
        "lease": lease_json(lease, renewed_at or lease.claimed_at),
    }


def deadline_of(claim: Claim) -> datetime | None:
    """When this attempt must be over: its own time, or the total time of the task."""
    timeout = claim.task.options.timeout_seconds
    own = None if timeout is None else claim.lease.claimed_at + timedelta(seconds=timeout)
    return min((end for end in (own, claim.task.ends_at) if end is not None), default=None)


def optional_text(instant: datetime | None) -> str | None:
    return None if instant is None else to_text(instant)


def lease_json(lease: Lease, from_instant: datetime) -> dict[str, Any]:
    """``generation`` is the attempt: a later holder's is higher."""
    return {
        "token": lease.token, "generation": lease.attempt, "lease_seconds": lease.lease_seconds,
        "expires_at": expires_at(lease, from_instant), "heartbeat_every": heartbeat_seconds(lease),
    }


def expires_at(lease: Lease, from_instant: datetime) -> str:
    return to_text(from_instant + timedelta(seconds=lease.lease_seconds))


def heartbeat_seconds(lease: Lease) -> float:
    """A third of the lease: two beats may get lost."""
    return round(lease.lease_seconds / 3, 3)


def claims_body(claims: list[Claim], now: datetime, *, is_bare: bool, is_again: bool = False,
                order: str = RUN) -> bytes:
    """The answer to a claim. One task stands under ``task``, in ``tasks``, and its fields at top level too.

    ``is_bare`` (GET, dialect B) leaves ``task`` and ``tasks`` out. ``is_again``: they were told before, and their
    leases begin anew now. ``order``: what the worker is to do. The task is encoded once and written thrice.
    """
    told = b"" if is_bare else b'"state":"' + order.encode() + b'",'
    stamp = told + b'"server_time":"' + to_text(now).encode() + b'"}\n'
    if not claims:
        return b'{"task":null,' + (b"" if is_bare else b'"tasks":[],"retry_after":1,') + stamp
    tasks = [encode_part(claim_json(claim, now if is_again else None)) for claim in claims]
    bare = tasks[0][1:-1] + b"," if len(tasks) == 1 else b""
    if is_bare:
        return b"{" + bare + stamp
    return b'{"task":' + tasks[0] + b',"tasks":[' + b",".join(tasks) + b"]," + bare + stamp


def enqueued_json(made: Enqueued, new: NewTask, state: State) -> dict[str, Any]:
    """What a client is told about the task it submitted, which is in ``state`` now."""
    message = "task accepted" if made.created else "this task was accepted before, under the same key"
    return {"success": True, "task_id": made.task_id, "message": message, "status": STATUS[state],
            "state": state.value, "created": made.created, "priority": WORD[new.priority]}


def result_json(result: Result) -> dict[str, Any]:
    """The result under the keys of both dialects: A says ``error_message``, B ``success`` and ``error``."""
    completed_at, seconds = to_text(result.completed_at), result.duration_seconds
    return {
        "task_id": result.task_id, "worker": result.worker, "status": result.status, "success": result.is_success,
        "data": result.data, "error": result.error_message, "error_message": result.error_message,
        "submitted_at": completed_at, "completed_at": completed_at, "attempt": result.attempt,
        "duration_ms": None if seconds is None else round(seconds * 1000, 3),
    }


def counts_json(counts: Counts) -> dict[str, Any]:
    """The numbers of both dialects; ``pending`` includes what waits for its time."""
    pending, completed = counts.ready + counts.scheduled, counts.done + counts.dead
    by_priority, mean = counts.ready_by_priority, counts.mean_duration_seconds
    urgent = by_priority.get(Priority.CRITICAL, 0) + by_priority.get(Priority.HIGH, 0)
    return {
        "completed_tasks": completed, "pending_tasks": pending, "pending": pending, "scheduled": counts.scheduled,
        "pending_urgent": urgent, "pending_normal": by_priority.get(Priority.NORMAL, 0),
        "pending_low": by_priority.get(Priority.LOW, 0), "inflight": counts.claimed, "completed": completed,
        "successful": counts.done, "failed": counts.dead, "cancelled": counts.cancelled,
        "quarantined": counts.quarantined,
        "success_rate": round(100 * counts.done / completed, 2) if completed else 0.0,
        "avg_duration_ms": None if mean is None else round(mean * 1000, 3),
    }


def folders_json(folder: Path) -> dict[str, str]:
    folder = folder.absolute()
    return {"tasks_dir": str(folder / "tasks"), "results_dir": str(folder / "results")}
