"""The index against the folders: filled when it is new, corrected when it may have missed something.

It is compared when it was made anew, when a process died that had it open, when something could not be written, and
once a day besides. In slices, beside the work: the queue goes on, and what changes meanwhile is noted as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from sqlite3 import Connection

from taskspool.engine import files
from taskspool.engine.chores import Chores
from taskspool.engine.claims import Claims
from taskspool.engine.events import Change
from taskspool.engine.folders import slices_of
from taskspool.engine.index_file import IndexUnusable
from taskspool.engine.index_rows import change_of, states_of
from taskspool.engine.layout import id_of
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.recorder import OPEN_MARK, Recorder
from taskspool.engine.task import State

EVERY_SECONDS = 86_400.0
"""So often it is compared for no reason."""
SLICE = 200
TURN_SECONDS = 5.0
"""A process that compares says so at least this often; another waits so long before it takes over."""
INLINE_SECONDS = 0.5
"""How long who asks waits for an index that is being filled."""
_ROWS = "SELECT number, id, state FROM tasks WHERE number > ? ORDER BY number LIMIT ?"
FOLDERS = {State.READY: "tasks", State.SCHEDULED: "scheduled", State.DEAD: "dead", State.CANCELLED: "cancelled",
           State.DONE: "done"}


class Upkeep:
    def __init__(self, place: Place, claims: Claims, reading: Reading, presence: Presence, recorder: Recorder,
                 chores: Chores) -> None:
        self._place = place
        self._claims = claims
        self._reading = reading
        self._presence = presence
        self._recorder = recorder
        self._chores = chores
        self._waited_for = ""

    def begin(self) -> None:
        """Begin the comparison if it is called for, and nobody else is at it."""
        if self._chores.is_under_way("index") or not self._recorder.index.exists():
            return
        try:
            with self._recorder.index.reading() as connection:
                is_wanted = self._recorder.is_stale or self._is_wanted(connection)
            if is_wanted and self._take_turn():
                self._chores.begin("index", self._slices)
        except IndexUnusable:
            return  # the next sweep asks again

    def finish_soon(self) -> None:
        """Before the index is asked: one that is new is filled, as far as that can be done in a moment, once."""
        self._recorder.flush()
        try:
            with self._recorder.index.reading() as connection:
                if _about(connection, "is_complete") or self._waited_for == self._recorder.index.generation:
                    return
        except IndexUnusable:
            return
        self._waited_for = self._recorder.index.generation
        self.begin()
        self._chores.work(INLINE_SECONDS, until=lambda: not self._chores.is_under_way("index"))

    def _is_wanted(self, connection: Connection) -> bool:
        if not _about(connection, "is_complete"):
            return True
        age = self._place.clock.now().timestamp() - _about(connection, "checked_at")
        return not 0 <= age < EVERY_SECONDS or bool(self._left_open(connection))

    def _left_open(self, connection: Connection) -> list[str]:
        """The marks of processes that died while they had it open."""
        marks = [name for name, in connection.execute("SELECT name FROM about WHERE name GLOB ?", (f"{OPEN_MARK}*",))]
        owners = {mark: mark.removeprefix(OPEN_MARK).split("-") for mark in marks}
        return [mark for mark, (slot, epoch) in owners.items() if not self._presence.is_alive(int(slot), int(epoch))]

    def _take_turn(self) -> bool:
        """False when another process compares."""
        now = self._place.clock.now().timestamp()
        with self._recorder.index.writing() as connection:
            at = _about(connection, "checking_at")
            if now - TURN_SECONDS < at <= now:
                return False
            connection.execute("UPDATE about SET value = ? WHERE name = 'checking_at'", (now,))
        return True

    # -- the comparison ------------------------------------------------------------------------------------------

    def _slices(self) -> Iterator[None]:
        self._recorder.is_stale = False
        began = self._place.clock.now().timestamp()
        try:
            with self._recorder.index.reading() as connection:
                is_new = not _about(connection, "is_complete")
                dead = self._left_open(connection)
            if not is_new:
                yield from self._compare_rows()
            yield from self._compare_names()
            with self._recorder.index.writing() as connection:
                connection.executemany("UPDATE about SET value = ? WHERE name = ?",
                                       [(1, "is_complete"), (began, "checked_at"), (0.0, "checking_at")])
                connection.executemany("DELETE FROM about WHERE name = ?", [(mark,) for mark in dead])
        except IndexUnusable:
            self._recorder.is_stale = True  # the next sweep begins anew

    def _compare_rows(self) -> Iterator[None]:
        """Each row: is its task where it says?"""
        held = {lease.task_id for lease in self._claims.look()}
        behind = 0
        while True:
            with self._recorder.index.reading() as connection:
                rows = connection.execute(_ROWS, (behind, SLICE)).fetchall()
            if not rows:
                return
            behind = rows[-1][0]
            self._correct({task_id: state for _, task_id, state in rows if not self._is_at(task_id, state, held)})
            yield

    def _is_at(self, task_id: str, state: str, held: set[str]) -> bool:
        if state == State.CLAIMED:
            return task_id in held
        return files.exists(self._place.task_path(State(state), task_id))

    def _compare_names(self) -> Iterator[None]:
        """Each file: does the index know of its task?"""
        yield from self._compare_some(State.CLAIMED, [lease.task_id for lease in self._claims.look()])
        for state, folder in FOLDERS.items():
            for names in slices_of(self._place.path(folder), SLICE):
                yield from self._compare_some(state, filter(None, map(id_of, names)))
        for names in slices_of(self._place.path("results"), SLICE):
            yield from self._compare_some(None, filter(None, map(id_of, names)))

    def _compare_some(self, state: State | None, ids: Iterable[str]) -> Iterator[None]:
        """``ids`` were seen in the folder of ``state``; None: they have a result, so they are finished."""
        seen = list(ids)
        with self._recorder.index.reading() as connection:
            known = states_of(connection, seen)
        is_right: Callable[[str | None], bool] = (
            (lambda told: told in ("done", "dead", "cancelled")) if state is None else (lambda told: told == state))
        self._correct({task_id: known.get(task_id) for task_id in seen if not is_right(known.get(task_id))})
        yield

    def _correct(self, doubtful: dict[str, str | None]) -> None:
        """What the files say of tasks whose rows say something else, or are missing."""
        looked_at = self._place.clock.now()
        wrong = [change for task_id, told in doubtful.items() if (change := self._seen(task_id, told, looked_at))]
        if wrong:
            self._recorder.correct(wrong, looked_at)

    def _seen(self, task_id: str, told: str | None, now: datetime) -> Change | None:
        """The change that puts the row right; None when it is right."""
        snapshot = self._reading.find(task_id)
        if snapshot is None:
            return None if told is None else Change("adopt", task_id, None, now)
        if snapshot.state == told:
            return None
        return change_of(snapshot, self._reading.result(task_id) if snapshot.state.is_final else None)


def _about(connection: Connection, name: str) -> float:
    found = connection.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
    return 0.0 if found is None else float(found[0])
