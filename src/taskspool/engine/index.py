"""The index as the queue asks it: lists with filter and order, statistics, events, who asked for work.

What it lists is confirmed by the files: each task of a page is read, a row that was wrong is corrected, and the page
says what the file says. An index that is missing or behind gives short pages and low counts for the moment, never
wrong tasks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import TypeVar

from taskspool.engine.events import Change, Event
from taskspool.engine.figures import (
    Figures, Histogram, read_ended, read_figures, read_histograms, read_means,
)
from taskspool.engine.index_file import IndexUnusable
from taskspool.engine.index_query import EVERYTHING, Filter, Order, cursor_values, order_of, page_of, total_of
from taskspool.engine.index_rows import change_of
from taskspool.engine.reading import Reading
from taskspool.engine.recorder import HOLD_SECONDS, Recorder
from taskspool.engine.statistics import Statistics, read_statistics
from taskspool.engine.task import JsonValue, Snapshot, State
from taskspool.engine.upkeep import Upkeep
from taskspool.errors import InvalidRequest, StoreUnavailable

Answer = TypeVar("Answer")

MAX_LIMIT = 1000
CONFIRM_TRIES = 3
DEEP = 1000
"""From so many tasks in a state on, its folder is not listed for a page."""
RESET = "reset"
"""The verb of the event that says: what came between is not known any more, look anew."""
_EVENTS = """SELECT seq, at, verb, task_id, state, type, worker, attempt, reason FROM events
    WHERE seq > ? ORDER BY seq LIMIT ?"""
_EVENTS_OF = """SELECT seq, at, verb, task_id, state, type, worker, attempt, reason FROM events
    WHERE task_id = ? AND seq > ? ORDER BY seq LIMIT ?"""


@dataclass(frozen=True, slots=True)
class Page:
    """``total`` counts all that fit the filter; ``cursor`` goes on behind this page, None at the end."""

    items: tuple[Snapshot, ...]
    total: int
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """``worker`` asked for tasks of ``types`` (None: any), the last time ``at``."""

    worker: str
    types: tuple[str, ...] | None
    at: datetime


class Index:
    """Every method raises StoreUnavailable when the index cannot be asked this moment."""

    def __init__(self, reading: Reading, recorder: Recorder, upkeep: Upkeep) -> None:
        self._reading = reading
        self._upkeep = upkeep
        self._recorder = recorder
        self._file = recorder.index

    # -- lists ---------------------------------------------------------------------------------------------------

    def listing(self, wanted: Filter = EVERYTHING, *, sort: str = "-created_at", limit: int = 50, offset: int = 0,
                cursor: str | None = None) -> Page:
        """A page of tasks. ``sort``: a key of ``index_query.SORT_KEYS``, with ``-`` before it to fall.

        ``offset`` skips; ``cursor`` (of the page before) goes on without counting. Raises InvalidRequest.
        """
        if not 0 <= limit <= MAX_LIMIT or offset < 0:
            raise InvalidRequest(f"limit must lie in 0..{MAX_LIMIT}, offset be 0 or more", field="limit",
                                 rule=f"0..{MAX_LIMIT}")
        order = order_of(sort)
        behind = None if cursor is None else _parse_cursor(cursor)
        self._upkeep.finish_soon()
        try:
            return self._confirmed(wanted, order, limit, offset, behind)
        except IndexUnusable as error:
            raise _unavailable(error) from error

    def _confirmed(self, wanted: Filter, order: Order, limit: int, offset: int,
                   behind: list[JsonValue] | None) -> Page:
        for is_last in [False] * (CONFIRM_TRIES - 1) + [True]:
            rows, total = self._rows(wanted, order, limit, offset, behind)
            looked_at = self._recorder.now()
            found = [(row, self._reading.find(row[1])) for row in rows]
            wrong = [(row[1], snapshot) for row, snapshot in found if snapshot is None or snapshot.state != row[2]]
            if wrong:
                self._correct(wrong, looked_at)
            if not wrong or is_last:
                break
        items = tuple(snapshot for _, snapshot in found
                      if snapshot is not None and (wanted.states is None or snapshot.state in wanted.states))
        goes_on = len(rows) == limit > 0
        return Page(items, total, json.dumps(cursor_values(order, rows[-1])) if goes_on else None)

    def _rows(self, wanted: Filter, order: Order, limit: int, offset: int,
              behind: list[JsonValue] | None) -> tuple[list[Sequence[JsonValue]], int]:
        with self._file.reading() as connection:
            rows = connection.execute(*page_of(wanted, order, limit, offset, behind)).fetchall()
            total = connection.execute(*total_of(wanted)).fetchone()[0]
        return rows, total

    def _correct(self, wrong: list[tuple[str, Snapshot | None]], looked_at: datetime) -> None:
        self._recorder.correct([
            Change("adopt", task_id, None, looked_at) if snapshot is None
            else change_of(snapshot, self._reading.result(task_id) if snapshot.state.is_final else None)
            for task_id, snapshot in wrong
        ], looked_at)

    def deep_total(self, state: State) -> int | None:
        """How many tasks are in ``state``, if they are too many to be looked at one by one; None otherwise."""
        try:
            with self._file.reading() as connection:
                total: int = connection.execute(*total_of(Filter(states=frozenset({state})))).fetchone()[0]
        except IndexUnusable:
            return None
        return total if total > DEEP else None

    def first_of(self, state: State, types: Collection[str] | None, limit: int, *,
                 oldest: bool) -> list[Snapshot] | None:
        """As ``Store.listing``, for a state that too many tasks are in to look at them one by one; else None."""
        if state is State.CLAIMED or limit > MAX_LIMIT or self.deep_total(state) is None:
            return None
        sort = "-created_at" if state.is_final else "-priority" if state is State.READY and not oldest else "created_at"
        wanted = Filter(states=frozenset({state}), types=None if types is None else frozenset(types))
        try:
            found = list(self.listing(wanted, sort=sort, limit=limit).items)
        except StoreUnavailable:
            return None
        return found[::-1] if state.is_final else found

    # -- statistics ----------------------------------------------------------------------------------------------

    def statistics(self, *, minutes: int = 60) -> Statistics:
        """Counts, times, and the throughput of the last ``minutes``."""
        return self._counted(lambda connection: read_statistics(connection, self._recorder.now(), minutes))

    def figures(self, group: str | None = None) -> Figures:
        """What a dashboard shows of one group, or of all."""
        return self._counted(lambda connection: read_figures(connection, group))

    def histograms(self) -> Mapping[str, Histogram]:
        """By type, how long runs took."""
        return self._counted(read_histograms)

    def ended_totals(self) -> Mapping[tuple[str, State], int]:
        """(type, state) -> how many tasks ended so since the index was made; pruning does not lower it."""
        return self._counted(read_ended)

    def mean_seconds_by_worker(self) -> Mapping[str, float]:
        """From claim to end, over the latest 1000 tasks that ended."""
        return self._counted(read_means)

    def _counted(self, read: Callable[[Connection], Answer]) -> Answer:
        self._upkeep.finish_soon()
        try:
            with self._file.reading() as connection:
                return read(connection)
        except IndexUnusable as error:
            raise _unavailable(error) from error

    # -- events --------------------------------------------------------------------------------------------------

    def events(self, after: str | None = None, *, task_id: str | None = None, limit: int = 100) -> list[Event]:
        """What happened after the event with the id ``after`` (None: as far back as is known), oldest first.

        When that cannot be told without a gap, because the index was made anew or it is too long ago, the first one
        has the verb ``reset``: its reader looks anew, and goes on from it.
        """
        self._recorder.flush(hold_seconds=HOLD_SECONDS)  # what was found may be told by who did it
        try:
            with self._file.reading() as connection:
                generation = self._file.generation
                first, last = connection.execute("SELECT min(seq), max(seq) FROM events").fetchone()
                seq, reset = _place_in(after, generation, first or 1, last or 0)
                if task_id is None:
                    rows = connection.execute(_EVENTS, (seq, limit)).fetchall()
                else:
                    rows = connection.execute(_EVENTS_OF, (task_id, seq, limit)).fetchall()
        except IndexUnusable as error:
            raise _unavailable(error) from error
        events = [_event(generation, row) for row in rows]
        if reset:
            now = self._recorder.now()
            return [Event(f"{generation}-{seq}", now, RESET, task_id or "", None, reason=reset), *events][:limit]
        return events

    def last_event_id(self) -> str:
        """What to give to ``events`` to be told only what comes from now on."""
        self._recorder.flush(hold_seconds=HOLD_SECONDS)  # what was found may be told by who did it
        try:
            with self._file.reading() as connection:
                seq = connection.execute("SELECT IFNULL(max(seq), 0) FROM events").fetchone()[0]
                return f"{self._file.generation}-{seq}"
        except IndexUnusable as error:
            raise _unavailable(error) from error

    # -- who asked -----------------------------------------------------------------------------------------------

    def asked(self, type_: str | None = None, *, since: datetime) -> list[Asked]:
        """Who asked for tasks of ``type_`` (None: of any) since then, the latest first."""
        self._recorder.flush()
        try:
            with self._file.reading() as connection:
                rows = connection.execute("SELECT worker, types, at FROM asked WHERE at >= ? ORDER BY at DESC",
                                          (since.timestamp(),)).fetchall()
        except IndexUnusable as error:
            raise _unavailable(error) from error
        found = [Asked(worker, None if (kinds := json.loads(types)) is None else tuple(kinds),
                       datetime.fromtimestamp(at, UTC)) for worker, types, at in rows]
        return [one for one in found if type_ is None or one.types is None or type_ in one.types]


def _place_in(after: str | None, generation: str, first: int, last: int) -> tuple[int, str | None]:
    """(the number to go on behind, why there is a gap or None)."""
    if after is None:
        return first - 1, None
    told, _, text = after.rpartition("-")
    if told != generation or not text.isdecimal() or len(text) > 18 or int(text) > last:
        return last, "the record of events was begun anew"
    if int(text) < first - 1:
        return last, "that is too long ago: what came after it is not known any more"
    return int(text), None


def _event(generation: str, row: Sequence[JsonValue]) -> Event:
    seq, at, verb, task_id, state, type_, worker, attempt, reason = row
    return Event(f"{generation}-{seq}", datetime.fromtimestamp(at, UTC), verb, task_id,
                 None if state is None else State(state), type_, worker, attempt, reason)


def _parse_cursor(cursor: str) -> list[JsonValue]:
    try:
        values = json.loads(cursor)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or not all(isinstance(value, str | int | float) for value in values):
        raise InvalidRequest("cursor is not one of this listing", field="cursor", rule="as it was given")
    return values


def _unavailable(error: IndexUnusable) -> StoreUnavailable:
    return StoreUnavailable(f"the index cannot be asked this moment: {error}",
                            hint="tasks and results can be asked for by id meanwhile")
