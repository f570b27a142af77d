"""How far the to-dos of a session, or all of them, have come."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from taskspool.records.models.todos import STATUSES, Todo

COMPLETED = STATUSES[-1]


class Statistics(NamedTuple):
    """``by_status`` names every status. ``overdue``: not completed, and due before now."""

    by_status: dict[str, int]
    overdue: int
    last_completed_at: datetime | None

    @property
    def total(self) -> int:
        return sum(self.by_status.values())

    @property
    def completed(self) -> int:
        return self.by_status[COMPLETED]


def statistics_of(session: Session, session_id: UUID | None, now: datetime) -> Statistics:
    """Counted in the database, in one transaction."""
    of_session = [] if session_id is None else [Todo.session_id == session_id]
    rows = session.execute(select(Todo.status, func.count()).where(*of_session).group_by(Todo.status))
    counted = {status: count for status, count in rows}  # noqa: C416  # rows are no pairs to mypy
    is_overdue = [*of_session, Todo.due_date < now, Todo.status != COMPLETED]
    overdue = session.scalars(select(func.count()).select_from(Todo).where(*is_overdue)).one()
    last = session.scalar(select(func.max(Todo.completed_at)).where(*of_session))
    return Statistics({status: counted.get(status, 0) for status in STATUSES}, overdue, last)
