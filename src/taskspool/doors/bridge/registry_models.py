"""What is said of workers: their reports and orders as read, and the registry as it is answered."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from taskspool.doors.bridge.answers import Answer
from taskspool.doors.bridge.fields import Name
from taskspool.web.fields import WHOLE, Instant
from taskspool.doors.bridge.models import MAX_TYPES
from taskspool.doors.bridge.worker_models import Beats
from taskspool.engine.worker_record import MAX_KIND_CHARS, MAX_LABEL_CHARS, MAX_LABELS, MAX_NUMBER
from taskspool.web.shape import Shape

Word = Annotated[str, Field(min_length=1, max_length=MAX_KIND_CHARS, json_schema_extra={"format": "name"})]
Number = Annotated[int, Field(ge=0, le=MAX_NUMBER), WHOLE]
Label = Annotated[str, Field(min_length=1, max_length=MAX_LABEL_CHARS, json_schema_extra={"format": "name"})]


class WorkerBeat(Beats):
    """A worker's sign of life: what it is, and all its tasks. What is left out stays as it was told before."""

    model_config = ConfigDict(json_schema_extra={"examples": [
        {"types": ["ping"], "kind": "http", "concurrency": 1, "state": "running", "running": []}]})

    types: Annotated[list[Name] | None, Field(
        min_length=1, max_length=MAX_TYPES, description="what it does")] = None
    kind: Annotated[Word | None, Field(description="http, folder, exec, browser, or another word")] = None
    concurrency: Annotated[int | None, Field(ge=1, le=MAX_NUMBER, description="tasks at once"), WHOLE] = None
    host: Annotated[Name | None, Field(description="its machine")] = None
    pid: Annotated[Number | None, Field(description="its process there")] = None
    version: Annotated[Name | None, Field(description="of its program")] = None
    labels: Annotated[dict[Label, Label] | None, Field(
        max_length=MAX_LABELS, description="whatever helps to tell it apart")] = None
    state: Annotated[Word | None, Field(description="running, quiet, stopping; gone: it says goodbye")] = None
    started_at: Annotated[Instant, Field(description="another one: it has been started anew")] = None
    done: Annotated[Number | None, Field(description="tasks that succeeded since it started")] = None
    failed: Annotated[Number | None, Field(description="tasks that failed since it started")] = None


REPORTED = ("types", "kind", "concurrency", "host", "pid", "version", "labels", "state", "started_at", "done", "failed")
"""The fields of a beat that are for the registry."""


class OrderWish(Shape):
    """Who orders it, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"by": "me", "reason": "an update"}]})

    by: Annotated[Name | None, Field(description="who wants it")] = None
    reason: Annotated[str | None, Field(min_length=1, max_length=1000, json_schema_extra={"format": "name"})] = None


class WorkerAnswer(Answer):
    """``order``: what it was told from outside, ``{order, by, reason, at}``; ``running``: ids of its tasks."""

    worker_id: str
    kind: str
    state: str
    is_alive: bool
    is_quiet: bool
    types: list[str] | None
    concurrency: int
    host: str | None
    pid: int | None
    version: str | None
    labels: dict[str, str]
    running: list[str]
    done: int
    failed: int
    started_at: str | None
    first_seen_at: str
    last_seen_at: str
    order: dict[str, Any] | None
    twin: dict[str, Any] | None


class WorkerList(Answer):
    count: int
    workers: list[WorkerAnswer]
