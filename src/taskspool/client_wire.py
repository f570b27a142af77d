"""What the bridge says, read into the engine's values: the only place of the client that knows its key names."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from taskspool.clock import from_text, to_text
from taskspool.engine.events import Event
from taskspool.engine.options import PLAIN, Backoff, Options
from taskspool.engine.task import Claim, JsonValue, Lease, NewTask, Priority, Result, State, Task
from taskspool.errors import BY_CODE, Conflict, InvalidRequest, NotFound, StoreUnavailable, TaskspoolError

DEFAULT_LEASE_SECONDS = 60

# -- values -> what is sent ------------------------------------------------------------------------------------------


def given(**fields: JsonValue) -> dict[str, Any]:
    """``fields`` as a body, without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def task_path(task_id: str, verb: str = "") -> str:
    return f"/api/tasks/{quote(task_id, safe='')}" + (f"/{verb}" if verb else "")


def submission(type: str | None, data: Mapping[str, JsonValue] | None,  # noqa: A002  # the word of the wire
               wishes: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a submit. ``wishes`` may hold values of ours: priorities, times, a backoff."""
    word = wishes.get("priority", Priority.NORMAL)
    body = {"task_type": type, "data": {} if data is None else data, "requester": "http-client", "max_retries": 0,
            **given(**wishes), "priority": word.word if isinstance(word, Priority) else word}
    for name in ("run_at", "start_before"):
        if isinstance(body.get(name), datetime):
            body[name] = to_text(body[name])
    if isinstance(backoff := body.get("backoff"), Backoff):
        body["backoff"] = {"kind": backoff.kind, "base": backoff.base_seconds, "cap": backoff.cap_seconds,
                           "jitter": backoff.jitter}
    if "parent" in body:
        body["parent_id"] = body.pop("parent")
    if "tags" in body:
        body["tags"] = list(body["tags"])
    return body


def submission_of(new: NewTask) -> dict[str, Any]:
    """``new`` as the body of a submit."""
    options = new.options
    return submission(new.type, new.data, {
        "requester": new.requester, "priority": new.priority, "max_retries": new.max_retries,
        "delay": new.delay_seconds or None, "run_at": new.run_at, "start_before": options.start_before,
        "timeout": options.timeout_seconds, "total_timeout": options.total_timeout_seconds,
        "lease": options.lease_seconds, "backoff": options.backoff, "unique_key": options.unique_key,
        "on_conflict": new.on_conflict if options.unique_key else None, "group": options.group,
        "tags": options.tags or None, "parent": new.kept_options.parent,
    })


def query_of(**asked: Any) -> dict[str, Any]:
    """``asked`` as a query: a list repeats its name, times are RFC 3339; None is not asked."""
    return {name: _query_text(value) for name, value in asked.items() if value is not None}


def _query_text(value: Any) -> str | list[str]:
    if isinstance(value, datetime):
        return to_text(value)
    if isinstance(value, Priority):
        return value.word
    if isinstance(value, str | int | float):
        return str(value)
    return [str(_query_text(each)) for each in value]


# -- what is answered -> values --------------------------------------------------------------------------------------


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
        max_retries=max(0, int(body.get("max_attempts") or 1) - 1), attempts=attempt - 1,
        last_error=body.get("previous_error"), checkpoint=body.get("checkpoint"),
        options=_options(body),
    )
    return Claim(task, Lease(task.id, worker, attempt, str(lease.get("token") or ""), _seconds(lease),
                             datetime.now(UTC)))


def _options(body: Mapping[str, Any]) -> Options:
    """What it belongs to, and how long the attempt may take: from claim to deadline by the server's clock, which need
    not be ours."""
    group, parent, left = body.get("group"), body.get("parent_id"), None
    if isinstance(body.get("deadline_at"), str):
        left = from_text(body["deadline_at"]) - _instant(body.get("claimed_at"))
    if group is None and parent is None and left is None:
        return PLAIN
    return Options(group=group, parent=parent, timeout_seconds=None if left is None else max(0.0, left.total_seconds()))


def event_of(body: Mapping[str, Any]) -> Event | None:
    """``{id, at, event, task_id, state, type, worker, attempt, reason}``; None when it is no event of ours."""
    if not (body.get("id") and body.get("event")):
        return None
    state = str(body.get("state"))
    return Event(str(body["id"]), _instant(body.get("at")), str(body["event"]), str(body.get("task_id") or ""),
                 State(state) if state in set(State) else None, body.get("type"), body.get("worker"),
                 body.get("attempt"), body.get("reason"))


def _seconds(lease: Mapping[str, Any]) -> int:
    """How long the server lets us be silent: said plainly, or three times what it calls a beat."""
    plain = lease.get("lease_seconds") or 3 * float(lease.get("heartbeat_every") or 0)
    return max(1, round(plain)) if plain else DEFAULT_LEASE_SECONDS


def _instant(text: object) -> datetime:
    return from_text(text) if isinstance(text, str) else datetime.now(UTC)


def _priority(word: object) -> Priority:
    return Priority.CRITICAL if word == "urgent" else Priority.__members__.get(str(word).upper(), Priority.NORMAL)
