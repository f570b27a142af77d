"""What was asked for, as the engine's values: bodies of submissions, and the filters of lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

from taskspool.doors.bridge.models import PRIORITIES, BackoffAsked, CancelMany, RetryMany, Submission, Wished
from taskspool.doors.bridge.wire import PRIORITY, STATUS
from taskspool.engine.index_query import Filter
from taskspool.engine.options import PLAIN, Backoff, Options
from taskspool.engine.task import NewTask, Priority, State, check_name
from taskspool.errors import InvalidRequest
from taskspool.web.fields import INSTANT_RULE, instant_of

DEFAULT_REQUESTER = "http-client"
_ID_PREFIX = re.compile(r"[0-9a-f-]{1,36}", re.ASCII)
Kind = TypeVar("Kind")
_RARE = frozenset({"group", "tags", "start_before", "timeout", "total_timeout", "lease", "backoff", "unique_key"})


# -- submissions -----------------------------------------------------------------------------------------------------


def new_task(body: Wished, *, priority: str | None = None, is_lenient: bool = False) -> NewTask:
    """``priority`` is the one of the query, for dialect B, which is lenient: an unknown word counts as normal."""
    word = (priority or body.priority or "normal").strip().lower()
    if word not in PRIORITY and not is_lenient:
        rule = "urgent|high|normal|low"
        raise InvalidRequest(f"priority must be one of {rule}", field="priority", rule=rule)
    level = PRIORITY.get(word, Priority.NORMAL)
    on_conflict = (body.on_conflict if isinstance(body, Submission) else None) or "existing"
    return NewTask(body.type, body.data or {}, body.requester or DEFAULT_REQUESTER, level, body.max_retries,
                   body.delay or 0.0, body.run_at, _options(body), on_conflict, body.parent_id)


def _options(body: Wished) -> Options:
    """Most tasks ask for nothing rare: they share one value."""
    if body.model_fields_set.isdisjoint(_RARE):
        return PLAIN
    unique_key = body.unique_key if isinstance(body, Submission) else None
    options = Options(body.group, tuple(body.tags or ()), body.start_before, body.timeout, body.total_timeout,
                      body.lease, _backoff(body.backoff), unique_key)
    return PLAIN if options == PLAIN else options


def _backoff(body: BackoffAsked | None) -> Backoff | None:
    return None if body is None else Backoff(body.kind, body.base, body.cap, body.jitter)


# -- filters ---------------------------------------------------------------------------------------------------------

TEXTS = ("group", "tag", "requester", "worker", "batch", "parent")
INSTANTS = ("created_after", "created_before", "finished_after", "finished_before")
FILTERS = ("status", "state", "type", "priority", "group", "tag", "requester", "worker", "batch", "parent",
           "id_prefix", *INSTANTS)
"""Names in the query of a list. ``type`` alone is also known to the older form."""


def filter_of(query: Mapping[str, Collection[str]]) -> Filter:
    """``query``: name -> its values, in the order they stand there. Raises InvalidRequest."""
    one = {name: next(iter(values)) for name, values in query.items() if values}
    for name in TEXTS:
        for value in query.get(name, ()):
            check_name(name, value)
    if not _ID_PREFIX.fullmatch(one.get("id_prefix", "0")):
        rule = "how an id begins: 1..36 of 0-9, a-f, -"
        raise InvalidRequest(f"id_prefix must be {rule}", field="id_prefix", rule=rule)
    times = {name: _instant(name, one[name]) for name in INSTANTS if name in one}
    types = frozenset(name for name in query.get("type", ()) if name)
    return Filter(_states(query), types or None, _priorities(query), one.get("group"), tuple(query.get("tag", ())),
                  one.get("requester"), one.get("worker"), times.get("created_after"), times.get("created_before"),
                  times.get("finished_after"), times.get("finished_before"), one.get("batch"), one.get("id_prefix"),
                  one.get("parent"))


def sort_of(sort: str | None, order: str | None) -> str:
    """The engine's word for ``?sort=`` and ``?order=``: oldest first, unless they say otherwise."""
    sort = "created_at" if sort is None else sort
    if order is None:
        return sort
    if order.lower() not in ("asc", "desc"):
        raise InvalidRequest("order must be asc or desc", field="order", rule="asc|desc")
    key = sort.removeprefix("-")
    return key if order.lower() == "asc" else f"-{key}"


def _states(query: Mapping[str, Collection[str]]) -> frozenset[State] | None:
    """``status`` in the words of both dialects, ``state`` in ours; given both, what fits both."""
    chosen: frozenset[State] | None = None
    for name in ("status", "state"):
        words = _words(query.get(name, ()))
        if not words:
            continue
        known = {state.value: {state} for state in State}
        if name == "status":
            known = {word: {state for state in State if STATUS[state] == word} for word in STATUS.values()}
        found = {state for word in words for state in _known(name, word, known)}
        chosen = frozenset(found) if chosen is None else chosen & found
    return chosen


def _priorities(query: Mapping[str, Collection[str]]) -> frozenset[Priority] | None:
    words = _words(query.get("priority", ()))
    known = {word: {PRIORITY[word]} for word in PRIORITIES}
    return frozenset(level for word in words for level in _known("priority", word, known)) or None


def _words(values: Collection[str]) -> list[str]:
    return [word for value in values for part in value.split(",") if (word := part.strip().lower())]


def _known(name: str, word: str, known: Mapping[str, set[Kind]]) -> set[Kind]:
    if word not in known:
        rule = "|".join(known)
        raise InvalidRequest(f"{name} must be one of {rule}", field=name, rule=rule)
    return known[word]


def _instant(name: str, text: str) -> datetime:
    try:
        return instant_of(text)
    except ValueError as error:
        raise InvalidRequest(f"{name} {error}", field=name, rule=INSTANT_RULE) from None


def filter_of_wish(wish: CancelMany | RetryMany, states: frozenset[State], now: datetime) -> Filter:
    """Which tasks a call for many means. Raises InvalidRequest when it does not say.

    ``older_than`` counts from the end of those that have ended, else from their creation.
    """
    if not (wish.all or wish.state or wish.type or wish.group or wish.older_than):
        raise InvalidRequest("say which tasks: state, type, group or older_than, or all: true", field="all",
                             rule="a filter, or all: true")
    before = None if not wish.older_than else now - timedelta(seconds=wish.older_than)
    has_ended = all(state.is_final for state in states)
    return Filter(states, None if wish.type is None else frozenset(wish.type), group=wish.group,
                  created_before=None if has_ended else before, finished_before=before if has_ended else None)
