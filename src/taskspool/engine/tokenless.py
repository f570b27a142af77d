"""Finishing for clients that know no lease tokens (seed 002): who is believed, and on what ground."""

from __future__ import annotations

from typing import TYPE_CHECKING

from taskspool.engine.history import ANONYMOUS
from taskspool.engine.task import JsonValue, Lease, Result, State
from taskspool.errors import InvalidRequest, LeaseLost, TaskCancelled

if TYPE_CHECKING:
    from taskspool.engine.lifecycle import Failure, Queue


def finish(queue: Queue, task_id: str, worker: str | None, data: JsonValue, failure: Failure | None) -> Result | None:
    """See ``Queue.finish_without_token``."""
    lease = queue.store.lease_of(task_id)
    if lease is None:
        standing = queue.store.result(task_id)
        if standing is not None and standing.state is State.CANCELLED:
            raise TaskCancelled(f"task {task_id} was cancelled; a late result is refused", task_id=task_id)
        if standing is not None and _may_be(worker, standing.worker):
            return standing
        if standing is None:
            return _finish_unclaimed(queue, task_id, worker, data, failure)
    if lease is None or not (_may_be(worker, lease.worker) or lease.worker == ANONYMOUS):
        raise LeaseLost(f"task {task_id} is held, or was finished, by another worker", task_id=task_id)
    return _finish_held(queue, lease, worker, data, failure)


def _may_be(given: str | None, known: str) -> bool:
    """Whether who says ``given`` (None: says nothing) may be the worker ``known``. Case does not count: on file systems
    that fold it the folders of Bob and bob are one, which bears the name of whoever came first."""
    return given is None or given.casefold() == known.casefold()


def _finish_unclaimed(queue: Queue, task_id: str, worker: str | None, data: JsonValue,
                      failure: Failure | None) -> Result | None:
    """Claim it for the one who brings its result. A result that cannot be stored leaves the task as it was."""
    lease = queue.claim_one(task_id, worker or ANONYMOUS).lease
    try:
        return _finish_held(queue, lease, worker, data, failure)
    except InvalidRequest:
        queue.store.requeue(lease, None)
        raise


def _finish_held(queue: Queue, lease: Lease, worker: str | None, data: JsonValue,
                 failure: Failure | None) -> Result | None:
    if not lease.token:
        return queue.finish_popped(lease, data, failure)
    if failure is None:
        return queue.complete(lease.task_id, lease.token, data, worker=worker)
    return queue.fail(lease.task_id, lease.token, failure, worker=worker)
