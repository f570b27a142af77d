"""The kinds of fields that requests are made of: names, times, spans of seconds; each with its bounds."""

from __future__ import annotations

from typing import Annotated

from pydantic import AliasChoices, Field

from taskspool.web.fields import WHOLE

MAX_WAIT_SECONDS = 25
"""Chrome ends an extension's fetch after 30 s."""
MAX_SECONDS = 31_536_000
"""A year."""

Name = Annotated[str, Field(min_length=1, max_length=128, json_schema_extra={"format": "name"})]
"""1..128 printable characters; the engine looks closer. ``format: name`` tells fuzzers what is surely one."""
Tag = Annotated[str, Field(min_length=1, max_length=64, json_schema_extra={"format": "name"})]
UniqueKey = Annotated[str, Field(min_length=1, max_length=255, json_schema_extra={"format": "name"})]
TaskId = Annotated[str, Field(pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Reason = Annotated[str, Field(min_length=1, max_length=1000, json_schema_extra={"format": "name"})]
Token = Annotated[str, Field(min_length=1, max_length=512)]
WaitSeconds = Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)]
LeaseSeconds = Annotated[int, Field(ge=1, le=86_400), WHOLE]
DelaySeconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]
SpanSeconds = Annotated[float, Field(ge=0.001, le=MAX_SECONDS, allow_inf_nan=False)]
Worker = Annotated[Name | None, Field(validation_alias=AliasChoices("worker_id", "worker"))]
By = Annotated[Name | None, Field(validation_alias=AliasChoices("by", "requester"), description="who wants it")]
