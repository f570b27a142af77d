"""The tables of the to-do list (door 8001): batches, to-dos, and what happened to them.

Ranks are computed by the database from the words beside them, so that they are true whoever writes a row. Every order
of the list is an index read from one end, for all to-dos and for those of a session, a status, or both: ``_indexes``.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Computed, Connection, ForeignKey, Index, SmallInteger, String, event
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, Mapper, mapped_column, relationship

from taskspool.records.base import TABLE_OPTIONS, Base
from taskspool.records.columns import LONG_TEXT, NUMBER, UUID, JsonText, UtcDateTime
from taskspool.records.folding import folded

STATUSES = ("pending", "in_progress", "completed")
"""By rank, 0 first."""
PRIORITIES = ("low", "medium", "high")
"""By rank, 0 first; no priority has no rank."""
SORTED_COLUMNS = ("created_at", "updated_at", "due_date", "priority_rank")
NARROWING_COLUMNS: tuple[tuple[str, ...], ...] = ((), ("session_id",), ("status_rank",), ("session_id", "status_rank"))


def _rank_of(column: str, words: tuple[str, ...]) -> str:
    cases = " ".join(f"WHEN '{word}' THEN {rank}" for rank, word in enumerate(words))
    return f"CASE {column} {cases} END"


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


def _search_text(context: DefaultExecutionContext) -> str:
    row: dict[str, Any] = context.get_current_parameters()  # type: ignore[no-untyped-call]  # it has no types there
    return folded(row["title"], row.get("description"))


def _indexes() -> Iterator[Index]:
    for narrowing in NARROWING_COLUMNS:
        for column in SORTED_COLUMNS:
            columns = (*narrowing, column, "id")
            yield Index("ix_todos_" + "_".join(columns[:-1]), *columns)


class TodoBatch(Base):
    """To-dos that were made together. It outlives them."""

    __tablename__ = "todo_batches"
    __table_args__ = (Index("ix_todo_batches_created_at", "created_at", "id"),
                      Index("ix_todo_batches_session_id_created_at", "session_id", "created_at", "id"), TABLE_OPTIONS)

    id: Mapped[uuid.UUID] = mapped_column(UUID, primary_key=True)
    session_id: Mapped[uuid.UUID | None] = mapped_column(UUID)
    reason: Mapped[str | None] = mapped_column(LONG_TEXT)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    todos: Mapped[list[Todo]] = relationship(back_populates="batch", order_by="Todo.position", passive_deletes=True)


class Todo(Base):
    """One to-do. ``position`` is its place in its batch; ``search_text`` what a search looks at, kept by this class."""

    __tablename__ = "todos"
    __table_args__ = (*_indexes(), Index("ix_todos_batch_id_position", "batch_id", "position"),
                      CheckConstraint(_one_of("status", STATUSES), name="status"),
                      CheckConstraint(_one_of("priority", PRIORITIES), name="priority"), TABLE_OPTIONS)

    id: Mapped[uuid.UUID] = mapped_column(UUID, primary_key=True)
    session_id: Mapped[uuid.UUID | None] = mapped_column(UUID)
    batch_id: Mapped[uuid.UUID | None] = mapped_column(UUID, ForeignKey("todo_batches.id", ondelete="SET NULL"))
    position: Mapped[int] = mapped_column(default=0)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(LONG_TEXT)
    status: Mapped[str] = mapped_column(String(16), default=STATUSES[0])
    priority: Mapped[str | None] = mapped_column(String(16))
    due_date: Mapped[datetime | None] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    search_text: Mapped[str] = mapped_column(LONG_TEXT, default=_search_text, deferred=True)
    status_rank: Mapped[int] = mapped_column(
        SmallInteger, Computed(_rank_of("status", STATUSES), persisted=True), deferred=True)
    priority_rank: Mapped[int | None] = mapped_column(
        SmallInteger, Computed(_rank_of("priority", PRIORITIES), persisted=True), deferred=True)
    batch: Mapped[TodoBatch | None] = relationship(back_populates="todos")


@event.listens_for(Todo, "before_update")
def _keep_search_text(_mapper: Mapper[Todo], _connection: Connection, todo: Todo) -> None:
    todo.search_text = folded(todo.title, todo.description)


class TodoEvent(Base):
    """What happened, in the order of ``seq``. It outlives what it tells of: its ids are no foreign keys."""

    __tablename__ = "todo_events"
    __table_args__ = (Index("ix_todo_events_session_id_seq", "session_id", "seq"),
                      TABLE_OPTIONS)

    seq: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(32))
    todo_id: Mapped[uuid.UUID | None] = mapped_column(UUID)
    batch_id: Mapped[uuid.UUID | None] = mapped_column(UUID)
    session_id: Mapped[uuid.UUID | None] = mapped_column(UUID)
    data: Mapped[Any] = mapped_column(JsonText, nullable=True)


class TodoEventCounter(Base):
    """One row (id 1): the ``seq`` of the last event. Who tells of an event holds it until its commit.

    A number that the database counts up by itself is taken before the commit: of two writers the later number may be
    seen first, and a reader that goes by numbers would miss the other.
    """

    __tablename__ = "todo_event_counter"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(NUMBER)
