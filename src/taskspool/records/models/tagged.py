"""The tables of the tagged tasks (door 8002): tasks, tags, which has which, and how far the engine was followed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from taskspool.records.base import TABLE_OPTIONS, Base
from taskspool.records.columns import LONG_TEXT, NUMBER, UUID_TEXT, JsonText, UtcDateTime

STATUSES = ("to_do", "in_progress", "done", "paused", "retrying", "failed", "cancelled")
PRIORITIES = ("高", "中", "低")


def _one_of(column: str, words: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(word) for word in words)})"


class TaggedTask(Base):
    """One task. ``uuid`` is its idempotency key towards the engine, ``queue_id`` the id of the engine's own task.

    ``is_told`` False: the row was changed, and the engine has not been told of it yet.
    """

    __tablename__ = "tagged_tasks"
    __table_args__ = (Index("ix_tagged_tasks_status", "status", "id"),
                      Index("ix_tagged_tasks_priority", "priority", "id"),
                      Index("ix_tagged_tasks_is_told", "is_told", "id"),
                      CheckConstraint(_one_of("status", STATUSES), name="status"),
                      CheckConstraint(_one_of("priority", PRIORITIES), name="priority"),
                      TABLE_OPTIONS | {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    uuid: Mapped[str] = mapped_column(UUID_TEXT, unique=True)
    queue_id: Mapped[str | None] = mapped_column(UUID_TEXT, unique=True)
    title: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None] = mapped_column(LONG_TEXT)
    status: Mapped[str] = mapped_column(String(16), default=STATUSES[0])
    priority: Mapped[str] = mapped_column(String(8), default=PRIORITIES[1])
    due_date: Mapped[datetime | None] = mapped_column(UtcDateTime)
    timeout_seconds: Mapped[int]
    retry_limit: Mapped[int]
    current_retry_count: Mapped[int] = mapped_column(default=0)
    handler: Mapped[str] = mapped_column(String(255))
    payload: Mapped[Any] = mapped_column(JsonText, nullable=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(LONG_TEXT)
    result: Mapped[Any] = mapped_column(JsonText, nullable=True)
    is_told: Mapped[bool] = mapped_column(default=True)
    task_tags: Mapped[list[TaskTag]] = relationship(
        order_by="TaskTag.position", cascade="all, delete-orphan", passive_deletes=True, back_populates="task")


class Tag(Base):
    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(NUMBER, primary_key=True, autoincrement=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)


class TaskTag(Base):
    """That a task has a tag, as the ``position``-th of its tags."""

    __tablename__ = "task_tags"
    __table_args__ = (Index("ix_task_tags_tag_id", "tag_id", "task_id"), TABLE_OPTIONS)

    task_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("tagged_tasks.id", ondelete="CASCADE"), primary_key=True)
    tag_id: Mapped[int] = mapped_column(NUMBER, ForeignKey("tags.id", ondelete="RESTRICT"), primary_key=True)
    position: Mapped[int] = mapped_column(default=0)
    task: Mapped[TaggedTask] = relationship(back_populates="task_tags")
    tag: Mapped[Tag] = relationship()


class TaggedCursor(Base):
    """How far a reader of the engine's events has come."""

    __tablename__ = "tagged_cursors"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(LONG_TEXT)


class TaggedTombstone(Base):
    """A task that was deleted while the engine may still have it: what comes of it later is dropped."""

    __tablename__ = "tagged_tombstones"

    uuid: Mapped[str] = mapped_column(UUID_TEXT, primary_key=True)
    queue_id: Mapped[str | None] = mapped_column(UUID_TEXT, unique=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
