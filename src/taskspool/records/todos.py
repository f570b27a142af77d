"""Looking at the to-do list: a page of it in any of its orders, how many there are in all, and a search.

Every order is an index read from one end (models/todos.py). What has no due date or no priority comes last both ways:
it is a second reading, of the rows whose key is NULL, begun only when the page reaches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from taskspool.records.folding import fold
from taskspool.records.models.todos import STATUSES, Todo

SORTS: dict[str, tuple[InstrumentedAttribute[Any], ...]] = {
    "updated_at": (Todo.updated_at,), "created_at": (Todo.created_at,), "due_date": (Todo.due_date,),
    "priority": (Todo.priority_rank,), "status": (Todo.status_rank, Todo.created_at),
}
"""Name of an order -> the columns it goes by; ties go by id, in the same direction."""
WITHOUT_VALUE_LAST = {"due_date", "priority"}
ESCAPE = "!"


@dataclass(frozen=True, slots=True)
class TodoFilter:
    """Which to-dos; None: all. ``text``: see ``matches``."""

    session_id: UUID | None = None
    status: str | None = None
    batch_id: UUID | None = None
    text: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.session_id is not None:
            found.append(Todo.session_id == self.session_id)
        if self.status is not None:
            found.append(Todo.status_rank == STATUSES.index(self.status))
        if self.batch_id is not None:
            found.append(Todo.batch_id == self.batch_id)
        if self.text is not None:
            found.append(matches(self.text))
        return found


def matches(text: str) -> ColumnElement[bool]:
    """Each word of ``text`` stands somewhere in the title or the description: as a part of a word too, in any order,
    without regard to case, width or composed accents, in every script. No words: every to-do.

    The same on all three databases, and no index: it reads the rows that the other filters leave.
    """
    return and_(True, *(Todo.search_text.like(f"%{_escaped(word)}%", escape=ESCAPE) for word in fold(text).split()))


def _escaped(word: str) -> str:
    return "".join(ESCAPE + letter if letter in "%_" + ESCAPE else letter for letter in word)


def page_of_todos(session: Session, filters: TodoFilter, sort: str, order: str, page: int,
                  limit: int) -> tuple[Sequence[Todo], int]:
    """(the ``page``-th ``limit`` to-dos by ``sort`` (a key of SORTS), ``order`` asc or desc; how many there are).

    A page behind the last is empty. Ask in ``Database.reading()``: then both are of one instant.
    """
    conditions, offset = filters.conditions(), (page - 1) * limit
    total = count_of(session, conditions)
    if offset >= total:
        return [], total
    columns, is_falling = SORTS[sort], order == "desc"
    if sort not in WITHOUT_VALUE_LAST:
        return _part(session, conditions, columns, is_falling, offset, limit), total
    key = columns[0]
    found = _part(session, [*conditions, key.is_not(None)], columns, is_falling, offset, limit)
    missing = min(limit, total - offset) - len(found)
    if missing > 0:
        with_value = offset + len(found) if found else count_of(session, [*conditions, key.is_not(None)])
        skipped = max(0, offset - with_value)
        found = [*found, *_part(session, [*conditions, key.is_(None)], (), is_falling, skipped, missing)]
    return found, total


def count_of(session: Session, conditions: Sequence[ColumnElement[bool]]) -> int:
    """How many to-dos meet all ``conditions``."""
    return session.scalars(select(func.count()).select_from(Todo).where(*conditions)).one()


def _part(session: Session, conditions: Sequence[ColumnElement[bool]], columns: Sequence[InstrumentedAttribute[Any]],
          is_falling: bool, offset: int, limit: int) -> Sequence[Todo]:
    keys = [column.desc() if is_falling else column.asc() for column in (*columns, Todo.id)]
    return session.scalars(select(Todo).where(*conditions).order_by(*keys).offset(offset).limit(limit)).all()
