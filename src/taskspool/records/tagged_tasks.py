"""Tagged tasks: rows in the records, execution by the engine. Here the two are brought together.

Nothing spans both stores at once, so each verb is a row of steps, of which the first decides. What a crash leaves
between two of them is a mark in the database, and ``repair`` finds it:

    verb    decides                                  then                                   a crash leaves
    create  the row, without queue_id                engine: enqueue under the row's key;   a row without queue_id:
                                                     the row's queue_id                     enqueued; same key, so once
    change  the row, is_told false                   engine: revise; is_told true           is_told false: told again
    remove  the row is gone, a tombstone in its      engine: cancel; the tombstone is gone  a tombstone: cancelled
            place

While a row has no queue_id, nothing of it is changed or removed before the engine has it: so the same key always comes
with the same wish. The engine is told of a change holding the row's lock: the last one told is the last one made.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session, contains_eager

from taskspool.engine.lifecycle import Queue
from taskspool.errors import StoreUnavailable, TaskFinished, TaskNotFound
from taskspool.records.database import Database
from taskspool.records.models.tagged import Tag, TaggedTask, TaggedTombstone, TaskTag
from taskspool.records.tagged_standing import PRIORITIES, REQUESTER, key_of, look, new_task_of
from taskspool.records.tagged_tags import add_tags, set_tags, tag_counts

MANY = 500
TOLD = frozenset({"priority", "timeout_seconds", "retry_limit"})
"""Of these columns the engine keeps its own copy."""

log = logging.getLogger("taskspool.records")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks; None asks nothing, and all that is asked must hold."""

    status: str | None = None
    priority: str | None = None
    tag: str | None = None

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.status is not None:
            found.append(TaggedTask.status == self.status)
        if self.priority is not None:
            found.append(TaggedTask.priority == self.priority)
        if self.tag is not None:
            links = select(TaskTag).join(Tag).where(TaskTag.task_id == TaggedTask.id, Tag.name == self.tag)
            found.append(links.exists())
        return found


class TaggedTasks:
    """The verbs. A row that is returned has its tags with it, and is read as it is: nothing is loaded later."""

    def __init__(self, queue: Queue, database: Database) -> None:
        self._queue = queue
        self._database = database

    # -- verbs ---------------------------------------------------------------------------------------------------

    def create(self, values: Mapping[str, Any], tags: Sequence[str]) -> TaggedTask:
        """A new task: true when its row is committed. Raises StoreUnavailable."""
        now, uuid = datetime.now(UTC), str(uuid4())

        def made(session: Session) -> TaggedTask:
            row = TaggedTask(**values, uuid=uuid, created_at=now, updated_at=now)
            session.add(row)
            session.flush()
            add_tags(session, row.id, tags)
            found = _read(session, row.id)
            assert found is not None  # noqa: S101  # made above
            return found

        row = self._database.run(made)
        with _left_to_repair(f"tagged task {row.id} is handed over later"):
            row.queue_id = self._hand_over(row)
        return row

    def get(self, task_id: int) -> TaggedTask:
        """The task as it is this moment: its row, and what the engine says. Raises TaskNotFound."""
        row = self._row(task_id)
        if row is None:
            raise _no_task(task_id)
        standing = look(self._queue.store, row)
        if standing is not None:
            standing.put_into(row)
        return row

    def change(self, task_id: int, values: Mapping[str, Any], tags: Sequence[str] | None) -> TaggedTask:
        """Set these columns and, unless None, the tags. Raises TaskNotFound."""
        self._handed_over(task_id)
        is_news = bool(TOLD & values.keys())

        def changed(session: Session) -> None:
            row = _locked(session, task_id)
            for name, value in values.items():
                setattr(row, name, value)
            if tags is not None:
                set_tags(session, task_id, tags)
            row.is_told = row.is_told and not is_news
            row.updated_at = max(row.updated_at, datetime.now(UTC))

        if values or tags is not None:
            self._database.run(changed)
        if is_news:
            with _left_to_repair(f"the engine is told of the change of tagged task {task_id} later"):
                self._tell(task_id)
        return self.get(task_id)

    def remove(self, task_id: int) -> None:
        """The task is gone; if it runs, its worker is told to stop, and its late result is refused. Raises
        TaskNotFound."""
        self._handed_over(task_id)

        def removed(session: Session) -> tuple[str, str | None]:
            row = _locked(session, task_id)
            session.add(TaggedTombstone(uuid=row.uuid, queue_id=row.queue_id, at=datetime.now(UTC)))
            session.execute(delete(TaskTag).where(TaskTag.task_id == task_id))
            session.execute(delete(TaggedTask).where(TaggedTask.id == task_id))
            return row.uuid, row.queue_id

        uuid, queue_id = self._database.run(removed)
        with _left_to_repair(f"the work of the deleted tagged task {task_id} is cancelled later"):
            self._bury(uuid, queue_id)

    def page(self, wanted: Wanted, limit: int | None, offset: int) -> tuple[Sequence[TaggedTask], int]:
        """(tasks by id, how many fit in all), as the rows say. One statement reads the page, so no task is half old."""
        chosen = wanted.conditions
        is_all = limit is None and offset == 0
        if not is_all:
            page = select(TaggedTask.id).where(*chosen).order_by(TaggedTask.id).limit(limit).offset(offset)
            chosen = [TaggedTask.id.in_(select(page.subquery().c.id))]
        with self._database.reading() as session:
            rows = session.scalars(_with_tags().where(*chosen)
                                   .order_by(TaggedTask.id, TaskTag.position)).unique().all()
            if is_all:
                return rows, len(rows)
            total = session.scalar(select(func.count()).select_from(TaggedTask).where(*wanted.conditions))
        return rows, total or 0

    def tags(self) -> Sequence[tuple[str, int]]:
        """(name, how many tasks have it), most used first."""
        with self._database.reading() as session:
            return tag_counts(session)

    # -- repair --------------------------------------------------------------------------------------------------

    def repair(self) -> int:
        """Finish what others left half done, or are about to do: each step may be done twice. How much that was.

        Raises StoreUnavailable: the rest is left for later.
        """
        with self._database.reading() as session:
            left = session.scalars(select(TaggedTask).where(TaggedTask.queue_id.is_(None)).limit(MANY)).all()
            untold = session.scalars(select(TaggedTask.id).where(TaggedTask.is_told.is_(False)).limit(MANY)).all()
            graves = session.scalars(select(TaggedTombstone).limit(MANY)).all()
        for row in left:
            self._hand_over(row)
        for task_id in untold:
            self._tell(task_id)
        for grave in graves:
            self._bury(grave.uuid, grave.queue_id)
        return len(left) + len(untold) + len(graves)

    # -- the steps behind the first ------------------------------------------------------------------------------

    def _handed_over(self, task_id: int) -> None:
        """The engine has the task: whoever made its row may not have come so far. Raises TaskNotFound."""
        row = self._row(task_id)
        if row is None:
            raise _no_task(task_id)
        if row.queue_id is None:
            self._hand_over(row)

    def _hand_over(self, row: TaggedTask) -> str:
        """To the engine, once however often it is called; and the row says which task of the engine it is: this id."""
        queue_id = self._queue.enqueue(new_task_of(row), key=key_of(row)).task_id
        statement = update(TaggedTask).where(TaggedTask.id == row.id, TaggedTask.uuid == row.uuid,
                                             or_(TaggedTask.queue_id.is_(None), TaggedTask.queue_id == queue_id))
        self._database.run(lambda session: session.execute(statement.values(queue_id=queue_id)))
        return queue_id

    def _tell(self, task_id: int) -> None:
        """The engine gets what the row wants now. Until this is committed, ``repair`` does it again.

        A task that is over has nothing to steer, but its row is looked at: its count never passes ``retry_limit``.
        """
        def told(session: Session) -> None:
            row = session.scalar(select(TaggedTask).where(TaggedTask.id == task_id).with_for_update())
            if row is None or row.queue_id is None:
                return
            with suppress(TaskFinished, TaskNotFound):
                self._queue.revise(row.queue_id, priority=PRIORITIES[row.priority], max_retries=row.retry_limit,
                                   options={"timeout_seconds": float(row.timeout_seconds)}, by=REQUESTER)
            row.is_told = True
            standing = look(self._queue.store, row)
            if standing is not None:
                standing.put_into(row)

        self._database.run(told)

    def _bury(self, uuid: str, queue_id: str | None) -> None:
        if queue_id is not None:
            with suppress(TaskFinished, TaskNotFound):  # it came to its end by itself
                self._queue.cancel(queue_id, by=REQUESTER, reason="deleted", at_once=True)
        self._database.run(lambda session: session.execute(delete(TaggedTombstone).where(TaggedTombstone.uuid == uuid)))

    def _row(self, task_id: int) -> TaggedTask | None:
        with self._database.reading() as session:
            return _read(session, task_id)


@contextmanager
def _left_to_repair(what: str) -> Iterator[None]:
    """The verb is true already, and its mark stands: what the stores refuse now is done by ``repair``."""
    try:
        yield
    except StoreUnavailable as error:
        log.warning("%s: %s", what, error)


def tag_names(row: TaggedTask) -> list[str]:
    return [link.tag.name for link in row.task_tags]


def _read(session: Session, task_id: int) -> TaggedTask | None:
    rows = session.scalars(_with_tags().where(TaggedTask.id == task_id).order_by(TaskTag.position)
                           .execution_options(populate_existing=True))
    return rows.unique().first()


def _with_tags() -> Any:
    return (select(TaggedTask).outerjoin(TaggedTask.task_tags).outerjoin(TaskTag.tag)
            .options(contains_eager(TaggedTask.task_tags).contains_eager(TaskTag.tag)))


def _locked(session: Session, task_id: int) -> TaggedTask:
    row = session.scalar(select(TaggedTask).where(TaggedTask.id == task_id).with_for_update())
    if row is None:
        raise _no_task(task_id)
    return row


def _no_task(task_id: int) -> TaskNotFound:
    return TaskNotFound("Task not found", task_id=task_id)
