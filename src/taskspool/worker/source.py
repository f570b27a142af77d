"""Where a worker gets its work: the five verbs, over a folder or over HTTP, so that one loop serves both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Claim, JsonValue

log = logging.getLogger("taskspool.worker")


class WorkSource(Protocol):
    """The five verbs of a worker: claim, extend, complete, fail, release.

    All raise the errors of ``taskspool.errors``: LeaseLost or NotFound when the task is no longer this worker's;
    StoreUnavailable or ServerUnreachable when the same call may be made again. Safe for many threads.
    """

    def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
        """Up to ``max_tasks`` tasks of ``types``, waiting up to ``wait_seconds`` for the first. May be empty."""

    def extend(self, claims: Sequence[Claim]) -> Collection[str]:
        """One sign of life for all ``claims``; the tokens among theirs that are lost."""

    def complete(self, claim: Claim, data: JsonValue) -> None: ...

    def fail(self, claim: Claim, failure: Failure) -> None: ...

    def release(self, claim: Claim) -> None:
        """Give the task back undone; costs no attempt."""

    def interrupt(self) -> None:
        """End a waiting ``claim`` soon, and let no later one wait."""


class FolderSource:
    """Work from a queue in this process. A claim lasts as long as the process lives: no lease, no heartbeat.

    ``look`` asks for a rescan of the folder: a task another process put there is seen then, or at the next tick.
    """

    def __init__(self, queue: Queue, worker: str, look: Callable[[], None] = lambda: None) -> None:
        self._queue = queue
        self._worker = worker
        self._look = look
        self._is_interrupted = False
        self._rung = threading.Event()

    def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
        claims = self._take(types, max_tasks)
        if claims or wait_seconds <= 0 or self._is_interrupted:
            return claims
        self._rung.clear()
        waiter = self._queue.bell.wait_for_task(self._rung.set, types)  # before looking: nothing arrives unseen
        try:
            claims = self._take(types, max_tasks)
            if claims or self._is_interrupted:
                return claims
            self._look()
            self._rung.wait(wait_seconds)
            return self._take(types, max_tasks)
        finally:
            self._queue.bell.leave(waiter, took=True)

    def _take(self, types: Sequence[str], max_tasks: int) -> list[Claim]:
        return self._queue.claim(self._worker, types=types, max_tasks=max_tasks, lease_seconds=0)

    def extend(self, claims: Sequence[Claim]) -> Collection[str]:  # noqa: ARG002  # the process itself is the sign
        return ()

    def complete(self, claim: Claim, data: JsonValue) -> None:
        self._queue.complete(claim.task.id, claim.lease.token, data)

    def fail(self, claim: Claim, failure: Failure) -> None:
        self._queue.fail(claim.task.id, claim.lease.token, failure)

    def release(self, claim: Claim) -> None:
        self._queue.release(claim.task.id, claim.lease.token)

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._rung.set()
