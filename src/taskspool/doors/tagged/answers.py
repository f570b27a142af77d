"""What the door answers, as models: the description is made from them. The JSON itself is written by ``wire``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, RootModel

from taskspool.doors.tagged.models import Priority, Status
from taskspool.web.validation_replies import ValidationError


class Task(BaseModel):
    id: int
    title: str
    description: str | None
    status: Status
    priority: Priority
    tags: list[str]
    due_date: datetime | None
    timeout_seconds: int
    retry_limit: int
    current_retry_count: int
    handler: str
    payload: dict[str, Any]
    result: Any
    error: str | None
    queue_id: str | None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class TaskList(RootModel[list[Task]]):
    pass


class Tag(BaseModel):
    name: str
    count: int


class TagList(RootModel[list[Tag]]):
    pass


class Enqueued(BaseModel):
    message: str
    job_id: str
    is_queued: bool


class Health(BaseModel):
    status: Literal["healthy", "degraded"]
    version: str
    database: Literal["healthy", "unhealthy"]


class ErrorAnswer(BaseModel):
    """``code`` and ``hint`` where a FastAPI service has no error of its own."""

    detail: str
    code: str | None = None
    hint: str | None = None


class ValidationAnswer(BaseModel):
    detail: list[ValidationError]
