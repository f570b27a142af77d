"""One run of one task, as a pipeline: find the handler, call it, check what it gave.

Each step either goes on or ends the run with a Failure. Nothing a handler does ends the worker.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, JsonValue
from taskspool.worker.handlers import GiveUp, Handler, Handlers, Retry, Run

MAX_MESSAGE_CHARS = 2000

log = logging.getLogger("taskspool.worker")


@dataclass(frozen=True, slots=True)
class Success:
    data: JsonValue


Outcome = Success | Failure


def execute(claim: Claim, handlers: Handlers) -> Outcome:
    """Run the handler of ``claim`` and say how it went. Raises nothing, whatever the handler raises."""
    handler = handlers.get(claim.task.type)
    if handler is None:
        return Failure(f"this worker has no handler for {claim.task.type!r}", retryable=False)
    outcome = _call(handler, claim)
    return _checked(outcome) if isinstance(outcome, Success) else outcome


def _call(handler: Handler, claim: Claim) -> Outcome:
    try:
        if handler.wants_run:
            return Success(handler.function(claim.task.data, _run_of(claim)))
        return Success(handler.function(claim.task.data))
    except Retry as retry:
        return Failure(readable(retry), retry_after_seconds=retry.after_seconds)
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


def _run_of(claim: Claim) -> Run:
    task = claim.task
    return Run(task.id, task.type, task.requester, claim.lease.attempt, claim.lease.worker, task.last_error)


def readable(error: BaseException) -> str:
    """``ValueError: what it says``; for Retry and GiveUp only what they say."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  # an error of another person's class may fail to speak: its name must do
        text = ""
    if isinstance(error, Retry | GiveUp) and text:
        return _cut(text)
    return _cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def _cut(text: str) -> str:
    """``text`` at most MAX_MESSAGE_CHARS long and without half characters."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_MESSAGE_CHARS else text[: MAX_MESSAGE_CHARS - 1] + "…"
