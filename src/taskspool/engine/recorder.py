"""Writing behind: changes are noted in memory and reach the index a moment later, many in one transaction.

``note`` never waits, never fails, and costs a verb next to nothing. What cannot be written is not lost: the files are
the truth, and an index that has missed something is marked, compared with them and corrected.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from sqlite3 import Connection

from taskspool.engine.events import Change
from taskspool.engine.index_file import IndexFile, IndexUnusable
from taskspool.engine.index_rows import forget_old, news_among, write_events, write_rows
from taskspool.engine.place import Place

RHYTHM_SECONDS = 0.1
"""Changes wait about so long for company."""
MANY_NOTES = 200
BUSY_SECONDS = 0.4
"""With more than so many changes in that time they wait longer: a task that comes and goes meanwhile is one row."""
HOLD_SECONDS = 1.0
"""What was found, rather than done, waits so long for the word of the process that did it."""
MAX_NOTES = 100_000
"""More are not kept in memory: the index is compared with the files instead."""
MAX_FOUND = 5_000
"""So many things that were found wait; who finds more writes them first."""
BATCH = 5_000
OPEN_MARK = "open-"

log = logging.getLogger("taskspool.index")


@lru_cache(maxsize=256)
def _types_text(types: tuple[str, ...] | None) -> str:
    """As the index keeps them: workers ask for the same ones again and again."""
    return json.dumps(None if types is None else sorted(types))


class Recorder:
    """Takes notes from any thread; one thread of its own, started with the first note, writes them."""

    def __init__(self, place: Place) -> None:
        self.index = IndexFile(place)
        self._place = place
        self._notes: deque[Change] = deque()
        self._found: deque[tuple[float, Change]] = deque()
        self._asked: dict[str, tuple[str, float]] = {}
        self._wake = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
        self._has_thread = False
        self._starting = threading.Lock()
        self._closing = threading.Event()
        self._is_resting = True
        self.is_stale = False
        """Whether something was not written: the index has to be compared with the files."""

    def open(self) -> None:
        """This process may write from here on: should it die, who comes next knows that something may be missing."""
        if self.index.exists():
            try:
                with self.index.writing() as connection:
                    self._mark_open(connection)
            except IndexUnusable as error:
                log.warning("the index is not used for now: %s", error)
                self.is_stale = True

    def note(self, change: Change) -> None:
        """Something happened: this process did it."""
        if len(self._notes) >= MAX_NOTES:
            self.is_stale = True
            return
        self._notes.append(change)
        if self._is_resting:
            self._rouse()

    def found(self, change: Change) -> None:
        """Something has happened: this process sees it in the folder, and does not know who did it.

        It is told as an event only if nobody has told it within a moment.
        """
        if len(self._found) >= MAX_FOUND:
            self.flush()
        if change.task is not None:
            change = change._replace(task=replace(change.task, data=None))  # it may wait, and there may be many
        self._found.append((self._place.clock.monotonic(), change))
        if self._is_resting:
            self._rouse()

    def asked(self, worker: str, types: Collection[str] | None) -> None:
        """``worker`` asked for tasks of ``types`` (None: any) just now."""
        text = _types_text(None if types is None else tuple(types))
        self._asked[worker] = (text, self._place.clock.now().timestamp())
        if self._is_resting:
            self._rouse()

    def flush(self, *, hold_seconds: float = 0.0) -> bool:
        """Write what was noted until now, and what was found ``hold_seconds`` ago. False when the index cannot be
        written this moment."""
        with self._writing:
            return self._write_all(hold_seconds=hold_seconds)

    def now(self) -> datetime:
        """The wall clock the changes are told by."""
        return self._place.clock.now()

    def close(self) -> None:
        """Write what is left. An index that has missed nothing says so."""
        self._closing.set()
        self._wake.set()
        if self._has_thread:
            self._thread.join(timeout=5)
            self.flush()
            self._sign_off()
        self.index.close()

    def correct(self, changes: Sequence[Change], looked_at: datetime) -> None:
        """What the files said of some tasks when they were looked at: it wins over what the index says, unless that is
        newer. Raises IndexUnusable."""
        with self._writing, self.index.writing() as connection:
            write_rows(connection, changes, looked_at=looked_at.timestamp())

    # -- the thread ----------------------------------------------------------------------------------------------

    def _rouse(self) -> None:
        self._is_resting = False
        self._wake.set()
        if not self._has_thread:
            self._start()

    def _start(self) -> None:
        with self._starting:
            if not self._has_thread and not self._closing.is_set():
                self._thread.start()
                self._has_thread = True

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.clear()
            self._is_resting = True
            if not (self._notes or self._found or self._asked):  # what comes after this line sees us resting
                self._wake.wait()
            self._is_resting = False
            self._closing.wait(RHYTHM_SECONDS)
            if len(self._notes) > MANY_NOTES:  # a task's moves are one row, if they come together
                self._closing.wait(BUSY_SECONDS)
            with self._writing:
                self._write_all(hold_seconds=HOLD_SECONDS)

    def _write_all(self, *, hold_seconds: float) -> bool:
        """Everything noted, in batches. What a failure leaves unwritten is dropped, and the index marked."""
        before = self._place.clock.monotonic() - hold_seconds
        found = [self._found.popleft()[1] for _ in range(len(self._found)) if self._found[0][0] <= before]
        while self._notes or found or self._asked:
            changes = [self._notes.popleft() for _ in range(min(BATCH, len(self._notes)))]
            asked, self._asked = self._asked, {}
            try:
                self._write(changes, found, asked)
            except IndexUnusable as error:
                if not self.is_stale:
                    log.warning("the index is behind, and will be compared with the files: %s", error)
                self.is_stale = True
                return False
            found = []
        return True

    def _write(self, changes: list[Change], found: list[Change], asked: dict[str, tuple[str, float]]) -> None:
        place, now = self._place, self._place.clock.now().timestamp()
        with self.index.writing() as connection:
            news, is_told = news_among(connection, found)
            write_events(connection, [*(news if is_told else ()), *changes], place.slot)
            write_rows(connection, [*news, *changes])
            connection.executemany("INSERT OR REPLACE INTO asked VALUES (?, ?, ?)",
                                   [(worker, *what) for worker, what in asked.items()])
            connection.execute("UPDATE about SET value = ? WHERE name = 'written_at'", (now,))
            self._mark_open(connection)
            if self.is_stale:
                connection.execute("UPDATE about SET value = 0 WHERE name = 'checked_at'")
            forget_old(connection, now)

    def _mark_open(self, connection: Connection) -> None:
        connection.execute("INSERT OR REPLACE INTO about VALUES (?, 1)", (_open_mark(self._place),))

    def _sign_off(self) -> None:
        if self.is_stale:
            return
        try:
            with self.index.writing() as connection:
                connection.execute("DELETE FROM about WHERE name = ?", (_open_mark(self._place),))
        except IndexUnusable:
            return  # it looks as if this process had died: the next one compares


def _open_mark(place: Place) -> str:
    """While a row of this name stands and its process is dead, the index may have missed what that did last."""
    return f"{OPEN_MARK}{place.slot}-{place.epoch}"
