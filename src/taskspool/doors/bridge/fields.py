"""The kinds of fields that requests are made of: names, times, spans of seconds; each with its bounds."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, WithJsonSchema

from taskspool.clock import from_text

MAX_WAIT_SECONDS = 25
"""Chrome ends an extension's fetch after 30 s."""
MAX_SECONDS = 31_536_000
"""A year."""
INSTANT_RULE = "an RFC 3339 time with its offset, like 2026-01-31T12:00:00Z"
INSTANT_SCHEMA = {"type": "string", "format": "date-time"}

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def instant_of(text: str) -> datetime:
    """The instant that ``text`` tells. Raises ValueError with the rule."""
    if _RFC3339.fullmatch(text) is None:
        raise ValueError(f"must be {INSTANT_RULE}")
    try:
        return from_text(text.upper())
    except ValueError:
        raise ValueError(f"must be {INSTANT_RULE}: there is no such time") from None


def _instant(value: Any) -> Any:
    return instant_of(value) if isinstance(value, str) else value


WHOLE = BeforeValidator(_whole)
Name = Annotated[str, Field(min_length=1, max_length=128, json_schema_extra={"format": "name"})]
"""1..128 printable characters; the engine looks closer. ``format: name`` tells fuzzers what is surely one."""
Tag = Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={"format": "name"})]
UniqueKey = Annotated[str, Field(min_length=1, max_length=255, json_schema_extra={"format": "name"})]
TaskId = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Reason = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "name"})]
Token = Annotated[str, Field(min_length=1, max_length=512)]
Instant = Annotated[datetime | None, BeforeValidator(_instant),
                    WithJsonSchema({"anyOf": [INSTANT_SCHEMA, {"type": "null"}]})]
WaitSeconds = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)]
LeaseSeconds = Annotated[int, Field(ge=1, le=86_400), WHOLE]
DelaySeconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
SpanSeconds = Annotated[float, Field(ge=0.001, le=MAX_SECONDS, allow_inf_nan=False)]
Worker = Annotated[Name | None, Field(validation_alias=AliasChoices("worker_id", "worker"))]
By = Annotated[Name | None, Field(validation_alias=AliasChoices("by", "requester"), description="who wants it")]
