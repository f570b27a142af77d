"""What the bridge says, read into the engine's values: the only place of the client that knows its key names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from taskspool.clock import from_text
from taskspool.engine.task import Claim, Lease, Priority, Result, Task
from taskspool.errors import BY_CODE, Conflict, InvalidRequest, NotFound, StoreUnavailable, TaskspoolError

DEFAULT_LEASE_SECONDS = 60


def result_of(body: Mapping[str, Any]) -> Result:
    """``{task_id, worker, status, data, completed_at, error_message}`` as a Result."""
    return Result(str(body["task_id"]), str(body.get("worker") or ""), str(body["status"]), body.get("data"),
                  _instant(body.get("completed_at")), body.get("error_message"), body.get("attempt"))


def claims_of(body: Mapping[str, Any], worker: str) -> list[Claim]:
    """``{tasks: [...]}``, or ``{task: {...} | null}`` from a server that gives one at a time."""
    tasks = body.get("tasks")
    if tasks is None:
        tasks = [] if body.get("task") is None else [body["task"]]
    return [_claim(task, worker) for task in tasks]


def error_of(status: int, body: Mapping[str, Any], retry_after: str | None = None) -> TaskspoolError:
    """The engine's own error for ``{error, code, message, details, hint}``; an unknown code goes by its status."""
    code = str(body.get("code", ""))
    kind = BY_CODE.get(code) or _by_status(status)
    raw = body.get("details")
    details = {str(name): value for name, value in raw.items()} if isinstance(raw, Mapping) else {}
    hint = str(body.get("hint") or details.get("hint") or "")
    for taken in ("hint", "message", "self"):
        details.pop(taken, None)
    if retry_after is not None and retry_after.isdigit():
        details["retry_after"] = int(retry_after)
    message = str(body.get("message") or body.get("error") or f"HTTP {status}")
    return kind(message, hint=hint, **{"http_status": status, "server_code": code, **details})


def _by_status(status: int) -> type[TaskspoolError]:
    known: Mapping[int, type[TaskspoolError]] = {404: NotFound, 409: Conflict, 429: StoreUnavailable,
                                                 502: StoreUnavailable, 503: StoreUnavailable, 504: StoreUnavailable}
    return known.get(status) or (InvalidRequest if 400 <= status < 500 else TaskspoolError)


def _claim(body: Mapping[str, Any], worker: str) -> Claim:
    lease = body.get("lease") or {}
    attempt = int(body.get("attempt") or 1)
    task = Task(
        id=str(body.get("task_id") or body["id"]), type=str(body.get("task_type") or body["type"]),
        data=body.get("data"), requester=str(body.get("requester") or ""),
        created_at=_instant(body.get("created_at")), priority=_priority(body.get("priority")),
        attempts=attempt - 1, last_error=body.get("previous_error"),
    )
    return Claim(task, Lease(task.id, worker, attempt, str(lease.get("token") or ""), _seconds(lease),
                             datetime.now(UTC)))


def _seconds(lease: Mapping[str, Any]) -> int:
    """How long the server lets us be silent: said plainly, or three times what it calls a beat."""
    plain = lease.get("lease_seconds") or 3 * float(lease.get("heartbeat_every") or 0)
    return max(1, round(plain)) if plain else DEFAULT_LEASE_SECONDS


def _instant(text: object) -> datetime:
    return from_text(text) if isinstance(text, str) else datetime.now(UTC)


def _priority(word: object) -> Priority:
    return Priority.CRITICAL if word == "urgent" else Priority.__members__.get(str(word).upper(), Priority.NORMAL)
