"""What those send who have work done, or look after the queue: the shapes of both dialects, as read and documented."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from taskspool.doors.bridge.fields import (
    By, DelaySeconds, LeaseSeconds, Name, Reason, SpanSeconds, Tag, TaskId, UniqueKey,
)
from taskspool.engine.options import BACKOFF_KINDS, MAX_TAGS, ON_CONFLICT
from taskspool.web.fields import WHOLE, Instant
from taskspool.web.shape import Shape

MAX_TYPES = 100
MAX_BATCH = 1000
MAX_MANY = 1000
"""How many tasks one call retries or cancels at most."""

PRIORITIES = ("urgent", "critical", "high", "normal", "low")


WaitingOrHeld = Literal["scheduled", "ready", "claimed"]
Retryable = Literal["dead", "cancelled"]


def _as_list(value: Any) -> Any:
    """One may be told without the brackets."""
    return [value] if isinstance(value, str) else value


SeveralWaiting = Annotated[list[WaitingOrHeld], Field(min_length=1)]
SeveralRetryable = Annotated[list[Retryable], Field(min_length=1)]
SeveralTypes = Annotated[list[Name], Field(min_length=1, max_length=MAX_TYPES)]


def _example(**body: Any) -> ConfigDict:
    """What the page at /docs proposes to send."""
    return ConfigDict(json_schema_extra={"examples": [body]})


class BackoffAsked(Shape):
    """How long a failed task waits: ``min(cap, base * 2^(n-1))`` before retry n, and up to ``jitter`` of it more."""

    kind: Annotated[str, Field(json_schema_extra={"enum": [*BACKOFF_KINDS]})] = "exponential"
    base: Annotated[DelaySeconds, Field(description="seconds")] = 1.0
    cap: Annotated[DelaySeconds, Field(description="seconds")] = 300.0
    jitter: Annotated[float, Field(ge=0, le=1, description="share of the wait, by chance")] = 0.1


def _submission_rules(schema: dict[str, Any]) -> None:
    """What JSON Schema says of a submission beyond its fields: one way to tell when it begins."""
    schema["examples"] = [{"task_type": "calculation", "data": {"operation": "average", "numbers": [1, 2, 3]}}]
    schema["not"] = {"required": ["delay", "run_at"], "properties": {"delay": {"exclusiveMinimum": 0, "type": "number"},
                                                                     "run_at": {"type": "string"}}}


class Wished(Shape):
    """What any task may be asked for with."""

    model_config = ConfigDict(json_schema_extra=_submission_rules)

    type: Annotated[Name, Field(validation_alias=AliasChoices("task_type", "type"), description="what kind of work")]
    data: Annotated[dict[str, Any] | None, Field(
        validation_alias=AliasChoices("data", "params", "payload"), description="what the worker gets")] = None
    requester: Annotated[Name | None, Field(description="who asks")] = None
    priority: Annotated[str | None, Field(json_schema_extra={"enum": [*PRIORITIES, None]})] = None
    max_retries: Annotated[int, Field(ge=0, le=1000, description="tries after the first"), WHOLE] = 0
    delay: Annotated[DelaySeconds | None, Field(description="seconds until it may be taken")] = None
    run_at: Annotated[Instant, Field(validation_alias=AliasChoices("run_at", "schedule_for"),
                                     description="when it may be taken")] = None
    backoff: BackoffAsked | None = None
    timeout: Annotated[SpanSeconds | None, Field(description="seconds one attempt may take")] = None
    total_timeout: Annotated[SpanSeconds | None, Field(description="seconds from now to its end")] = None
    lease: Annotated[LeaseSeconds | None, Field(description="seconds its worker may be silent")] = None
    start_before: Annotated[Instant, Field(description="given up if nobody took it by then")] = None
    group: Annotated[Name | None, Field(description="what it belongs to")] = None
    parent_id: Annotated[TaskId | None, Field(description="the task it was submitted for")] = None
    tags: Annotated[list[Tag] | None, Field(max_length=MAX_TAGS)] = None


class BatchTask(Wished):
    """A task as it is asked for, together with others."""

    unique_key: Annotated[None, Field(description="only for tasks that are submitted one by one")] = None


class Submission(Wished):
    """A task as it is asked for."""

    unique_key: Annotated[UniqueKey | None, Field(description="only one unfinished task may have it")] = None
    on_conflict: Annotated[str | None, Field(
        json_schema_extra={"enum": [*ON_CONFLICT, None]}, description="if another task has the unique_key")] = None


class OlderSubmission(Submission):
    """The same in dialect B, where an unknown priority counts as normal."""

    priority: str | None = None


class ManyTasks(Shape):
    """Tasks that are accepted together or not at all."""

    tasks: Annotated[list[BatchTask], Field(min_length=1, max_length=MAX_BATCH)]


class NamedBatch(ManyTasks):
    """The same, to be found again as a batch."""

    name: Annotated[Name | None, Field(description="for people; need not be unique")] = None


class Wish(Shape):
    """Who wants something done to a task, and why."""

    model_config = _example(by="me", reason="not needed any more")

    by: By = None
    reason: Reason | None = None


def _many_rules(schema: dict[str, Any]) -> None:
    """Something must be said: a slip of the pen must not reach everything."""
    told: tuple[dict[str, Any], ...] = (
        {"state": {"type": ["array", "string"]}}, {"type": {"type": ["array", "string"]}},
        {"group": {"type": "string"}}, {"older_than": {"type": "number", "exclusiveMinimum": 0}},
        {"all": {"const": True}},
    )
    schema["examples"] = [{"type": "web_scraping", "older_than": 3600, "by": "me"}]
    schema["anyOf"] = [{"required": list(one), "properties": one} for one in told]


class ManyWish(Wish):
    """Which tasks, and what for. At least one of state, type, group, older_than, or ``all: true``."""

    model_config = ConfigDict(json_schema_extra=_many_rules)

    type: Annotated[SeveralTypes | None, BeforeValidator(
        _as_list, json_schema_input_type=SeveralTypes | Name | None)] = None
    group: Name | None = None
    older_than: Annotated[DelaySeconds | None, Field(description="seconds")] = None
    all: bool = False
    limit: Annotated[int, Field(ge=1, le=MAX_MANY), WHOLE] = 100


class CancelMany(ManyWish):
    """``state``: scheduled and ready, unless it says otherwise."""

    state: Annotated[SeveralWaiting | None, BeforeValidator(
        _as_list, json_schema_input_type=SeveralWaiting | WaitingOrHeld | None)] = None


class RetryMany(ManyWish):
    """``state``: dead, unless it says otherwise."""

    state: Annotated[SeveralRetryable | None, BeforeValidator(
        _as_list, json_schema_input_type=SeveralRetryable | Retryable | None)] = None


class PauseWish(Wish):
    """What to pause or resume: types by name, or (left out) the queue as a whole."""

    model_config = _example(types=["web_scraping"], by="me", reason="their site is down")

    types: Annotated[list[Name] | None, Field(min_length=1, max_length=MAX_TYPES)] = None
