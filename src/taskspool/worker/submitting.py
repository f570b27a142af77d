"""A task that a handler hands over, on a worker without a bridge: the body of a submit, read into a NewTask."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from taskspool.clock import from_text
from taskspool.engine.options import PLAIN, Backoff, Options
from taskspool.engine.task import NewTask, Priority
from taskspool.errors import InvalidRequest

_BACKOFF = {"kind": "kind", "base": "base_seconds", "cap": "cap_seconds", "jitter": "jitter"}


def new_task_of(body: Mapping[str, Any]) -> NewTask:
    """``body`` is what ``client_wire.submission`` makes. Raises InvalidRequest naming the field and the rule."""
    backoff = body.get("backoff")
    options = Options(
        group=body.get("group"), tags=tuple(body.get("tags") or ()), start_before=_instant(body, "start_before"),
        timeout_seconds=body.get("timeout"), total_timeout_seconds=body.get("total_timeout"),
        lease_seconds=body.get("lease"), backoff=None if backoff is None else _backoff(backoff),
        unique_key=body.get("unique_key"))
    try:
        return NewTask(body["task_type"], body["data"], body["requester"], _priority(body.get("priority")),
                       body["max_retries"], body.get("delay") or 0.0, _instant(body, "run_at"),
                       PLAIN if options == PLAIN else options, body.get("on_conflict") or "existing",
                       body.get("parent_id"))
    except TypeError as error:
        raise InvalidRequest(f"this cannot be submitted: {error}", field="task", rule="see Client.submit") from error


def _priority(word: object) -> Priority:
    known = {"urgent": Priority.CRITICAL} | {each.word: each for each in Priority}
    if str(word).lower() not in known:
        rule = "|".join(known)
        raise InvalidRequest(f"priority must be one of {rule}", field="priority", rule=rule)
    return known[str(word).lower()]


def _instant(body: Mapping[str, Any], name: str) -> datetime | None:
    text = body.get(name)
    try:
        return None if text is None else from_text(text)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"{name} must be a time in RFC 3339", field=name, rule="RFC 3339") from error


def _backoff(asked: Mapping[str, Any]) -> Backoff:
    try:
        return Backoff(**{_BACKOFF[name]: value for name, value in asked.items()})
    except (KeyError, AttributeError) as error:
        raise InvalidRequest("backoff must be an object with kind, base, cap, jitter", field="backoff",
                             rule="kind, base, cap, jitter") from error
