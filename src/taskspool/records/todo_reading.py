"""Looking at single to-dos, and at batches with their to-dos in the order in which they were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, selectinload

from taskspool.records.models.todos import Todo, TodoBatch

Row = TypeVar("Row")


def todo_of(session: Session, todo_id: UUID) -> Todo | None:
    return session.get(Todo, todo_id)


def batch_of(session: Session, batch_id: UUID) -> TodoBatch | None:
    return session.scalars(_whole().where(TodoBatch.id == batch_id)).one_or_none()


def latest_batch(session: Session, session_id: UUID | None) -> TodoBatch | None:
    """The one made last: of a session, or of all."""
    return session.scalars(_of(_newest_first(), session_id).limit(1)).one_or_none()


def page_of_batches(session: Session, session_id: UUID | None, page: int,
                    limit: int) -> tuple[Sequence[TodoBatch], int]:
    """(the ``page``-th ``limit`` batches, newest first; how many there are in all)."""
    wanted = _of(_newest_first(), session_id).offset((page - 1) * limit).limit(limit)
    total = session.scalars(_of(select(func.count()).select_from(TodoBatch), session_id)).one()
    return session.scalars(wanted).all(), total


def _whole() -> Select[TodoBatch]:
    return select(TodoBatch).options(selectinload(TodoBatch.todos))


def _newest_first() -> Select[TodoBatch]:
    return _whole().order_by(TodoBatch.created_at.desc(), TodoBatch.id.desc())


def _of(statement: Select[Row], session_id: UUID | None) -> Select[Row]:
    return statement if session_id is None else statement.where(TodoBatch.session_id == session_id)
