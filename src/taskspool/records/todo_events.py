"""The feed of what happened to to-dos and batches: told in the transaction that does it, read by number.

Numbers have no gaps and rise in the order of the commits: who has seen 7 has seen everything up to 7.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import CursorResult, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from taskspool.records.models.todos import Todo, TodoBatch, TodoEvent, TodoEventCounter

TASK_CREATED, TASK_UPDATED, TASK_DELETED = "task_created", "task_updated", "task_deleted"
BATCH_CREATED, BATCH_DELETED = "batch_created", "batch_deleted"
KINDS = (TASK_CREATED, TASK_UPDATED, TASK_DELETED, BATCH_CREATED, BATCH_DELETED)

KEPT_EVENTS = 100_000
"""At least so many of the latest are kept."""
PRUNE_EVERY = 1_000
"""After so many new ones the oldest are looked at."""


class Happening(NamedTuple):
    """One event before it has a number."""

    kind: str
    todo_id: UUID | None
    batch_id: UUID | None
    session_id: UUID | None
    data: dict[str, Any]


def of_todo(kind: str, todo: Todo, changed: Sequence[str] = ()) -> Happening:
    data: dict[str, Any] = {"title": todo.title, "status": todo.status}
    if changed:
        data["changed"] = list(changed)
    return Happening(kind, todo.id, todo.batch_id, todo.session_id, data)


def of_batch(kind: str, batch: TodoBatch, todos: int) -> Happening:
    return Happening(kind, None, batch.id, batch.session_id, {"tasks": todos})


def tell(session: Session, happenings: Sequence[Happening], now: datetime) -> None:
    """Write ``happenings`` down. The last act of a transaction: until its end others who tell wait."""
    if not happenings:
        return
    session.flush()  # every other lock before this one, so that nobody waits for us while we wait for them
    last = _count_up(session, len(happenings))
    first = last - len(happenings) + 1
    session.execute(insert(TodoEvent), [{"seq": first + place, "at": now, **one._asdict()}
                                        for place, one in enumerate(happenings)])
    if last // PRUNE_EVERY != (first - 1) // PRUNE_EVERY:
        session.execute(delete(TodoEvent).where(TodoEvent.seq <= last - KEPT_EVENTS))


def _count_up(session: Session, number: int) -> int:
    """The new last number, after ``number`` more."""
    counted = (update(TodoEventCounter).where(TodoEventCounter.id == 1)
               .values(last=TodoEventCounter.last + number).execution_options(synchronize_session=False))
    if cast("CursorResult[Any]", session.execute(counted)).rowcount == 0:
        _begin_counting(session)
        session.execute(counted)
    return session.scalars(select(TodoEventCounter.last)).one()


def _begin_counting(session: Session) -> None:
    try:
        with session.begin_nested():
            session.execute(insert(TodoEventCounter).values(id=1, last=0))
    except IntegrityError:
        return  # another writer began, and has committed: its row is there now


def last_number(session: Session) -> int:
    """Of the latest event; 0 before the first."""
    return session.scalar(select(TodoEventCounter.last)) or 0


def first_number(session: Session) -> int | None:
    """Of the oldest event that is kept."""
    return session.scalar(select(func.min(TodoEvent.seq)))


def events_after(session: Session, number: int, session_id: UUID | None, limit: int) -> Sequence[TodoEvent]:
    """At most ``limit`` events behind ``number``, oldest first; those of one session, or all."""
    wanted = select(TodoEvent).where(TodoEvent.seq > number).order_by(TodoEvent.seq).limit(limit)
    if session_id is not None:
        wanted = wanted.where(TodoEvent.session_id == session_id)
    return session.scalars(wanted).all()
