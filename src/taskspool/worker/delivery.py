"""Handing in what a run gave: kept and sent again until the queue takes it or says that it is no longer wanted."""

from __future__ import annotations

import logging
from collections.abc import Callable

from taskspool.client_call import backoff_seconds
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim
from taskspool.errors import (
    Conflict, InvalidRequest, NotFound, ServerUnreachable, StoreUnavailable, TaskCancelled,
)
from taskspool.worker.calling import Outcome, Putoff, Success, readable
from taskspool.worker.contact import Contact
from taskspool.worker.source import WorkSource

MAX_FAULTS = 5
"""How often an answer that fits no rule is given another chance."""

log = logging.getLogger("taskspool.worker")


def deliver(source: WorkSource, claim: Claim, outcome: Outcome, pause: Callable[[float], bool],
            contact: Contact | None = None) -> Outcome | None:
    """Complete, fail or put off ``claim``. The answer that the queue has taken; None when there was nothing to be done.

    An outage is waited out, however long. A result the queue refuses, or breaks on again and again, fails the task
    with the reason; if even that cannot be said, the task is released. ``pause(seconds)`` waits between two attempts
    and says whether to go on. A checkpoint that ``contact`` still has to tell goes first.
    """
    tries = faults = 0
    while True:
        try:
            _tell_checkpoint(contact, outcome)
            _send(source, claim, outcome)
            return outcome
        except TaskCancelled:
            log.info("task %s was cancelled; its result is dropped", claim.task.id)
            return None
        except (Conflict, NotFound) as error:
            log.log(logging.INFO if isinstance(outcome, Putoff) else logging.WARNING, "result of task %s dropped: %s",
                    claim.task.id, error)
            return None
        except (StoreUnavailable, ServerUnreachable) as error:
            if not tries:
                log.warning("result of task %s is kept and sent again: %s", claim.task.id, error)
        except Exception as error:  # whatever the queue breaks on must not hold this worker, or the task, for ever
            refused = isinstance(error, InvalidRequest)
            faults += 1
            log.log(logging.WARNING if refused else logging.ERROR, "task %s could not be handed in: %s", claim.task.id,
                    readable(error), exc_info=None if refused else error)
            if refused or faults == MAX_FAULTS:
                if isinstance(outcome, Failure):
                    _let_go(source, claim)
                    return None
                outcome, faults = _failure(error), 0
                continue
        if not pause(backoff_seconds(tries)):
            log.error("result of task %s dropped, there is no time left", claim.task.id)
            return None
        tries += 1


def _tell_checkpoint(contact: Contact | None, outcome: Outcome) -> None:
    """What the next attempt, if there is one, will want to know."""
    if contact is None or isinstance(outcome, Success):
        return
    try:
        contact.tell(only_checkpoint=True)
    except InvalidRequest as error:
        log.warning("a checkpoint was refused: %s", error)


def _send(source: WorkSource, claim: Claim, outcome: Outcome) -> None:
    if isinstance(outcome, Success):
        source.complete(claim, outcome.data)
    elif isinstance(outcome, Putoff):
        source.release(claim, outcome.delay_seconds, outcome.reason)
    else:
        source.fail(claim, outcome)


def _failure(error: Exception) -> Failure:
    if isinstance(error, InvalidRequest):
        return Failure(f"the handler's result was refused: {error}", retryable=False)
    return Failure(f"the handler's result could not be handed in: {readable(error)}")


def _let_go(source: WorkSource, claim: Claim) -> None:
    try:
        source.release(claim)
    except Exception:  # the last thing to try failed too: the lease, or this process's end, frees the task
        log.exception("task %s could not be given back", claim.task.id)
