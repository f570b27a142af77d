"""The rows of tagged tasks say what the engine says: looked up anew each time, and written under the row's lock.

Two processes that write the same row stand in line at its lock, and each looks at the engine when it holds it. So the
later writer has looked later, and nothing old is ever written over something new; no event is believed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from taskspool.engine.task import JsonValue
from taskspool.records.database import Database
from taskspool.records.models.tagged import TaggedTask
from taskspool.records.tagged_standing import FINAL, LOST, Finder, look

MANY = 200
"""So many rows are looked at, and locked, together."""
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker has to do for a row: ``handler`` with ``payload``, at most ``retry_limit`` + 1 times."""

    handler: str
    payload: JsonValue
    retry_limit: int


class TaggedMirror:
    def __init__(self, finder: Finder, database: Database) -> None:
        self._finder = finder
        self._database = database

    def look_at(self, ids: Collection[int]) -> int:
        """Let these rows say what the engine says; how many said something else."""
        return sum(self._look_at(numbers) for numbers in parts_of(sorted(set(ids))))

    def look_at_queue_ids(self, queue_ids: Collection[str]) -> int:
        """The same for the rows of these tasks of the engine; ids that belong to no row are let be."""
        ids: list[int] = []
        for part in parts_of(sorted(set(queue_ids))):
            with self._database.reading() as session:
                ids += session.scalars(select(TaggedTask.id).where(TaggedTask.queue_id.in_(part)))
        return self.look_at(ids)

    def look_at_unfinished(self) -> int:
        """The same for all rows that are not finished, by what they say themselves."""
        return self._look_at_all(TaggedTask.status.not_in([*FINAL.values()]))

    def look_at_everything(self) -> int:
        """The same for all rows."""
        return self._look_at_all(TaggedTask.id > 0)

    def begin(self, task_id: int, uuid: str, queue_id: str) -> Work | None:
        """A run of the row begins, and the row says so before anything else is done. None: it was deleted, or
        is the work of another task of the engine."""
        def begun(session: Session) -> Work | None:
            row = session.scalar(select(TaggedTask).where(TaggedTask.id == task_id, TaggedTask.uuid == uuid)
                                 .with_for_update())
            if row is None or row.queue_id not in (None, queue_id):
                return None
            row.queue_id = queue_id  # who made the row may not have come to say so yet
            self._put(row)
            return Work(row.handler, row.payload, row.retry_limit)

        return self._database.run(begun)

    # -- what they have in common --------------------------------------------------------------------------------

    def _look_at_all(self, which: ColumnElement[bool]) -> int:
        changed, last = 0, 0
        while True:
            with self._database.reading() as session:
                ids = session.scalars(select(TaggedTask.id).where(which, TaggedTask.id > last)
                                      .order_by(TaggedTask.id).limit(MANY)).all()
            if not ids:
                return changed
            changed, last = changed + self._look_at(ids), ids[-1]

    def _look_at(self, ids: Sequence[int]) -> int:
        """Look without a lock first: most rows are right, and a writer is in the way of others."""
        with self._database.reading() as session:
            wrong = [row.id for row in session.scalars(select(TaggedTask).where(TaggedTask.id.in_(ids)))
                     if row.queue_id is not None and not self._is_right(row)]
        if not wrong:
            return 0

        def corrected(session: Session) -> None:
            rows = select(TaggedTask).where(TaggedTask.id.in_(wrong)).order_by(TaggedTask.id).with_for_update()
            for row in session.scalars(rows):
                self._put(row)

        self._database.run(corrected)
        return len(wrong)

    def _is_right(self, row: TaggedTask) -> bool:
        standing = look(self._finder, row)
        return row.status in FINAL.values() if standing is None else standing.is_in(row)

    def _put(self, row: TaggedTask) -> None:
        """Holding the row's lock."""
        standing = look(self._finder, row)
        if standing is not None:
            standing.put_into(row)
        elif row.queue_id is not None:
            _mourn(row)


def _mourn(row: TaggedTask) -> None:
    """The engine has lost it. What never ran is handed over anew; what may have run is not run again.

    Anew means under another key: the old one is known to the engine with what the row wanted then, which may have been
    changed since, and a file that comes back must not be a second task of this row.
    """
    if row.status == "to_do":
        row.queue_id, row.uuid = None, str(uuid4())
    elif row.status not in FINAL.values():
        row.status, row.error, row.updated_at = "failed", LOST, datetime.now(UTC)


def parts_of(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """``items`` in parts that one statement takes."""
    return (items[first:first + MANY] for first in range(0, len(items), MANY))
