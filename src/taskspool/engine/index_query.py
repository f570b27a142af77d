"""Filters and orders as SQL over the index: one branch per state, each along an index, so that a page costs a page.

A page of ten is read from the right end of an index, whatever the number of tasks; the totals come from the tally
unless the filter asks for what is not counted there.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from taskspool.engine.task import JsonValue, Priority, State
from taskspool.errors import InvalidRequest

SORT_KEYS = ("created_at", "updated_at", "finished_at", "priority", "type", "state")
MAX_PREFIX_CHARS = 36
_COLUMNS = "number, id, state, created_at, updated_at, finished_at, priority, type, lined_up_at"
_SELECT = f"SELECT {_COLUMNS} FROM tasks"  # noqa: S608 - names of columns
_ORDERS = {
    "created_at": (("created_at", 1),), "updated_at": (("updated_at", 1),), "finished_at": (("finished_at", 1),),
    "priority": (("priority", 1), ("lined_up_at", -1)), "type": (("type", 1), ("created_at", 1)),
    "state": (("state", 1), ("created_at", 1)),
}
"""Sort key -> (column, 1 rising or -1 falling): highest priority first is first come first, the order of claiming."""
NOTHING = object()
"""In the place of a value: the condition has no question mark."""
_ALONG_ONE_INDEX = ("updated_at", "finished_at")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which tasks; None asks nothing. ``tags``: all of them. Times are closed below and open above.

    ``was_tried``: whether an attempt on it has ended, since it was created or last retried with all its attempts before
    it. ``is_retrying``: whether it is scheduled, and was tried.
    """

    states: frozenset[State] | None = None
    types: frozenset[str] | None = None
    priorities: frozenset[Priority] | None = None
    group: str | None = None
    tags: tuple[str, ...] = ()
    requester: str | None = None
    worker: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    finished_after: datetime | None = None
    finished_before: datetime | None = None
    batch_id: str | None = None
    id_prefix: str | None = None
    parent: str | None = None
    was_tried: bool | None = None
    is_retrying: bool | None = None


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Order:
    """``key`` is one of SORT_KEYS."""

    key: str = "created_at"
    is_descending: bool = True

    @property
    def columns(self) -> list[tuple[str, bool]]:
        """(column, whether it falls), the number of the row last."""
        columns = [*_ORDERS[self.key], ("number", _ORDERS[self.key][-1][1])]
        return [(name, (direction < 0) != self.is_descending) for name, direction in columns]

    @property
    def text(self) -> str:
        return ", ".join(f"{name} {'DESC' if falls else 'ASC'}" for name, falls in self.columns)


def order_of(sort: str) -> Order:
    """``created_at`` rises, ``-created_at`` falls. Raises InvalidRequest."""
    key = sort.removeprefix("-")
    if key not in SORT_KEYS:
        rule = "|".join(SORT_KEYS)
        raise InvalidRequest(f"sort must be one of {rule}, with - before it for the other way round", field="sort",
                             rule=rule)
    return Order(key, sort.startswith("-"))


@dataclass(frozen=True, slots=True)
class Where:
    """Conditions beside the state, and what stands for their question marks."""

    conditions: tuple[str, ...]
    given: tuple[JsonValue, ...]
    is_narrow: bool
    """Whether an index other than those by state finds few rows at once."""
    is_counted: bool
    """Whether the tally tells how many there are."""


def where_of(wanted: Filter) -> Where:
    """What ``wanted`` asks for beside the states."""
    parts: list[tuple[str, JsonValue]] = []
    if wanted.types is not None:
        parts.append(_among("type", sorted(wanted.types)))
    if wanted.priorities is not None:
        parts.append(_among("priority", sorted(map(int, wanted.priorities))))
    if wanted.group is not None:
        parts.append(("group_key = ?", wanted.group))
    if wanted.was_tried is not None:  # written out: only so is the index of those that were tried used
        parts.append((f"was_tried = {int(wanted.was_tried)}", NOTHING))
    if wanted.is_retrying is not None:
        retrying = "state = 'scheduled' AND was_tried = 1"
        parts.append((retrying if wanted.is_retrying else f"NOT ({retrying})", NOTHING))
    counted = len(parts)
    if wanted.id_prefix is not None:
        parts += [("id >= ?", wanted.id_prefix), ("id < ?", wanted.id_prefix + "g")]
    parts += [("id IN (SELECT id FROM tags WHERE tag = ?)", tag) for tag in wanted.tags]
    parts += [(f"{column} = ?", value) for column, value in (
        ("requester", wanted.requester), ("worker", wanted.worker), ("batch_id", wanted.batch_id),
        ("parent", wanted.parent)) if value is not None]
    parts += [(condition, value.timestamp()) for condition, value in (
        ("created_at >= ?", wanted.created_after), ("created_at < ?", wanted.created_before),
        ("finished_at >= ?", wanted.finished_after), ("finished_at < ?", wanted.finished_before)) if value is not None]
    is_narrow = bool(wanted.tags or wanted.batch_id or wanted.group or wanted.id_prefix or wanted.parent)
    given = tuple(value for _, value in parts if value is not NOTHING)
    return Where(tuple(text for text, _ in parts), given, is_narrow, len(parts) == counted)


def _among(column: str, values: Sequence[JsonValue]) -> tuple[str, JsonValue]:
    if len(values) == 1:
        return f"{column} = ?", values[0]
    return f"{column} IN (SELECT value FROM json_each(?))", json.dumps(values)  # noqa: S608 - a column of this module


Statement = tuple[str, list[JsonValue]]


def total_of(wanted: Filter) -> Statement:
    """How many there are."""
    where = where_of(wanted)
    conditions, given = [*where.conditions], [*where.given]
    if wanted.states is not None:
        text, value = _among("state", sorted(wanted.states))
        conditions.append(text)
        given.append(value)
    text = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    what = "IFNULL(sum(count), 0) FROM tally" if where.is_counted else "count(*) FROM tasks"
    return f"SELECT {what}{text}", given


def page_of(wanted: Filter, order: Order, limit: int, offset: int, behind: Sequence[JsonValue] | None) -> Statement:
    """A page in ``order``: from ``offset`` on, or behind the row whose sort values are ``behind``."""
    where = where_of(wanted)
    conditions, given = [*where.conditions], [*where.given]
    if behind is not None:
        text, values = _behind(order, behind)
        conditions.append(text)
        given += values
    states = sorted(State if wanted.states is None else wanted.states)
    tail: list[JsonValue] = [limit, offset]
    if where.is_narrow or order.key in _ALONG_ONE_INDEX:
        if wanted.states is not None:
            conditions.append("+state IN (SELECT value FROM json_each(?))")
            given.append(json.dumps(states))
        if order.key == "finished_at":
            conditions.append("finished_at IS NOT NULL")
        text = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"{_SELECT}{text} ORDER BY {order.text} LIMIT ? OFFSET ?", [*given, *tail]
    branches, all_given = [], list[JsonValue]()
    for state in states:
        untried = ["state = 'scheduled'", "was_tried = 0"]  # written out, for the index of those
        text = " AND ".join(["state = ?", *conditions, *(untried if state in _only_untried(wanted) else ())])
        branch = f"{_SELECT} WHERE {text} ORDER BY {order.text} LIMIT ?"
        branches.append(f"SELECT * FROM ({branch})")  # noqa: S608 - from the constants above
        all_given += [state, *given, limit + offset]
    if not branches:
        return f"{_SELECT} WHERE false", []
    return f"{' UNION ALL '.join(branches)} ORDER BY {order.text} LIMIT ? OFFSET ?", [*all_given, *tail]


def _only_untried(wanted: Filter) -> tuple[State, ...]:
    return (State.SCHEDULED,) if wanted.is_retrying is False or wanted.was_tried is False else ()


def _behind(order: Order, values: Sequence[JsonValue]) -> tuple[str, list[JsonValue]]:
    """Rows that come after the one with these values: the first column that differs decides."""
    columns = order.columns
    if len(values) != len(columns):
        raise InvalidRequest("cursor is not one of this listing", field="cursor", rule="as it was given")
    ways, given = [], list[JsonValue]()
    for number, (name, falls) in enumerate(columns):
        equal = [f"{column} = ?" for column, _ in columns[:number]]
        ways.append("(" + " AND ".join([*equal, f"{name} {'<' if falls else '>'} ?"]) + ")")
        given += values[:number + 1]
    first, falls = columns[0]
    return f"{first} {'<=' if falls else '>='} ? AND ({' OR '.join(ways)})", [values[0], *given]


COLUMN_NAMES = tuple(_COLUMNS.split(", "))


def cursor_values(order: Order, row: Sequence[JsonValue]) -> list[JsonValue]:
    """What ``page_of`` takes as ``behind`` to go on after ``row``."""
    named = dict(zip(COLUMN_NAMES, row, strict=True))
    return [named[name] for name, _ in order.columns]
