"""What the door takes in: bodies and queries as frozen values, with the rules of contract tagged-8002.

A field that is not known is refused in a body: a misspelt one would be lost in silence, and ``status`` is nothing a
client may set. In a query it is let be, as FastAPI services do.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, WithJsonSchema
from pydantic_core import PydanticCustomError

from taskspool.web.validation import WithoutNul

MAX_ID = 2**63 - 1
MAX_LIMIT = 1_000
MAX_TAGS = 100
MAX_TAG_CHARS = 64
MAX_TIMEOUT_SECONDS = 86_400
MAX_RETRY_LIMIT = 100
MAX_SLEEP_SECONDS = 86_400
DEFAULT_HANDLER = "noop"

ID: TypeAdapter[int] = TypeAdapter(int)


class Status(str, Enum):
    TO_DO = "to_do"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    PAUSED = "paused"
    RETRYING = "retrying"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Priority(str, Enum):
    HIGH = "高"
    NORMAL = "中"
    LOW = "低"


_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _written(value: Any) -> Any:
    """Numbers are no times here, though pydantic would count the seconds since 1970."""
    if isinstance(value, str) and _DATE.match(value):
        return value
    raise PydanticCustomError("datetime_type", "Input should be a valid datetime, as 2026-01-31T12:00:00Z")


def _in_utc(instant: datetime) -> datetime:
    """``instant`` in UTC; one without an offset is meant in UTC."""
    try:
        instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except OverflowError:
        instant = datetime.min.replace(tzinfo=UTC)
    if instant.year < 1000:
        raise PydanticCustomError("datetime_range", "Datetime should lie in the years 1000 to 9999 in UTC")
    return instant


def _without_repeats(names: list[str]) -> list[str]:
    """Each once, where it stood first."""
    return list(dict.fromkeys(names))


_PATTERN = {"pattern": "^[^\\u0000]*$"}
Title = Annotated[str, Field(min_length=1, max_length=255, json_schema_extra=_PATTERN), WithoutNul]
Description = Annotated[str, Field(max_length=65_535, json_schema_extra=_PATTERN), WithoutNul]
TagName = Annotated[str, Field(min_length=1, max_length=MAX_TAG_CHARS, json_schema_extra=_PATTERN), WithoutNul]
Tags = Annotated[list[TagName], Field(max_length=MAX_TAGS), AfterValidator(_without_repeats)]
Instant = Annotated[datetime, BeforeValidator(_written), AfterValidator(_in_utc),
                    WithJsonSchema({"type": "string", "format": "date-time"})]
Timeout = Annotated[int, Field(strict=True, ge=1, le=MAX_TIMEOUT_SECONDS)]
RetryLimit = Annotated[int, Field(strict=True, ge=0, le=MAX_RETRY_LIMIT)]
HandlerName = Annotated[str, Field(min_length=1, max_length=255, json_schema_extra=_PATTERN), WithoutNul]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskCreate(_Body):
    """A new task. ``handler`` names what its worker runs, with ``payload``."""

    title: Title
    description: Description | None = None
    priority: Priority = Priority.NORMAL
    tags: Tags = Field(default_factory=list)
    due_date: Instant | None = None
    timeout_seconds: Timeout = 300
    retry_limit: RetryLimit = 3
    handler: HandlerName = DEFAULT_HANDLER
    payload: dict[str, Any] = Field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Of the row, without the tags."""
        return _columns(self.model_dump(exclude={"tags"}))


_GIVEN: Any = Field(default=None)
"""None only means that it was not given: null is refused where a task must have a value."""


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out stays as it is: there are none."""
    for told in schema["properties"].values():
        told.pop("default", None)


class TaskUpdate(_Body):
    """What changes. What is left out stays; null empties ``description`` and ``due_date``; ``tags`` replaces all."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    title: Title = _GIVEN
    description: Description | None = None
    priority: Priority = _GIVEN
    tags: Tags = _GIVEN
    due_date: Instant | None = None
    timeout_seconds: Timeout = _GIVEN
    retry_limit: RetryLimit = _GIVEN

    def columns(self) -> dict[str, Any]:
        """Those that were given, without the tags."""
        return _columns(self.model_dump(exclude_unset=True, exclude={"tags"}))


def _columns(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}


class _Query(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TaskQuery(_Query):
    """GET /tasks: all that is asked must hold."""

    status: Status | None = None
    priority: Priority | None = None
    tag: TagName | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | None = None
    offset: Annotated[int, Field(ge=0, le=MAX_ID)] = 0


class ProofQuery(_Query):
    """POST /task."""

    sleep_time: Annotated[int, Field(ge=0, le=MAX_SLEEP_SECONDS)] = 5
