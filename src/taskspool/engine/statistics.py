"""Counts, times and throughput, read from what the index has counted: no scan, whatever the number of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Connection

from taskspool.engine.index_rows import seconds_of
from taskspool.engine.task import Priority, State

PERCENTILES = (50, 90, 95, 99)
LEVELS = frozenset(map(int, Priority))


@dataclass(frozen=True, slots=True)
class Durations:
    """How long runs took, from claim to result, in seconds. Percentiles are right within 5 percent."""

    count: int
    mean_seconds: float
    percentiles: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Minute:
    """What was finished in the minute that began ``at``."""

    at: datetime
    done: int
    dead: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """The queue at about one instant.

    ``success_rate`` is the share of done among done and dead, 0..1, None when nothing has ended. ``durations`` are by
    type, those of all types under ``all_durations``. ``throughput`` has one entry for each minute in which something
    was finished, oldest first. ``oldest_ready_at`` is when the task that has waited longest was created.
    """

    at: datetime
    by_state: Mapping[State, int]
    by_type: Mapping[str, Mapping[State, int]]
    by_group: Mapping[str, Mapping[State, int]]
    ready_by_priority: Mapping[Priority, int]
    success_rate: float | None
    all_durations: Durations | None
    durations: Mapping[str, Durations]
    throughput: tuple[Minute, ...]
    oldest_ready_at: datetime | None
    is_complete: bool
    """False while the index is being filled: the counts are too low."""


def read_statistics(connection: Connection, now: datetime, minutes: int) -> Statistics:
    """``minutes``: how far back the throughput goes."""
    tally = connection.execute("SELECT state, type, group_key, priority, count FROM tally WHERE count > 0").fetchall()
    by_state = dict.fromkeys(State, 0)
    by_type: dict[str, dict[State, int]] = {}
    by_group: dict[str, dict[State, int]] = {}
    ready = dict.fromkeys(Priority, 0)
    for name, type_, group, level, count in tally:
        state = State(name)
        by_state[state] += count
        _add(by_type.setdefault(type_, {}), state, count)
        if group:
            _add(by_group.setdefault(group, {}), state, count)
        if state is State.READY and level in LEVELS:
            ready[Priority(level)] += count
    ended = by_state[State.DONE] + by_state[State.DEAD]
    oldest = connection.execute("SELECT min(created_at) FROM tasks WHERE state = ?", (State.READY,)).fetchone()[0]
    runs = connection.execute("SELECT type, bucket, count, seconds FROM durations ORDER BY bucket").fetchall()
    is_complete = connection.execute("SELECT value FROM about WHERE name = 'is_complete'").fetchone()[0]
    return Statistics(
        now, by_state, by_type, by_group, ready, by_state[State.DONE] / ended if ended else None,
        _durations((bucket, count, seconds) for _, bucket, count, seconds in runs),
        {kind: found for kind in {row[0] for row in runs}
         if (found := _durations(row[1:] for row in runs if row[0] == kind)) is not None},
        _throughput(connection, now, minutes), None if oldest is None else datetime.fromtimestamp(oldest, UTC),
        bool(is_complete),
    )


def _add(counts: dict[State, int], state: State, count: int) -> None:
    counts[state] = counts.get(state, 0) + count


def _durations(runs: Iterable[tuple[int, int, float]]) -> Durations | None:
    """Of (bucket, count, seconds): one bucket may come from several types."""
    counts: dict[int, int] = {}
    seconds = 0.0
    for bucket, count, sum_of_them in runs:
        counts[bucket] = counts.get(bucket, 0) + count
        seconds += sum_of_them
    total = sum(counts.values())
    if not total:
        return None
    return Durations(total, seconds / total, {percent: _percentile(counts, total, percent) for percent in PERCENTILES})


def _percentile(counts: Mapping[int, int], total: int, percent: int) -> float:
    seen = 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen * 100 >= total * percent:
            return seconds_of(bucket)
    return seconds_of(max(counts))


def _throughput(connection: Connection, now: datetime, minutes: int) -> tuple[Minute, ...]:
    first = int(now.timestamp() / 60) - minutes + 1
    found: dict[int, dict[str, int]] = {}
    for minute, state, count in connection.execute(
            "SELECT minute, state, sum(count) FROM finished WHERE minute >= ? GROUP BY minute, state", (first,)):
        found.setdefault(minute, {})[state] = count
    return tuple(
        Minute(datetime.fromtimestamp(minute * 60, UTC), counts.get(State.DONE, 0), counts.get(State.DEAD, 0),
               counts.get(State.CANCELLED, 0))
        for minute, counts in sorted(found.items()))
