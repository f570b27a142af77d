"""The error tree: every failure a caller can meet, with the code and the HTTP status it travels under.

    TaskspoolError
    ├── InvalidRequest        400  what was asked breaks a rule; ``details`` names the field and the rule
    │   └── PayloadTooLarge   413
    ├── NotFound              404
    │   ├── TaskNotFound      404  no task has this id
    │   ├── BatchNotFound     404  no batch has this id
    │   ├── QueueNotFound     404  no queue has this name
    │   ├── WorkerNotFound    404  no live worker has this name
    │   ├── TaskNotClaimable  404  the task exists, but is not waiting
    │   └── ResultPending     404  the task is not finished yet
    ├── Conflict              409
    │   ├── LeaseLost         409  somebody else holds, or has finished, this task
    │   │   └── TaskCancelled 409  it was cancelled, or is to be: nothing but that end is accepted
    │   ├── TaskFinished      409  it cannot be cancelled any more
    │   ├── NotRetryable      409  only dead and cancelled tasks are retried
    │   └── DuplicateTask     409  an unfinished task has the same unique key
    ├── LogOffset             416  lines of a log were left out; ``details`` names the ``next_offset``
    ├── IdempotencyConflict   422  the key was used before with another body
    ├── StoreUnavailable      503  the disk refused; nothing was acknowledged
    │   ├── StoreFull         507  no room left
    │   └── QueueFull         503  as many tasks wait as may
    ├── ServerUnreachable     503  (client) no answer from the bridge
    └── RefusedToStart        500  (start) a clear reason why this process does not begin its work

``code`` is stable and for programs, ``message`` is for people, ``hint`` says what a person can do about it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class TaskspoolError(Exception):
    """Root of all errors raised on purpose. ``str(error)`` is the message."""

    code: ClassVar[str] = "TASKSPOOL_ERROR"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: Mapping[str, Any] = details


class InvalidRequest(TaskspoolError):
    """What was asked breaks a rule. ``details`` carries ``field`` and ``rule``."""

    code = "INVALID_REQUEST"
    status = 400


class PayloadTooLarge(InvalidRequest):
    code = "PAYLOAD_TOO_LARGE"
    status = 413


class NotFound(TaskspoolError):
    code = "NOT_FOUND"
    status = 404


class TaskNotFound(NotFound):
    code = "TASK_NOT_FOUND"


class BatchNotFound(NotFound):
    code = "BATCH_NOT_FOUND"


class QueueNotFound(NotFound):
    code = "QUEUE_NOT_FOUND"


class WorkerNotFound(NotFound):
    code = "WORKER_NOT_FOUND"


class TaskNotClaimable(NotFound):
    """404 and not 409, because the clients of seed 002 expect a 404 here."""

    code = "TASK_NOT_CLAIMABLE"


class ResultPending(NotFound):
    """404, because the clients of seed 002 poll until it is no longer 404."""

    code = "RESULT_PENDING"


class Conflict(TaskspoolError):
    code = "CONFLICT"
    status = 409


class LeaseLost(Conflict):
    """The token is not, or no longer, the one that holds the task. The worker must stop working on it."""

    code = "LEASE_LOST"


class TaskCancelled(LeaseLost):
    """Cancelled is final: a result that comes later is refused. The worker must stop working on it."""

    code = "TASK_CANCELLED"


class TaskFinished(Conflict):
    code = "TASK_FINISHED"


class NotRetryable(Conflict):
    code = "TASK_NOT_RETRYABLE"


class DuplicateTask(Conflict):
    """``details`` carries the ``task_id`` of the unfinished task that has the key."""

    code = "DUPLICATE_TASK"


class LogOffset(TaskspoolError):
    """Lines before these never came. ``details`` carries ``next_offset``: how many lines of this claim there are."""

    code = "LOG_OFFSET"
    status = 416


class IdempotencyConflict(TaskspoolError):
    code = "IDEMPOTENCY_CONFLICT"
    status = 422


class StoreUnavailable(TaskspoolError):
    """The store could not do it. Nothing was acknowledged; the same call may be repeated."""

    code = "STORE_UNAVAILABLE"
    status = 503


class StoreFull(StoreUnavailable):
    code = "STORE_FULL"
    status = 507


class QueueFull(StoreUnavailable):
    """As many tasks wait as may (a bound that a door sets). Nothing was accepted; try again later."""

    code = "QUEUE_FULL"


class ServerUnreachable(TaskspoolError):
    code = "SERVER_UNREACHABLE"
    status = 503


class RefusedToStart(TaskspoolError):
    code = "REFUSED_TO_START"


BY_CODE: Mapping[str, type[TaskspoolError]] = {
    error.code: error
    for error in (
        InvalidRequest, PayloadTooLarge, NotFound, TaskNotFound, BatchNotFound, QueueNotFound, WorkerNotFound,
        TaskNotClaimable, ResultPending, Conflict, LeaseLost, TaskCancelled, TaskFinished, NotRetryable, DuplicateTask,
        LogOffset, IdempotencyConflict, StoreUnavailable, StoreFull, QueueFull,
    )
}
"""Code on the wire -> class, for the client: it raises what the engine raised."""
