"""The call of a handler: find it, call it, check what it gave. Whatever it does ends as an Outcome.

The same in a runner's thread and in a process of its own.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from taskspool.engine.lifecycle import Failure
from taskspool.engine.options import PLAIN
from taskspool.engine.task import Claim, JsonValue
from taskspool.worker.contact import Cancelled, Contact
from taskspool.worker.context import GiveUp, Retry, Snooze, TaskContext
from taskspool.worker.handlers import Handler, Handlers

MAX_MESSAGE_CHARS = 2000

log = logging.getLogger("taskspool.worker")


@dataclass(frozen=True, slots=True)
class Success:
    data: JsonValue


@dataclass(frozen=True, slots=True)
class Putoff:
    """The task goes back and waits ``delay_seconds``; the run counts as no attempt."""

    delay_seconds: float
    reason: str


Outcome = Success | Failure | Putoff
"""What the queue is told: complete, fail, release."""


def call_handler(handlers: Handlers, context: TaskContext, data: JsonValue) -> Outcome:
    """Run the handler of the task's type and say how it went. Raises nothing, whatever the handler raises."""
    handler = handlers.get(context.type)
    if handler is None:
        return Failure(f"this worker has no handler for {context.type!r}", retryable=False)
    outcome = _called(handler, replace(context, _performer=partial(_perform, handlers)), data)
    return _checked(outcome) if isinstance(outcome, Success) else outcome


def _perform(handlers: Handlers, context: TaskContext, type_name: str, data: JsonValue) -> JsonValue:
    """What the handler of ``type_name`` returns, within the run of ``context``. Raises what it raises."""
    handler = handlers.get(type_name)
    if handler is None:
        raise GiveUp(f"this worker has no handler for {type_name!r}; it has {', '.join(handlers.types)}")
    return _given(handler, context, data)


def _given(handler: Handler, context: TaskContext, data: JsonValue) -> JsonValue:
    given = handler.function(data, context) if handler.wants_context else handler.function(data)
    return _awaited(given, context.contact) if inspect.iscoroutine(given) else given


def _called(handler: Handler, context: TaskContext, data: JsonValue) -> Outcome:
    try:
        return Success(_given(handler, context, data))
    except Snooze as snooze:
        return Putoff(snooze.delay_seconds, readable(snooze))
    except Retry as retry:
        return Failure(readable(retry), retry_after_seconds=retry.after_seconds)
    except Cancelled as stop:  # no failure when the queue wanted it: then nobody is told what is returned here
        return Failure(readable(stop))
    except GiveUp as reason:
        return Failure(readable(reason), retryable=False)
    except BaseException as error:  # a handler may raise anything, SystemExit and KeyboardInterrupt included. It runs
        # in a thread of its own, where neither is a wish of the user: real Ctrl-C arrives in the main thread.
        log.info("task %s failed", context.task_id, exc_info=error)
        return Failure(readable(error))


def _awaited(coroutine: Coroutine[Any, Any, JsonValue], contact: Contact) -> JsonValue:
    """What an ``async`` handler returns, in an event loop of its own. When the run is to stop it is cancelled, as
    asyncio does it: a CancelledError at the place where it waits."""
    async def watched() -> JsonValue:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(coroutine)

        def cancel() -> None:
            loop.call_soon_threadsafe(task.cancel)

        with contact.calling_at_end(cancel):
            return await task

    try:
        return asyncio.run(watched())
    except asyncio.CancelledError as error:
        if contact.is_ended:
            raise Cancelled from error
        raise


def _checked(success: Success) -> Outcome:
    """``success`` if its data can be stored. JSON knows no dates, sets, NaN, or half characters."""
    try:
        json.dumps(success.data, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return Failure(_cut(f"the handler's result is not JSON (only None, true, false, finite numbers, texts, lists "
                            f"and dicts with text keys are): {error}"), retryable=False)
    return success


def context_of(claim: Claim, contact: Contact) -> TaskContext:
    """What the handler of ``claim`` is told, and tells through ``contact``."""
    task, lease = claim.task, claim.lease
    return TaskContext(task.id, task.type, task.requester, lease.attempt, lease.worker, task.last_error,
                       task.checkpoint, _deadline_of(claim), contact, lease.attempt + _left(claim), task.priority.word,
                       task.options.group, task.options.parent)


def _left(claim: Claim) -> int:
    """How many attempts may still come after this one."""
    task = claim.task
    used = task.attempts + (task.crashes if task.options.crashes_count else 0)
    return max(0, task.max_retries - used)


def may_come_again(claim: Claim) -> bool:
    """Whether the task is tried again when this attempt fails."""
    return _left(claim) > 0


def _deadline_of(claim: Claim) -> datetime | None:
    """The end of this attempt, or of the task's total time, whichever comes first."""
    if claim.task.options is PLAIN:
        return None
    timeout = claim.task.options.timeout_seconds
    ends = (None if timeout is None else claim.lease.claimed_at + timedelta(seconds=timeout), claim.task.ends_at)
    return min((end for end in ends if end is not None), default=None)


def seconds_of(claim: Claim) -> float | None:
    """How long this attempt may take, from its claim on; None without end."""
    deadline = _deadline_of(claim)
    return None if deadline is None else max(0.0, (deadline - claim.lease.claimed_at).total_seconds())


def readable(error: BaseException) -> str:
    """``ValueError: what it says``; for our own exceptions only what they say."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # an error of another person's class may fail to speak: its name must do
        text = ""
    if isinstance(error, Retry | GiveUp | Snooze | Cancelled) and text:
        return _cut(text)
    return _cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _cut(text: str) -> str:
    """``text`` at most MAX_MESSAGE_CHARS long and without half characters."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"
