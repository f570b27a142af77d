"""The object ``taskspool`` in a task's file: what is ours alone, left out while it says nothing.

Reading is lenient where a foreign hand may have written (an unknown priority is a normal one) and strict where a
mistake would change when or how often a task runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from taskspool.clock import from_text, to_text
from taskspool.engine.options import MAX_SECONDS, PLAIN, Backoff, Options, check_options
from taskspool.engine.task import JsonValue, Priority, Progress, State, Step, Task, is_task_id
from taskspool.errors import InvalidRequest

MAX_STEPS = 100
"""So many steps of its history are kept with a task; the oldest go first, but never its first."""
_BACKOFF = (("kind", "kind"), ("base", "base_seconds"), ("cap", "cap_seconds"), ("jitter", "jitter"))
_TIMES = (("timeout", "timeout_seconds"), ("total_timeout", "total_timeout_seconds"))


def own_of(task: Task) -> dict[str, JsonValue]:
    """What ``task`` has beyond the keys of the public contract; empty for an ordinary waiting one."""
    own: dict[str, JsonValue] = {}
    if task.priority is not Priority.NORMAL:
        own["priority"] = task.priority.word
    for name in ("max_retries", "attempts", "crashes", "last_error"):
        if value := getattr(task, name):
            own[name] = value
    if task.not_before is not None:
        own["not_before"] = to_text(task.not_before)
        if task.delay_seconds is not None:
            own["delay_seconds"] = task.delay_seconds
    if task.options is not PLAIN:
        own |= _options_document(task.options)
    if task.history:
        own["history"] = [_step_document(step) for step in _kept(task.history)]
    if task.progress is not None:
        own["progress"] = _progress_document(task.progress)
    if task.checkpoint is not None:
        own["checkpoint"] = task.checkpoint
    return own


def _progress_document(told: Progress) -> JsonValue:
    document = {"percent": told.percent, "message": told.message, "at": to_text(told.at)}
    return document if told.by is None else document | {"by": told.by}


def fields_of(own: Mapping[str, JsonValue]) -> dict[str, Any]:
    """The object as fields of Task. Raises InvalidRequest, ValueError or OverflowError naming what is wrong."""
    fields: dict[str, Any] = {}
    word = own.get("priority")
    if isinstance(word, str) and word.upper() in Priority.__members__:
        fields["priority"] = Priority[word.upper()]
    for name in ("max_retries", "attempts", "crashes"):
        number = own.get(name)
        if isinstance(number, int) and not isinstance(number, bool) and 0 <= number <= 1_000_000:
            fields[name] = number
    if isinstance(own.get("last_error"), str):
        fields["last_error"] = own["last_error"]
    if (not_before := _instant(own, "not_before")) is not None:
        fields["not_before"] = not_before
        fields["delay_seconds"] = _delay(own)
    fields["options"] = _options(own)
    if isinstance(own.get("history"), list):
        fields["history"] = tuple(_step(step) for step in own["history"] if isinstance(step, dict))
    if isinstance(progress := own.get("progress"), dict) and (at := _instant(progress, "at")) is not None:
        fields["progress"] = Progress(_number(progress, "percent"), _text(progress, "message"), at,
                                      _text(progress, "by"))
    fields["checkpoint"] = own.get("checkpoint")
    return fields


# -- options ---------------------------------------------------------------------------------------------------------


def _options_document(options: Options) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {
        "group": options.group, "tags": list(options.tags) or None, "timeout": options.timeout_seconds,
        "start_before": None if options.start_before is None else to_text(options.start_before),
        "total_timeout": options.total_timeout_seconds, "lease": options.lease_seconds,
        "unique_key": options.unique_key, "batch": options.batch_id,
        "parent": options.parent, "crashes_count": options.crashes_count or None,
    }
    if options.backoff is not None:
        document["backoff"] = {key: getattr(options.backoff, name) for key, name in _BACKOFF}
    return {key: value for key, value in document.items() if value is not None}


def _options(own: Mapping[str, JsonValue]) -> Options:
    values: dict[str, Any] = {name: _text(own, key) for key, name in (
        ("group", "group"), ("unique_key", "unique_key"), ("batch", "batch_id"))}
    values["parent"] = parent if is_task_id(parent := own.get("parent")) else None
    values |= {name: _number(own, key) for key, name in _TIMES}
    values["start_before"] = _instant(own, "start_before")
    values["crashes_count"] = own.get("crashes_count") is True
    lease = _number(own, "lease")
    values["lease_seconds"] = None if lease is None else int(lease)
    if isinstance(tags := own.get("tags"), list):
        values["tags"] = tuple(tag for tag in tags if isinstance(tag, str))
    if isinstance(backoff := own.get("backoff"), dict):
        given = {name: backoff[key] for key, name in _BACKOFF if key in backoff}
        values["backoff"] = replace(Backoff(), **given)
    if not any(values.values()):
        return PLAIN
    try:
        return check_options(Options(**values))
    except TypeError as error:
        raise InvalidRequest(f"backoff must hold numbers: {error}", field="backoff", rule="numbers") from error


# -- history ---------------------------------------------------------------------------------------------------------


def _kept(history: tuple[Step, ...]) -> tuple[Step, ...]:
    return history if len(history) <= MAX_STEPS else (history[0], *history[1 - MAX_STEPS:])


def _step_document(step: Step) -> dict[str, JsonValue]:
    document: dict[str, JsonValue] = {
        "verb": step.verb, "at": to_text(step.at), "state": step.state.value, "worker": step.worker,
        "attempt": step.attempt, "claimed_at": None if step.claimed_at is None else to_text(step.claimed_at),
        "reason": step.reason,
    }
    return {key: value for key, value in document.items() if value is not None}


def _step(document: Mapping[str, JsonValue]) -> Step:
    at = _instant(document, "at")
    if at is None:
        raise InvalidRequest("a step of history has no time", field="history", rule="each step has at")
    attempt = _number(document, "attempt")
    return Step(str(document.get("verb", "unknown")), at, State(str(document.get("state"))), _text(document, "worker"),
                None if attempt is None else int(attempt), _instant(document, "claimed_at"), _text(document, "reason"))


# -- values ----------------------------------------------------------------------------------------------------------


def _text(document: Mapping[str, JsonValue], key: str) -> str | None:
    value = document.get(key)
    return value if isinstance(value, str) else None


def _number(document: Mapping[str, JsonValue], key: str) -> float | None:
    value = document.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _delay(own: Mapping[str, JsonValue]) -> float | None:
    """How long it waits; what is no such time says nothing: ``not_before`` stands."""
    seconds = _number(own, "delay_seconds")
    return seconds if seconds is not None and 0 <= seconds <= MAX_SECONDS else None


def _instant(document: Mapping[str, JsonValue], key: str) -> datetime | None:
    """The time under ``key``; None when there is none. Raises InvalidRequest when it is no time."""
    text = document.get(key)
    if not isinstance(text, str):
        return None
    try:
        return from_text(text)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(f"{key} is not an ISO 8601 time: {error}", field=key, rule="ISO 8601") from error
