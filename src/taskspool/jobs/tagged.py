"""The work of tagged tasks (door 8002): ``execute_task`` reads the row, runs the handler it names, keeps it true.

    taskspool work --queue tagged --handlers my.jobs       # a task with "handler": "resize" runs @handler("resize")

A row names any handler its worker has: those here (``noop``, ``sleep``, ``fail``), the built-in ones, and what modules
named with ``--handlers`` mark with ``@taskspool.handler``. It is called with the row's ``payload``; what it returns is
the row's ``result``. Names of functions: seed 003, tasks 3.2 and 3.3; ``heavy_task`` is that of its proof of concept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from taskspool.clock import SystemClock
from taskspool.engine.file_store import FileStore
from taskspool.engine.task import JsonValue
from taskspool.records.database import Database, open_database
from taskspool.records.tagged_mirror import TaggedMirror
from taskspool.records.tagged_standing import EXECUTE, HEAVY
from taskspool.settings import Settings, from_environment
from taskspool.worker import hooks
from taskspool.worker.context import GiveUp, TaskContext
from taskspool.worker.handlers import handler

MAX_SLEEP_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Place:
    """The two stores, as this process has them open."""

    database: Database
    mirror: TaggedMirror


@handler(EXECUTE)
def execute_task(data: Mapping[str, JsonValue], context: TaskContext) -> JsonValue:
    """``{task_id, uuid}``: run the handler of that row with its payload; what it returns is the result.

    Before anything else the row says ``in_progress``. A row that is gone is not worked on, nor one whose
    ``retry_limit`` was lowered below what was used already.
    """
    task_id, uuid = data.get("task_id"), data.get("uuid")
    if not isinstance(task_id, int) or not isinstance(uuid, str):
        raise GiveUp("this is no task of the tagged door: it names no row")
    work = _place().mirror.begin(task_id, uuid, context.task_id)
    if work is None:
        raise GiveUp(f"task {task_id} was deleted")
    if context.attempt > work.retry_limit + 1:
        raise GiveUp(f"no run is left: retry_limit was lowered to {work.retry_limit} after {context.attempt - 1} runs")
    if work.handler == EXECUTE:
        raise GiveUp(f"{EXECUTE} cannot be the handler of a task: it would call itself")
    return context.perform(work.handler, work.payload)


@handler(HEAVY)
def heavy_task(data: Mapping[str, JsonValue], context: TaskContext) -> str:
    """``{sleep_time}`` -> ``Slept for N seconds.``"""
    seconds = _seconds(data, "sleep_time", 5)
    _sleep(seconds, context)
    return f"Slept for {seconds:g} seconds."


@handler("noop")
def noop(_data: JsonValue) -> None:
    """Does nothing, and is done."""


@handler("sleep")
def sleep(data: Mapping[str, JsonValue], context: TaskContext) -> dict[str, float]:
    """``{seconds}`` -> ``{slept_seconds}``; half a minute unless said otherwise."""
    seconds = _seconds(data, "seconds", 30)
    _sleep(seconds, context)
    return {"slept_seconds": seconds}


@handler("fail")
def fail(data: Mapping[str, JsonValue], context: TaskContext) -> dict[str, int]:
    """``{times, message}``: fails the first ``times`` attempts (all, unless said), then -> ``{attempt}``."""
    times = data.get("times")
    if not isinstance(times, int) or context.attempt <= times:
        raise RuntimeError(str(data.get("message", "this handler fails")))
    return {"attempt": context.attempt}


# -- hooks: the row is told at once what became of the run; the door finds it out by itself too ----------------------


@hooks.on_retry
def on_retry(context: TaskContext) -> None:
    """The task comes again: its row says ``retrying``, with one more ``current_retry_count``."""
    _keep_true(context)


@hooks.on_failure
def on_job_failure(context: TaskContext) -> None:
    """The task is given up: its row says ``failed``, and why."""
    _keep_true(context)


@hooks.on_success
def on_job_success(context: TaskContext) -> None:
    """The task is done: its row says so, and when."""
    _keep_true(context)


@hooks.on_cancel
def on_job_cancel(context: TaskContext) -> None:
    """The task was cancelled: its row says so, if there still is one."""
    _keep_true(context)


def _keep_true(context: TaskContext) -> None:
    if context.type == EXECUTE:
        _place().mirror.look_at_queue_ids([context.task_id])


def _place() -> Place:
    return opened(from_environment())


@lru_cache(maxsize=2)
def opened(settings: Settings) -> Place:
    """Opened when the first task comes, and kept: the queue is only looked at here, its worker has its own."""
    database = open_database(settings)
    return Place(database, TaggedMirror(FileStore(settings, SystemClock()), database))


def _seconds(data: Mapping[str, JsonValue], name: str, default: float) -> float:
    seconds = data.get(name, default)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= MAX_SLEEP_SECONDS:
        raise GiveUp(f"{name} must be a number in 0..{MAX_SLEEP_SECONDS}, not {seconds!r}")
    return seconds


def _sleep(seconds: float, context: TaskContext) -> None:
    if context.wait(seconds):
        context.raise_if_cancelled()
