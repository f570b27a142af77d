"""What the door answers, as models: the description is made from them. The JSON itself is written by ``wire``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, RootModel

from taskspool.doors.todos.models import TaskPriority, TaskStatus
from taskspool.web.validation_replies import ValidationError


class Task(BaseModel):
    id: UUID
    session_id: UUID | None
    batch_id: UUID | None
    title: str
    description: str | None
    status: TaskStatus
    priority: TaskPriority | None
    due_date: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime


class _Page(BaseModel):
    total: int
    page: int
    limit: int
    total_pages: int
    has_next: bool
    has_prev: bool


class TaskPage(_Page):
    items: list[Task]


class Updated(BaseModel):
    updated: list[Task]


class Deleted(BaseModel):
    deleted_count: int


class Batch(BaseModel):
    id: UUID
    session_id: UUID | None
    reason: str | None
    created_at: datetime
    tasks: list[Task]


class LatestBatch(RootModel[Batch | None]):
    """null: there is none yet."""


class BatchPage(_Page):
    items: list[Batch]


class Health(BaseModel):
    status: Literal["healthy", "degraded"]
    version: str
    database: Literal["healthy", "unhealthy"]


class Stats(BaseModel):
    session_id: UUID | None
    total: int
    pending: int
    in_progress: int
    completed: int
    overdue: int
    completion_rate: float
    last_completed_at: datetime | None


class Event(BaseModel):
    id: int
    at: datetime
    kind: str
    task_id: UUID | None
    batch_id: UUID | None
    session_id: UUID | None
    data: dict[str, Any] | None


class EventList(BaseModel):
    count: int
    events: list[Event]
    last: int


class ErrorAnswer(BaseModel):
    success: Literal[False]
    message: str
    error_code: str
    details: dict[str, Any]
    request_id: str


class ValidationDetails(BaseModel):
    validation_errors: list[ValidationError]


class ValidationAnswer(ErrorAnswer):
    details: ValidationDetails  # type: ignore[assignment]  # a closer look at the same object
