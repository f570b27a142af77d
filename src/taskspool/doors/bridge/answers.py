"""What the bridge answers, as it is documented. The answers themselves are written by ``wire`` and its neighbours."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Base of what is only documented: answers are written by ``wire``, and more keys may come."""

    model_config = ConfigDict(extra="allow")


class ErrorAnswer(Answer):
    error: Annotated[str, Field(description="the message, where clients of seed 002 look for it")]
    code: str
    message: str
    details: dict[str, Any]
    hint: str | None = None
    request_id: str | None = None


class Submitted(Answer):
    success: bool
    task_id: str
    message: str
    status: str
    state: str
    created: bool
    priority: str
    queue_position: int | None = None


class BatchSubmitted(Answer):
    success: bool
    count: int
    created: bool
    task_ids: list[str]
    tasks: list[dict[str, Any]]


class TaskAnswer(Answer):
    id: str
    task_id: str
    type: str
    task_type: str
    requester: str
    data: dict[str, Any]
    status: str
    priority: str
    created_at: str
    updated_at: str
    assigned_to: str | None


class TaskTold(TaskAnswer):
    """With everything that is known of it: ``history`` is oldest first."""

    state: str
    progress: dict[str, Any] | None
    checkpoint: Any
    options: dict[str, Any]
    history: list[dict[str, Any]]
    cancel_requested: bool
    lease: dict[str, Any] | None
    deadline_at: str | None


class TaskList(Answer):
    """``total_pending`` in the older form; ``total``, ``next_cursor`` and what was asked for with a filter."""

    count: int
    tasks: list[TaskAnswer]
    total_pending: int | None = None
    total: int | None = None
    limit: int | None = None
    offset: int | None = None
    next_cursor: str | None = None


class ExplanationAnswer(Answer):
    task_id: str
    status: str
    state: str
    summary: str
    sentences: list[str]
    next: str
    next_at: str | None


class CancelAnswer(Answer):
    success: bool
    task_id: str
    status: str
    state: str
    cancel_requested: bool
    message: str


class ManyDone(Answer):
    """``remaining``: so many more fit, beyond ``limit``."""

    success: bool
    count: int
    task_ids: list[str]
    skipped: list[dict[str, Any]]
    total: int
    remaining: int


class BatchAnswer(Answer):
    batch_id: str
    name: str | None
    count: int
    counts: dict[str, int]
    missing: int
    is_finished: bool
    finished_at: str | None
    created_at: str
    task_ids: list[str]


class BatchList(Answer):
    count: int
    batches: list[BatchAnswer]


class QueueAnswer(Answer):
    queue: str
    paused: bool
    pause: dict[str, Any] | None
    paused_types: dict[str, dict[str, Any]]
    counts: dict[str, int]


class QueueList(Answer):
    """``queue`` is the default one; what lies in each is counted as ``ls`` would."""

    queue: str
    count: int
    queues: list[dict[str, Any]]


class EventList(Answer):
    """``last``: send it as ``after`` to be told what comes next."""

    count: int
    events: list[dict[str, Any]]
    last: str


class Claimed(Answer):
    """One task stands here and, beside ``task``, at top level too; ``task`` is null when none waits."""

    task: dict[str, Any] | None = None
    tasks: list[dict[str, Any]] | None = None
    retry_after: float | None = None
    state: str | None = None


class ClaimedOne(Answer):
    success: bool
    task: dict[str, Any]


class Accepted(Answer):
    success: bool
    task_id: str
    message: str
    status: str


class ResultAnswer(Answer):
    task_id: str
    worker: str
    status: str
    success: bool
    data: Any
    error: str | None
    error_message: str | None
    submitted_at: str
    completed_at: str


class ResultList(Answer):
    count: int
    results: list[ResultAnswer]


class BeatAnswer(Answer):
    success: bool
    task_id: str
    lease_expires_at: str
    cancel_requested: bool
    reason: str | None
    next_beat: float


class BeatsAnswer(Answer):
    state: str
    cancel: list[str]
    lost: list[str]
    leases: dict[str, str]
    next_beat: float


class Inflight(Answer):
    count: int
    inflight: list[dict[str, Any]]


class Health(Answer):
    status: str
    service: str
    version: str


class Stats(Answer):
    completed_tasks: int
    pending_tasks: int
    tasks_dir: str
    results_dir: str
    pending: int
    inflight: int
    completed: int
    successful: int
    failed: int
    success_rate: float
    workers: dict[str, int]
    avg_duration_ms: float | None


class Index(Answer):
    name: str
    version: str
    description: str
    endpoints: dict[str, str]
