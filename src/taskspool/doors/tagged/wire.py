"""Tagged tasks as JSON: the keys of contract tagged-8002, 2.1, and what is ours beside them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from taskspool.clock import to_text
from taskspool.records.models.tagged import TaggedTask
from taskspool.records.tagged_tasks import tag_names


def task_json(row: TaggedTask) -> dict[str, Any]:
    """``result`` is what the handler returned, ``error`` how the last run that failed ended; ``queue_id`` is the
    engine's own task, for ``taskspool show``."""
    return {
        "id": row.id, "title": row.title, "description": row.description, "status": row.status,
        "priority": row.priority, "tags": tag_names(row), "due_date": _instant(row.due_date),
        "timeout_seconds": row.timeout_seconds, "retry_limit": row.retry_limit,
        "current_retry_count": row.current_retry_count, "handler": row.handler,
        "payload": {} if row.payload is None else row.payload, "result": row.result, "error": row.error,
        "queue_id": row.queue_id, "created_at": to_text(row.created_at), "updated_at": to_text(row.updated_at),
        "completed_at": _instant(row.completed_at),
    }


def tags_json(counts: Sequence[tuple[str, int]]) -> list[dict[str, Any]]:
    return [{"name": name, "count": count} for name, count in counts]


def enqueued_json(queue_id: str) -> dict[str, Any]:
    """The answer of the proof of concept. Source: seed 003, milestone 0."""
    return {"message": "Task enqueued successfully!", "job_id": queue_id.replace("-", ""), "is_queued": True}


def _instant(instant: datetime | None) -> str | None:
    return None if instant is None else to_text(instant)
