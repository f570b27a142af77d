"""The first tables: the to-do list, and the tagged tasks.

Revision 0001, after nothing.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from taskspool.records.base import TABLE_OPTIONS
from taskspool.records.columns import LONG_TEXT, NUMBER, UUID, UUID_TEXT, JsonText, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

COUNTED = TABLE_OPTIONS | {"sqlite_autoincrement": True}
STATUS_RANK = "CASE status WHEN 'pending' THEN 0 WHEN 'in_progress' THEN 1 WHEN 'completed' THEN 2 END"
PRIORITY_RANK = "CASE priority WHEN 'low' THEN 0 WHEN 'medium' THEN 1 WHEN 'high' THEN 2 END"


def upgrade() -> None:
    """Every table, those that others point to first."""
    make_todo_batches()
    make_todos()
    make_todo_indexes()
    make_todo_events()
    make_tagged_tasks()
    make_tags()
    make_tagged_progress()


def make_todo_batches() -> None:
    op.create_table(
        "todo_batches",
        sa.Column("id", UUID, nullable=False),
        sa.Column("session_id", UUID),
        sa.Column("reason", LONG_TEXT),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todo_batches")),
        **TABLE_OPTIONS)
    op.create_index("ix_todo_batches_created_at", "todo_batches", ["created_at", "id"])
    op.create_index("ix_todo_batches_session_id_created_at", "todo_batches", ["session_id", "created_at", "id"])


def make_todos() -> None:
    op.create_table(
        "todos",
        sa.Column("id", UUID, nullable=False),
        sa.Column("session_id", UUID),
        sa.Column("batch_id", UUID),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("description", LONG_TEXT),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.String(16)),
        sa.Column("due_date", UtcDateTime()),
        sa.Column("completed_at", UtcDateTime()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("search_text", LONG_TEXT, nullable=False),
        sa.Column("status_rank", sa.SmallInteger(), sa.Computed(STATUS_RANK, persisted=True), nullable=True),
        sa.Column("priority_rank", sa.SmallInteger(), sa.Computed(PRIORITY_RANK, persisted=True), nullable=True),
        sa.CheckConstraint("status IN ('pending', 'in_progress', 'completed')", name=op.f("ck_todos_status")),
        sa.CheckConstraint("priority IN ('low', 'medium', 'high')", name=op.f("ck_todos_priority")),
        sa.ForeignKeyConstraint(["batch_id"], ["todo_batches.id"], ondelete="SET NULL",
                                name=op.f("fk_todos_batch_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todos")),
        **TABLE_OPTIONS)


def make_todo_indexes() -> None:
    """Every order of the list, for all to-dos and for those of a session, a status, or both."""
    narrowings: tuple[tuple[str, ...], ...] = ((), ("session_id",), ("status_rank",), ("session_id", "status_rank"))
    for narrowing in narrowings:
        for column in ("created_at", "updated_at", "due_date", "priority_rank"):
            name = "_".join(("ix_todos", *narrowing, column))
            op.create_index(name, "todos", [*narrowing, column, "id"])
    op.create_index("ix_todos_batch_id_position", "todos", ["batch_id", "position"])


def make_todo_events() -> None:
    op.create_table(
        "todo_events",
        sa.Column("seq", NUMBER, autoincrement=False, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("todo_id", UUID),
        sa.Column("batch_id", UUID),
        sa.Column("session_id", UUID),
        sa.Column("data", JsonText()),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_todo_events")),
        **TABLE_OPTIONS)
    op.create_index("ix_todo_events_session_id_seq", "todo_events", ["session_id", "seq"])
    op.create_table(
        "todo_event_counter",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last", NUMBER, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_todo_event_counter")),
        **TABLE_OPTIONS)


def make_tagged_tasks() -> None:
    """One row a task; ``queue_id`` is the engine's own id of it."""
    op.create_table(
        "tagged_tasks",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("uuid", UUID_TEXT, nullable=False),
        sa.Column("queue_id", UUID_TEXT),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("description", LONG_TEXT),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.String(8), nullable=False),
        sa.Column("due_date", UtcDateTime()),
        sa.Column("timeout_seconds", sa.Integer(), nullable=False),
        sa.Column("retry_limit", sa.Integer(), nullable=False),
        sa.Column("current_retry_count", sa.Integer(), nullable=False),
        sa.Column("handler", sa.String(255), nullable=False),
        sa.Column("payload", JsonText()),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("completed_at", UtcDateTime()),
        sa.Column("error", LONG_TEXT),
        sa.Column("result", JsonText()),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sa.CheckConstraint("status IN ('to_do', 'in_progress', 'done', 'paused', 'retrying', 'failed', 'cancelled')",
                           name=op.f("ck_tagged_tasks_status")),
        sa.CheckConstraint("priority IN ('高', '中', '低')", name=op.f("ck_tagged_tasks_priority")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tagged_tasks")),
        sa.UniqueConstraint("uuid", name=op.f("uq_tagged_tasks_uuid")),
        sa.UniqueConstraint("queue_id", name=op.f("uq_tagged_tasks_queue_id")),
        **COUNTED)
    op.create_index("ix_tagged_tasks_status", "tagged_tasks", ["status", "id"])
    op.create_index("ix_tagged_tasks_priority", "tagged_tasks", ["priority", "id"])
    op.create_index("ix_tagged_tasks_is_told", "tagged_tasks", ["is_told", "id"])


def make_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", NUMBER, autoincrement=True, nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tags")),
        sa.UniqueConstraint("name", name=op.f("uq_tags_name")),
        **TABLE_OPTIONS)
    op.create_table(
        "task_tags",
        sa.Column("task_id", NUMBER, nullable=False),
        sa.Column("tag_id", NUMBER, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["task_id"], ["tagged_tasks.id"], ondelete="CASCADE",
                                name=op.f("fk_task_tags_task_id")),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], ondelete="RESTRICT", name=op.f("fk_task_tags_tag_id")),
        sa.PrimaryKeyConstraint("task_id", "tag_id", name=op.f("pk_task_tags")),
        **TABLE_OPTIONS)
    op.create_index("ix_task_tags_tag_id", "task_tags", ["tag_id", "task_id"])


def make_tagged_progress() -> None:
    """How far the engine was followed, and what was deleted meanwhile."""
    op.create_table(
        "tagged_cursors",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_tagged_cursors")),
        **TABLE_OPTIONS)
    op.create_table(
        "tagged_tombstones",
        sa.Column("uuid", UUID_TEXT, nullable=False),
        sa.Column("queue_id", UUID_TEXT),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("uuid", name=op.f("pk_tagged_tombstones")),
        sa.UniqueConstraint("queue_id", name=op.f("uq_tagged_tombstones_queue_id")),
        **TABLE_OPTIONS)
