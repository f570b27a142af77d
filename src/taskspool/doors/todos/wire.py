"""To-dos and batches as JSON: the keys, and their order, of contract todos-8001, 1.2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from taskspool.records.models.todos import Todo, TodoBatch, TodoEvent
from taskspool.records.todo_statistics import Statistics


def task_json(todo: Todo) -> dict[str, Any]:
    return {
        "id": str(todo.id), "session_id": _id(todo.session_id), "batch_id": _id(todo.batch_id), "title": todo.title,
        "description": todo.description, "status": todo.status, "priority": todo.priority,
        "due_date": instant_text(todo.due_date), "completed_at": instant_text(todo.completed_at),
        "created_at": instant_text(todo.created_at), "updated_at": instant_text(todo.updated_at),
    }


def batch_json(batch: TodoBatch) -> dict[str, Any]:
    """``tasks`` in the order in which they were asked for."""
    return {"id": str(batch.id), "session_id": _id(batch.session_id), "reason": batch.reason,
            "created_at": instant_text(batch.created_at), "tasks": [task_json(todo) for todo in batch.todos]}


def page_json(items: Iterable[dict[str, Any]], total: int, page: int, limit: int) -> dict[str, Any]:
    pages = -(-total // limit)
    return {"items": list(items), "total": total, "page": page, "limit": limit, "total_pages": pages,
            "has_next": page < pages, "has_prev": page > 1}


def statistics_json(session_id: UUID | None, told: Statistics) -> dict[str, Any]:
    """``completion_rate``: the completed part of all, 0 of none."""
    return {"session_id": _id(session_id), "total": told.total, **told.by_status, "overdue": told.overdue,
            "completion_rate": round(told.completed / told.total, 4) if told.total else 0.0,
            "last_completed_at": instant_text(told.last_completed_at)}


def event_json(event: TodoEvent) -> dict[str, Any]:
    return {"id": event.seq, "at": instant_text(event.at), "kind": event.kind, "task_id": _id(event.todo_id),
            "batch_id": _id(event.batch_id), "session_id": _id(event.session_id), "data": event.data}


def events_json(events: Sequence[TodoEvent], last: int) -> dict[str, Any]:
    return {"count": len(events), "events": [event_json(event) for event in events], "last": last}


def instant_text(instant: datetime | None) -> str | None:
    """UTC with ``Z``; microseconds where there are any."""
    return None if instant is None else instant.isoformat().removesuffix("+00:00") + "Z"


def _id(value: UUID | None) -> str | None:
    return None if value is None else str(value)
