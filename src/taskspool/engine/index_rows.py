"""Changes as rows of the index, and the statements that write them.

A batch goes to SQLite as one JSON text: one statement writes all of it, and this process's other threads run
meanwhile. Changes of several processes arrive in any order; the later one, by its own time, wins.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from taskspool.engine.events import Change
from taskspool.engine.index_schema import COLUMNS, CONTENT, KEPT_ASKED_SECONDS, KEPT_EVENTS, KEPT_MINUTES, PLACE
from taskspool.engine.task import JsonValue, Result, Snapshot, State, Task

LATE_SECONDS = 10.0
"""A change older than what is known came late, unless it is older by more than this: then a clock was set back."""
BUCKETS_PER_E = 10
"""Durations are counted in buckets that grow by a tenth of e: what they tell is right within 5 percent."""
_NO_CONTENT: list[JsonValue] = [None] * len(CONTENT)
_SIZE = len(COLUMNS)


def _values(first: int, count: int) -> str:
    return ", ".join(f"json_extract(value, '$[{first + number}]')" for number in range(count))


_IS_LATER = f"excluded.updated_at >= updated_at OR excluded.updated_at < updated_at - {LATE_SECONDS}"
_ROW = _values(0, _SIZE)
_INSERT = f"INSERT INTO tasks ({', '.join(COLUMNS)}) SELECT {_ROW} FROM json_each(?) WHERE true "  # noqa: S608 - names
_INSERT += "ON CONFLICT (id) DO UPDATE SET "
_CONTENT_IF = "{0} = IIF(excluded.type IS NOT NULL AND (type IS NULL OR {1}), excluded.{0}, {0})"
_MERGE = _INSERT + ", ".join([*(_CONTENT_IF.format(name, _IS_LATER) for name in CONTENT),
                              *(f"{name} = IIF({_IS_LATER}, excluded.{name}, {name})" for name in PLACE)])
_FORCE = _INSERT + ", ".join([*(_CONTENT_IF.format(name, "true") for name in CONTENT),
                              *(f"{name} = excluded.{name}" for name in PLACE)])
_FORCE += f" WHERE tasks.updated_at <= ? OR tasks.updated_at > ? + {LATE_SECONDS}"
_DELETE = "DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?)) AND (? IS NULL OR updated_at <= ?)"
_FINISHED_AT = COLUMNS.index("finished_at")
_OWN = {name: f"json_extract(value, '$[{COLUMNS.index(name)}]')" for name in COLUMNS}
_PASSED = f"""INSERT INTO ends SELECT IFNULL({_OWN['type']}, tasks.type),
    IIF({_OWN['type']} IS NULL, tasks.group_key, {_OWN['group_key']}), {_OWN['state']}, {_OWN['finished_at']},
    {_OWN['duration']}, {_OWN['bucket']} FROM json_each(?) LEFT JOIN tasks ON tasks.id = {_OWN['id']}
    WHERE tasks.finished_at IS NOT {_OWN['finished_at']}"""  # noqa: S608 - names of columns
"""Ends that no row tells, because the task was retried, or pruned, right after: counted, unless they were before."""
_LATE = f"""{_PASSED} AND {_OWN['updated_at']} < tasks.updated_at
    AND {_OWN['updated_at']} >= tasks.updated_at - {LATE_SECONDS}"""
"""The same for ends whose word comes after that of a retry, which another process wrote."""
_TYPE = f"IFNULL({_values(4, 1)}, (SELECT type FROM tasks WHERE id = {_values(1, 1)}))"  # noqa: S608 - numbers
_EVENT = f"""INSERT INTO events (at, task_id, verb, state, type, worker, attempt, reason, slot)
    SELECT {_values(0, 4)}, {_TYPE}, {_values(5, 4)} FROM json_each(?)"""  # noqa: S608 - as above


Row = list[JsonValue]


def write_rows(connection: sqlite3.Connection, changes: Sequence[Change], *, looked_at: float | None = None) -> None:
    """The last of the changes of each task, as its row.

    With ``looked_at`` (seconds since 1970) they are what the files said then, and win over all that is not newer.
    """
    rows, passed = _latest(changes)
    if passed:
        connection.execute(_PASSED, (json.dumps(passed),))
    if looked_at is None and (ended := [row for row in rows.values() if row[_FINISHED_AT] is not None]):
        connection.execute(_LATE, (json.dumps(ended),))
    if rows:
        text = json.dumps(list(rows.values()))
        if looked_at is None:
            connection.execute(_MERGE, (text,))
        else:
            connection.execute(_FORCE, (text, looked_at, looked_at))
    tags = [(tag, change.task_id) for change in changes if change.task is not None for tag in change.task.options.tags]
    if tags:
        connection.executemany("INSERT OR IGNORE INTO tags VALUES (?, ?)", tags)
    if gone := {change.task_id for change in changes if change.state is None}:
        connection.execute(_DELETE, (json.dumps(list(gone)), looked_at, looked_at))


def _latest(changes: Iterable[Change]) -> tuple[dict[str, Row], list[Row]]:
    """(the rows by id, those of tasks that had ended and went on or were pruned: their rows will not tell)."""
    rows: dict[str, Row] = {}
    passed: list[Row] = []
    for change in changes:
        known = rows.pop(change.task_id, None)
        row = None if change.state is None else _row(change, known)
        if known is not None and known[_FINISHED_AT] not in (None, row and row[_FINISHED_AT]):
            passed.append(known)
        if row is not None:
            rows[change.task_id] = row
    return rows, passed


def _row(change: Change, known: Row | None) -> Row:
    """``known``: what an earlier change of the same batch told of its content."""
    content = _NO_CONTENT if known is None else known[1:len(CONTENT) + 1]
    return [change.task_id, *(content if change.task is None else _content(change.task)), *_where(change)]


def write_events(connection: sqlite3.Connection, changes: Iterable[Change], slot: int) -> None:
    """Each change as an event, in this order, before its row: a type that no change tells is looked up there."""
    types: dict[str, str] = {}
    events: list[list[JsonValue]] = []
    for change in changes:
        if change.task is not None:
            types[change.task_id] = change.task.type
        events.append([change.at.timestamp(), change.task_id, change.verb, change.state, types.get(change.task_id),
                       change.worker, change.attempt, change.reason, slot])
    if events:
        connection.execute(_EVENT, (json.dumps(events),))


def news_among(connection: sqlite3.Connection, found: Sequence[Change]) -> tuple[list[Change], bool]:
    """(those the index does not know yet, whether they are told as events).

    What is found while the index is filled anew is no news to anybody.
    """
    if not found:
        return [], False
    ids = json.dumps([change.task_id for change in found])
    known = {task_id: (state, updated_at) for task_id, state, updated_at in connection.execute(
        "SELECT id, state, updated_at FROM tasks WHERE id IN (SELECT value FROM json_each(?))", (ids,))}
    news: list[Change] = []
    for change in found:
        if _is_news(change, known.get(change.task_id)):
            known[change.task_id] = (change.state, change.at.timestamp())
            news.append(change)
    is_complete = connection.execute("SELECT value FROM about WHERE name = 'is_complete'").fetchone()
    return news, is_complete is not None and bool(is_complete[0])


def states_of(connection: sqlite3.Connection, ids: Sequence[str]) -> dict[str, str]:
    """The states the index tells of these tasks; those it does not know are left out."""
    return dict(connection.execute("SELECT id, state FROM tasks WHERE id IN (SELECT value FROM json_each(?))",
                                   (json.dumps(ids),)))


def _is_news(change: Change, known: tuple[str, float] | None) -> bool:
    if known is None:
        return change.state is not None
    state, updated_at = known
    return change.state != state and change.at.timestamp() >= updated_at


def forget_old(connection: sqlite3.Connection, now: float) -> None:
    connection.execute("DELETE FROM events WHERE seq <= (SELECT max(seq) FROM events) - ?", (KEPT_EVENTS,))
    connection.execute("DELETE FROM finished WHERE minute < ?", (int(now / 60) - KEPT_MINUTES,))
    connection.execute("DELETE FROM asked WHERE at < ?", (now - KEPT_ASKED_SECONDS,))


def change_of(snapshot: Snapshot, result: Result | None) -> Change:
    """What a look at the files tells, in the shape of a change."""
    return Change("adopt", snapshot.task.id, snapshot.state, snapshot.updated_at, snapshot.task, result,
                  snapshot.worker)


def _content(task: Task) -> list[JsonValue]:
    options = task.options
    return [task.type, int(task.priority), options.group, task.requester, task.created_at.timestamp(),
            task.lined_up_at.timestamp(), _seconds(task.deadline), task.attempts, task.crashes, options.batch_id,
            options.unique_key, options.parent]


def _where(change: Change) -> list[JsonValue]:
    result, task, state = change.result, change.task, change.state
    worker = change.worker if state is not State.READY and state is not State.SCHEDULED else None
    waits: tuple[float | None, float | None] = (None, None)
    if task is not None and state is State.SCHEDULED:
        waits = (_seconds(task.not_before), task.delay_seconds)
    place: list[JsonValue] = [state, worker, change.at.timestamp(), *waits]
    if result is None:
        return [*place, None, None, None]
    duration = result.duration_seconds
    return [*place, result.completed_at.timestamp(), duration, None if duration is None else bucket_of(duration)]


def _seconds(instant: datetime | None) -> float | None:
    return None if instant is None else instant.timestamp()


def bucket_of(seconds: float) -> int:
    return round(BUCKETS_PER_E * math.log(max(seconds, 0.0001)))


def seconds_of(bucket: int) -> float:
    return math.exp(bucket / BUCKETS_PER_E)
