"""Tags: made when a task first names them, gone when no task has them any more."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Insert, delete, exists, func, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from taskspool.errors import StoreUnavailable
from taskspool.records.database import Database
from taskspool.records.models.tagged import Tag, TaskTag

TRIES = 5


def set_tags(session: Session, task_id: int, names: Sequence[str]) -> None:
    """The task, whose row ``session`` has made or locked, has just these tags, in this order."""
    session.execute(delete(TaskTag).where(TaskTag.task_id == task_id))
    add_tags(session, task_id, names)


def add_tags(session: Session, task_id: int, names: Sequence[str]) -> None:
    """The same for a task that has none yet."""
    if not names:
        return
    ids = _held(session, names)
    session.add_all(TaskTag(task_id=task_id, tag_id=ids[name], position=position)
                    for position, name in enumerate(names))


def tag_counts(session: Session) -> Sequence[tuple[str, int]]:
    """(name, how many tasks have it), most used first; a tag of no task is none."""
    count = func.count(TaskTag.task_id)
    rows = session.execute(select(Tag.name, count).join(TaskTag, TaskTag.tag_id == Tag.id).group_by(Tag.id, Tag.name)
                           .order_by(count.desc(), Tag.name))
    return [(name, number) for name, number in rows]


def collect_tags(database: Database) -> None:
    """Remove the tags no task has. One that somebody takes at this moment stays, and with it, for now, all others."""
    used = exists().where(TaskTag.tag_id == Tag.id)
    try:
        database.run(lambda session: session.execute(delete(Tag).where(~used)))
    except IntegrityError:
        return  # its new task refers to it already


def _held(session: Session, names: Sequence[str]) -> dict[str, int]:
    """Name -> id for all of ``names``. None of them goes away before ``session`` ends: the lock sees to that."""
    found: dict[str, int] = {}
    for _ in range(TRIES):  # one that is there when it is to be made may be gone when it is looked for
        missing = sorted(set(names) - found.keys())
        found |= {name: number for number, name in session.execute(
            select(Tag.id, Tag.name).where(Tag.name.in_(missing)).order_by(Tag.name)
            .with_for_update(read=True, key_share=True))}
        missing = sorted(set(names) - found.keys())
        if not missing:
            return found
        session.execute(_insert_new(session.get_bind().dialect.name, missing))
    raise StoreUnavailable("others write the same tags; ask again")


def _insert_new(dialect: str, names: Sequence[str]) -> Insert:
    """Make these tags; one that another made meanwhile is let be."""
    rows = [{"name": name} for name in names]
    if dialect == "postgresql":
        return postgresql.insert(Tag).values(rows).on_conflict_do_nothing(index_elements=["name"])
    if dialect == "sqlite":
        return sqlite.insert(Tag).values(rows).on_conflict_do_nothing(index_elements=["name"])
    insert = mysql.insert(Tag).values(rows)
    return insert.on_duplicate_key_update(name=insert.inserted.name)
