"""Numbers for dashboards and monitors, read from what the index has counted: no scan, whatever the number of tasks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sqlite3 import Connection

from taskspool.engine.index_rows import BUCKETS_PER_E
from taskspool.engine.task import State

FIRST_BUCKET, LAST_BUCKET, STEP = -53, 101, 7
BOUNDS = tuple(range(FIRST_BUCKET, LAST_BUCKET, STEP))
"""Every seventh bucket of the index, whose upper edge is about twice the one before: from some 5 ms to 7 hours."""
BOUNDS_SECONDS = tuple(float(f"{math.exp((bucket + 0.5) / BUCKETS_PER_E):.6g}") for bucket in BOUNDS)


LATEST = 1000
"""So many tasks that ended last tell how long each worker takes."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Tasks of a group, or all, as they are now. States and types of which there is none are left out.

    ``retrying``: scheduled, and an attempt on it has ended. ``mean_seconds``: from claim to end, over all runs that
    ended a task, as far back as the index goes; None when there was none. ``is_complete`` is False while the index is
    being filled: the counts are too low.
    """

    by_state: Mapping[State, int]
    by_type: Mapping[str, int]
    retrying: int
    mean_seconds: float | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long runs took that ended a task, from claim to end. ``cumulative[n]`` of them took at most
    ``bounds_seconds[n]`` (right within half a thousandth of it), all of them took ``sum_seconds`` together."""

    bounds_seconds: tuple[float, ...]
    cumulative: tuple[int, ...]
    count: int
    sum_seconds: float


def read_figures(connection: Connection, group: str | None) -> Figures:
    """Of one group, or (None) of all tasks."""
    among, given = ("", ()) if group is None else (" AND group_key = ?", (group,))
    counted = f"""SELECT state, type, was_tried, sum(count) FROM tally WHERE count > 0{among}
        GROUP BY state, type, was_tried"""  # noqa: S608 - a text from above
    by_state: dict[State, int] = {}
    by_type: dict[str, int] = {}
    retrying = 0
    for name, kind, was_tried, count in connection.execute(counted, given).fetchall():
        state = State(name)
        by_state[state] = by_state.get(state, 0) + count
        by_type[kind] = by_type.get(kind, 0) + count
        retrying += count if was_tried and state is State.SCHEDULED else 0
    ended = f"SELECT sum(runs), sum(seconds) FROM ended WHERE true{among}"  # noqa: S608 - a text from above
    runs, seconds = connection.execute(ended, given).fetchone()
    is_complete = connection.execute("SELECT value FROM about WHERE name = 'is_complete'").fetchone()[0]
    return Figures(by_state, by_type, retrying, seconds / runs if runs else None, bool(is_complete))


def read_histograms(connection: Connection) -> dict[str, Histogram]:
    """By type."""
    rows = connection.execute("SELECT type, bucket, count, seconds FROM durations ORDER BY type, bucket").fetchall()
    return {kind: _histogram([row[1:] for row in of_kind])
            for kind, of_kind in itertools.groupby(rows, key=lambda row: row[0])}


def _histogram(buckets: Iterable[tuple[int, int, float]]) -> Histogram:
    """Of (bucket, count, seconds)."""
    buckets = list(buckets)
    cumulative = tuple(sum(count for bucket, count, _ in buckets if bucket <= bound) for bound in BOUNDS)
    return Histogram(BOUNDS_SECONDS, cumulative, sum(count for _, count, _ in buckets),
                     sum(seconds for _, _, seconds in buckets))


def read_ended(connection: Connection) -> dict[tuple[str, State], int]:
    """(type, state) -> how many tasks ended so, ever."""
    rows = connection.execute("SELECT type, state, sum(count) FROM ended GROUP BY type, state").fetchall()
    return {(kind, State(state)): count for kind, state, count in rows}


def read_means(connection: Connection) -> dict[str, float]:
    """Worker -> seconds from claim to end, the mean of its share of the ``LATEST`` tasks that ended."""
    return dict(connection.execute("""SELECT worker, avg(duration) FROM (SELECT worker, duration FROM tasks
        WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT ?)
        WHERE worker IS NOT NULL AND duration IS NOT NULL GROUP BY worker""", (LATEST,)))
