"""What clients of the bridge send and get: the shapes of both dialects, as read and as documented."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from taskspool.web.shape import Shape

MAX_WAIT_SECONDS = 25
"""Chrome ends an extension's fetch after 30 s."""
MAX_TYPES = 100
MAX_CLAIMS = 100
MAX_BATCH = 1000

PRIORITIES = ("urgent", "critical", "high", "normal", "low")
SUCCESS_WORDS = ("success", "completed", "complete", "done", "ok")
ERROR_WORDS = ("error", "failed", "failure")


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
Name = Annotated[str, Field(min_length=1, max_length=128, json_schema_extra={"format": "name"})]
"""1..128 printable characters; the engine looks closer. ``format: name`` tells fuzzers what is surely one."""
Token = Annotated[str, Field(min_length=1, max_length=512)]
WaitSeconds = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)]
LeaseSeconds = Annotated[int, Field(ge=1, le=86_400), WHOLE]
DelaySeconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Worker = Annotated[Name | None, Field(validation_alias=AliasChoices("worker_id", "worker"))]


def _example(**body: Any) -> ConfigDict:
    """What the page at /docs proposes to send."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class Submission(Shape):
    """A task as it is asked for."""

    model_config = _example(task_type="calculation", data={"operation": "average", "numbers": [1, 2, 3]})

    type: Annotated[Name, Field(validation_alias=AliasChoices("task_type", "type"), description="what kind of work")]
    data: Annotated[dict[str, Any] | None, Field(
        validation_alias=AliasChoices("data", "params", "payload"), description="what the worker gets")] = None
    requester: Annotated[Name | None, Field(description="who asks")] = None
    priority: Annotated[str | None, Field(json_schema_extra={"enum": [*PRIORITIES, None]})] = None
    max_retries: Annotated[int, Field(ge=0, le=1000, description="tries after the first"), WHOLE] = 0


class OlderSubmission(Submission):
    """The same in dialect B, where an unknown priority counts as normal."""

    priority: str | None = None


class Batch(Shape):
    """Tasks that are accepted together or not at all."""

    tasks: Annotated[list[Submission], Field(min_length=1, max_length=MAX_BATCH)]


class ClaimRequest(Shape):
    """What a worker wants: everything may be left out, the body too."""

    model_config = _example(worker_id="my-worker", types=["ping", "calculation"], max=1)

    worker: Worker = None
    types: Annotated[list[Name] | None, Field(
        min_length=1, max_length=MAX_TYPES, description="only tasks of these types; left out: any")] = None
    max: Annotated[int, Field(ge=1, le=MAX_CLAIMS, description="how many tasks at most"), WHOLE] = 1
    wait: Annotated[WaitSeconds | None, Field(description="seconds to wait for a task when there is none")] = None
    lease: Annotated[LeaseSeconds | None, Field(description="seconds this worker may be silent")] = None


def _finish_rules(schema: dict[str, Any]) -> None:
    """What JSON Schema says of ``Finish`` beyond its fields: something must be told, and nothing contradict it."""
    told: tuple[dict[str, Any], ...] = (
        {"status": {"type": "string"}}, {"success": {"type": "boolean"}}, {"data": {}}, {"result": {}},
        {"error": {"type": ["string", "object"]}}, {"error_message": {"type": "string"}},
    )
    schema["examples"] = [{"worker_id": "my-worker", "status": "success", "data": {"message": "pong"}}]
    schema["anyOf"] = [{"required": list(one), "properties": one} for one in told]
    schema["allOf"] = [
        {"not": {"required": ["status", "success"],
                 "properties": {"status": {"enum": list(words)}, "success": {"const": success}}}}
        for words, success in ((SUCCESS_WORDS, False), (ERROR_WORDS, True))
    ]


class Finish(Shape):
    """The outcome of a task, in either dialect: ``status`` or ``success`` says which.

    Both may stand together, if they agree; without them an error makes it a failure, and data a success.
    """

    model_config = ConfigDict(json_schema_extra=_finish_rules)

    status: Annotated[str | None, Field(json_schema_extra={"enum": [*SUCCESS_WORDS, *ERROR_WORDS, None]})] = None
    success: bool | None = None
    data: Annotated[Any, Field(validation_alias=AliasChoices("data", "result"))] = None
    error_message: str | None = None
    error: str | dict[str, Any] | None = None
    message: str | None = None
    retryable: Annotated[bool, Field(description="false: do not try again")] = True
    retry_after: Annotated[DelaySeconds | None, Field(description="seconds until the next try")] = None
    lease_token: Token | None = None
    worker: Worker = None


class Beat(Shape):
    """A worker's sign of life for one task."""

    lease_token: Token


class Running(Shape):
    task_id: Annotated[str, Field(max_length=64)]
    lease_token: Token


class Beats(Shape):
    """A worker's sign of life for all its tasks."""

    running: Annotated[tuple[Running, ...], Field(max_length=1000, strict=False)] = ()


class Release(Shape):
    """A task given back unfinished."""

    lease_token: Token
    delay: Annotated[DelaySeconds, Field(description="seconds until it may be taken again")] = 0.0
    reason: Annotated[str | None, Field(max_length=1000)] = None


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


class TaskList(Answer):
    count: int
    total_pending: int
    tasks: list[TaskAnswer]


class Claimed(Answer):
    """One task stands here and, beside ``task``, at top level too; ``task`` is null when none waits."""

    task: dict[str, Any] | None = None
    tasks: list[dict[str, Any]] | None = None
    retry_after: float | None = None


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
