"""The line of waiting tasks, the schedule and the ledger of results, filled from the index at start: no file is read.

The index only suggests. A look at the folders follows: names the index does not know are read, and what it believes
in vain is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from taskspool.engine.index_file import IndexFile, IndexUnusable
from taskspool.engine.ledger import Ledger
from taskspool.engine.ready import ReadyLine, entry_at
from taskspool.engine.schedule import Schedule
from taskspool.engine.task import Priority, State
from taskspool.engine.waits import Wait

SLICE = 1000
MARGIN_SECONDS = 5.0
"""Files written later than this before the index was written last are read again: it may not know of it."""
FINAL = frozenset({State.DONE, State.DEAD, State.CANCELLED})
_READY = """SELECT lined_up_at, number, id, type FROM tasks WHERE state = ? AND priority = ?
    AND (lined_up_at, number) > (?, ?) ORDER BY lined_up_at, number LIMIT ?"""
_SCHEDULED = """SELECT number, id, not_before, delay, deadline FROM tasks WHERE state = ? AND number > ?
    ORDER BY number LIMIT ?"""
_FINISHED = """SELECT finished_at, number, id, state, duration FROM tasks
    WHERE (finished_at, number) > (?, ?) ORDER BY finished_at, number LIMIT ?"""
_DEADLINES = "SELECT id, deadline FROM tasks WHERE state = ? AND deadline IS NOT NULL"


class Refill:
    def __init__(self, index: IndexFile, line: ReadyLine, schedule: Schedule, ledger: Ledger,
                 aging_seconds: float) -> None:
        self._index = index
        self._line = line
        self._schedule = schedule
        self._ledger = ledger
        self._aging_seconds = aging_seconds
        self.written_at = 0.0
        """Seconds of the wall clock: a file changed later than this may not be what the index says; 0 before."""

    def slices(self) -> Iterator[None]:
        """Highest priority first, so that what is filled is right as far as it goes. An index that fails ends it."""
        try:
            with self._index.reading() as connection:
                at = connection.execute("SELECT value FROM about WHERE name = 'written_at'").fetchone()[0]
            self.written_at = max(0.0, at - MARGIN_SECONDS)
            for level in sorted(map(int, Priority), reverse=True):
                yield from self._fill_level(level)
            yield from self._fill_schedule()
            yield from self._fill_ledger()
            with self._index.reading() as connection:
                deadlines = connection.execute(_DEADLINES, (State.READY,)).fetchall()
            for task_id, deadline in deadlines:
                self._line.set_deadline(task_id, deadline)
        except IndexUnusable:
            return  # the look at the folders reads what is missing

    def _fill_level(self, level: int) -> Iterator[None]:
        behind = (-1e300, 0)
        kinds: dict[str, str] = {}
        while True:
            with self._index.reading() as connection:
                rows = connection.execute(_READY, (State.READY, level, *behind, SLICE)).fetchall()
            self._line.add_unknown(
                entry_at(level, lined_up_at, task_id, kinds.setdefault(kind, kind), self._aging_seconds)
                for lined_up_at, _, task_id, kind in rows)
            if len(rows) < SLICE:
                return
            behind = rows[-1][:2]
            yield

    def _fill_ledger(self) -> Iterator[None]:
        behind = (-1e300, 0)
        while True:
            with self._index.reading() as connection:
                rows = connection.execute(_FINISHED, (*behind, SLICE)).fetchall()
            self._ledger.add_known((task_id, at, state, seconds) for at, _, task_id, state, seconds in rows
                                   if state in FINAL)
            if len(rows) < SLICE:
                return
            behind = rows[-1][:2]
            yield

    def _fill_schedule(self) -> Iterator[None]:
        behind = 0
        while True:
            with self._index.reading() as connection:
                rows = connection.execute(_SCHEDULED, (State.SCHEDULED, behind, SLICE)).fetchall()
            self._schedule.add_unknown((row[1], Wait(row[2] or 0.0, row[3]), row[4]) for row in rows)
            if len(rows) < SLICE:
                return
            behind = rows[-1][0]
            yield
