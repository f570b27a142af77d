"""What other processes did, as the index tells it: hints for the line of waiting tasks.

A look through a folder of a million names is rare; here a process hears of new tasks, and of those that others took,
twice a second at the price of a query. The folder decides, as ever.
"""

from __future__ import annotations

import json
from sqlite3 import Connection

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.index_file import IndexFile, IndexUnusable
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.ready import ReadyLine, entry_at, entry_of
from taskspool.engine.task import State

MOST = 5_000
"""Of more than so many changes at once only the newest are heard; the look at the folder finds the rest."""
_NEWS = "SELECT seq, task_id, state, verb FROM events WHERE seq > ? AND slot <> ? ORDER BY seq DESC LIMIT ?"
_WAITING = """SELECT priority, lined_up_at, id, type, deadline FROM tasks
    WHERE id IN (SELECT value FROM json_each(?)) AND +state = ? AND type IS NOT NULL"""


class Follower:
    def __init__(self, place: Place, reading: Reading, index: IndexFile, line: ReadyLine, bell: Bell) -> None:
        self._reading = reading
        self._place = place
        self._index = index
        self._line = line
        self._bell = bell
        self._heard = ("", 0)

    def follow(self) -> None:
        """Hear what is new since the last time; the first time, and when the index is another one, nothing is."""
        if not self._index.exists():
            return
        try:
            with self._index.reading() as connection:
                self._hear(connection)
        except IndexUnusable:
            return  # the look at the folder sees it

    def _hear(self, connection: Connection) -> None:
        generation, seq = self._heard
        if generation != self._index.generation:
            last = connection.execute("SELECT IFNULL(max(seq), 0) FROM events").fetchone()[0]
            self._heard = (self._index.generation, last)
            return
        news = connection.execute(_NEWS, (seq, self._place.slot, MOST)).fetchall()
        if not news:
            return
        self._heard = (generation, news[0][0])
        states = {task_id: state for _, task_id, state, _ in reversed(news)}
        for task_id, state in states.items():
            self._reading.heard(task_id, state)
            if state != State.READY and not files.exists(self._place.task_path(State.READY, task_id)):
                self._line.discard(task_id)  # the news may be late: what has its file there stays in line
        back = [task_id for task_id, state in states.items() if state == State.READY and task_id not in self._line]
        rows = connection.execute(_WAITING, (json.dumps(back), State.READY)).fetchall() if back else []
        aging = self._place.settings.aging_seconds
        self._line.add_unknown(entry_at(level, at, task_id, kind, aging) for level, at, task_id, kind, _ in rows)
        for _, _, task_id, kind, deadline in rows:
            if deadline is not None:
                self._line.set_deadline(task_id, deadline)
            self._bell.ring_task(kind)
        for task_id in {task_id for _, task_id, _, verb in news if verb == "revise"}:
            self._revised(task_id)

    def _revised(self, task_id: str) -> None:
        """One whose place in line may be another now: its file says which."""
        task = self._reading.waiting_at(self._place.task_path(State.READY, task_id), task_id)
        if task is not None and task_id in self._line:
            self._line.set_deadline(task_id, None)
            self._line.add(entry_of(task, self._place.settings.aging_seconds), task.deadline)
