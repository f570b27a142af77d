"""One run of one task, as a pipeline: find the handler, call it, check what it gave.

Each step either goes on or ends the run with a Failure. Nothing a handler does ends the worker.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, JsonValue
from taskspool.worker.contact import Cancelled, Contact
from taskspool.worker.handlers import Handler, Handlers
from taskspool.worker.run import GiveUp, Retry, Run, Snooze

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


def execute(claim: Claim, handlers: Handlers, contact: Contact | None = None) -> Outcome:
    """Run the handler of ``claim`` and say how it went. Raises nothing, whatever the handler raises."""
    handler = handlers.get(claim.task.type)
    if handler is None:
        return Failure(f"this worker has no handler for {claim.task.type!r}", retryable=False)
    outcome = _call(handler, claim, contact or Contact())
    return _checked(outcome) if isinstance(outcome, Success) else outcome


def _call(handler: Handler, claim: Claim, contact: Contact) -> Outcome:
    try:
        if handler.wants_run:
            return Success(handler.function(claim.task.data, _run_of(claim, contact)))
        return Success(handler.function(claim.task.data))
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
        log.info("task %s failed", claim.task.id, exc_info=error)
        return Failure(readable(error))


def _checked(success: Success) -> Outcome:
    """``success`` if its data can be stored. JSON knows no dates, sets, NaN, or half characters."""
    try:
        json.dumps(success.data, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return Failure(_cut(f"the handler's result is not JSON (only None, true, false, finite numbers, texts, lists "
                            f"and dicts with text keys are): {error}"), retryable=False)
    return success


def _run_of(claim: Claim, contact: Contact) -> Run:
    task, lease = claim.task, claim.lease
    return Run(task.id, task.type, task.requester, lease.attempt, lease.worker, task.last_error, task.checkpoint,
               _deadline_of(claim), contact)


def _deadline_of(claim: Claim) -> datetime | None:
    """The end of this attempt, or of the task's total time, whichever comes first."""
    timeout = claim.task.options.timeout_seconds
    ends = (None if timeout is None else claim.lease.claimed_at + timedelta(seconds=timeout), claim.task.ends_at)
    return min((end for end in ends if end is not None), default=None)


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
