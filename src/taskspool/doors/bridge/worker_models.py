"""What workers send: the shapes of both dialects, as read and as documented."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field

from taskspool.doors.bridge.fields import DelaySeconds, LeaseSeconds, Name, Token, WaitSeconds, Worker
from taskspool.web.fields import WHOLE, Instant
from taskspool.doors.bridge.models import MAX_TYPES
from taskspool.web.shape import Shape

MAX_CLAIMS = 100
SUCCESS_WORDS = ("success", "completed", "complete", "done", "ok")
ERROR_WORDS = ("error", "failed", "failure")


class ClaimRequest(Shape):
    """What a worker wants: everything may be left out, the body too."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"worker_id": "my-worker", "types": ["ping", "calculation"], "max": 1}]})

    worker: Worker = None
    types: Annotated[list[Name] | None, Field(
        min_length=1, max_length=MAX_TYPES, description="only tasks of these types; left out: any")] = None
    max: Annotated[int, Field(ge=1, le=MAX_CLAIMS, description="how many tasks at most"), WHOLE] = 1
    wait: Annotated[WaitSeconds | None, Field(description="seconds to wait for a task when there is none")] = None
    lease: Annotated[LeaseSeconds | None, Field(description="seconds this worker may be silent")] = None
    request_id: Annotated[Name | None, Field(
        description="the same again, by the same worker: the same tasks again")] = None
    started_at: Annotated[Instant, Field(description="when this worker was started, as its heartbeats say")] = None


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


class Outcome(Shape):
    worker: Worker = None
    data: Annotated[Any, Field(validation_alias=AliasChoices("data", "result"))] = None


class Failing(Outcome):
    error_message: str | None = None
    error: str | dict[str, Any] | None = None
    message: str | None = None
    retryable: Annotated[bool, Field(description="false: do not try again")] = True
    retry_after: Annotated[DelaySeconds | None, Field(description="seconds until the next try")] = None


class Complete(Outcome):
    """A task that was done."""

    lease_token: Token


class Fail(Failing):
    """A task that could not be done."""

    lease_token: Token


class Finish(Failing):
    """The outcome of a task, in either dialect: ``status`` or ``success`` says which.

    Both may stand together, if they agree; without them an error makes it a failure, and data a success.
    """

    model_config = ConfigDict(json_schema_extra=_finish_rules)

    status: Annotated[str | None, Field(json_schema_extra={"enum": [*SUCCESS_WORDS, *ERROR_WORDS, None]})] = None
    success: bool | None = None
    lease_token: Token | None = None


Percent = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class Told(Shape):
    """How far a worker is."""

    percent: Percent | None = None
    message: Annotated[str | None, Field(max_length=1000)] = None


def _as_told(value: Any) -> Any:
    """A bare number is a percentage."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {"percent": value} if is_number else value


TellsProgress = Annotated[Told | None, BeforeValidator(_as_told, json_schema_input_type=Percent | Told | None)]


class Beat(Shape):
    """A worker's sign of life for one task, and how far it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"lease_token": "as the claim told it", "progress": 40, "message": "page 4 of 10"}]})

    lease_token: Token
    progress: Annotated[TellsProgress, Field(description="0..100, or {percent, message}")] = None
    message: Annotated[str | None, Field(max_length=1000, description="for people")] = None
    checkpoint: Annotated[Any, Field(description="kept for this attempt and the next ones")] = None


class Running(Beat):
    task_id: Annotated[str, Field(max_length=64)]


class Beats(Shape):
    """A worker's sign of life for all its tasks."""

    running: Annotated[tuple[Running, ...], Field(max_length=1000, strict=False)] = ()


class Release(Shape):
    """A task given back unfinished."""

    lease_token: Token
    delay: Annotated[DelaySeconds, Field(description="seconds until it may be taken again")] = 0.0
    reason: Annotated[str | None, Field(max_length=1000)] = None
