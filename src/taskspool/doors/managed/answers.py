"""What this door answers, as documented. Source of the names: seed 004."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from taskspool.doors.managed.models import PRIORITIES, STATUSES, Check

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=0)]


class ErrorAnswer(BaseModel):
    """Every answer from 400 on. ``error``: a short title; ``message``: the reason; ``details``: field and rule."""

    error: str
    message: str
    code: str
    details: dict[str, Any]


class NotFoundAnswer(ErrorAnswer):
    """``path``: where nothing is; there is none when a task is missing."""

    path: str | None = None


class ListedTask(BaseModel):
    """A task. ``worker_id``: who holds it, or finished it; ``error_message``: why it failed, the last time.

    ``progress`` in percent; ``timeout`` in seconds, of one try; ``result`` is ``{}`` until there is one.
    """

    id: str
    task_type: str
    status: Annotated[str, Field(json_schema_extra={"enum": [*STATUSES]})]
    priority: Annotated[str, Field(json_schema_extra={"enum": [*PRIORITIES]})]
    kb_id: str
    payload: Any
    result: dict[str, Any]
    progress: Annotated[int, Field(ge=0, le=100)]
    retry_count: Count
    max_retries: Count
    error_message: str
    worker_id: str
    created_at: Instant
    updated_at: Instant
    started_at: Instant | None
    completed_at: Instant | None
    scheduled_for: Instant | None
    timeout: int


class ManagedTask(ListedTask):
    """A task with its outlook. ``queue_position``: 1 is next, 0 is not in the line."""

    estimated_completion: Instant | None
    queue_position: Count


class Pagination(BaseModel):
    page: int
    page_size: int
    total: Count
    total_pages: Count


class TaskPage(BaseModel):
    tasks: list[ListedTask]
    pagination: Pagination


class TaskBatch(BaseModel):
    tasks: list[ManagedTask]
    count: int


class Canceled(BaseModel):
    message: str
    task_id: str


class ProgressAnswer(Canceled):
    progress: int


class TaskStats(BaseModel):
    """``avg_process_time`` in seconds, ``success_rate`` in percent of all; the breakdowns tell only what there is."""

    total_tasks: Count
    queued_tasks: Count
    processing_tasks: Count
    completed_tasks: Count
    failed_tasks: Count
    avg_process_time: float
    success_rate: float
    status_breakdown: dict[str, int]
    type_breakdown: dict[str, int]


class WorkerStats(BaseModel):
    """A worker that lives. ``average_task_time`` in seconds, 0 while nothing of its is known."""

    id: str
    status: Literal["busy", "idle"]
    current_task_id: str
    tasks_processed: Count
    tasks_succeeded: Count
    tasks_failed: Count
    last_heartbeat: Instant
    started_at: Instant
    average_task_time: float


class SystemStats(BaseModel):
    """``active_workers`` are busy or idle; ``total_workers`` counts those that are gone too, for a day.

    ``processing_rate``: tasks that one worker does in a minute.
    """

    total_workers: Count
    active_workers: Count
    idle_workers: Count
    busy_workers: Count
    queue_size: Count
    processing_rate: float
    workers: list[WorkerStats]
    task_stats: TaskStats


class QueueInfo(BaseModel):
    queue_size: Count
    queue_key: str


class HealthPart(BaseModel):
    """One thing that was checked. ``error``: what is wrong; ``size``: how many tasks are queued."""

    status: Check
    error: str | None = None
    size: Count | None = None


class HealthDetails(BaseModel):
    """``database``: the index of tasks; ``redis``: the folder that holds the line; ``queue``: a task can be written."""

    database: HealthPart
    redis: HealthPart
    queue: HealthPart


class Health(BaseModel):
    """``error``: only when something is wrong (503)."""

    status: Check
    service: str
    version: str
    details: HealthDetails
    error: str | None = None


class Update(BaseModel):
    """One task that changed. ``type`` is ``task_update``."""

    type: str
    timestamp: Instant
    task_id: str
    status: str
    progress: int
    message: str
    task: ListedTask


class Updates(BaseModel):
    """``timestamp``: what to ask for next, as ``since``."""

    updates: list[Update]
    timestamp: Instant
    has_more: bool
