"""Where a worker gets its work: the five verbs, over a folder or over HTTP, so that one loop serves both."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Claim, JsonValue, State
from taskspool.engine.worker_record import WorkerReport
from taskspool.errors import Conflict, NotFound
from taskspool.worker.contact import Said, Seen
from taskspool.worker.submitting import new_task_of

FOLDER_BEAT_SECONDS = 1.0
"""How soon a worker on the folder learns that a task is to be cancelled."""

log = logging.getLogger("taskspool.worker")


@dataclass(frozen=True, slots=True)
class Heard:
    """What the queue answers to a sign of life: the tokens that are lost, and those whose task is to be cancelled."""

    lost: Collection[str] = ()
    cancelled: Collection[str] = ()


class WorkSource(Protocol):
    """The five verbs of a worker: claim, extend (alone, or to tell something), complete, fail, release.

    All raise the errors of ``taskspool.errors``: LeaseLost or NotFound when the task is no longer this worker's;
    StoreUnavailable or ServerUnreachable when the same call may be made again. Safe for many threads.
    """

    beat_seconds: float
    """How long ``extend`` may wait at most, whatever the leases allow."""
    worker: str
    """The name the tasks are claimed under."""
    kind: str
    """What the registry calls a worker of this source, if it says nothing else."""
    started_at: datetime

    def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
        """Up to ``max_tasks`` tasks of ``types``, waiting up to ``wait_seconds`` for the first. May be empty."""

    def extend(self, claims: Sequence[Claim]) -> Heard:
        """One sign of life for all ``claims``; what is to be known of them."""

    def tell(self, claim: Claim, said: Said) -> bool:
        """Store progress and checkpoint. Whether somebody wants the task cancelled."""

    def append_log(self, claim: Claim, lines: Sequence[tuple[str, str]], offset: int) -> int:
        """Add to the task's log; how many lines of this claim it has then (see ``engine.task_logs``)."""

    def report(self, report: WorkerReport) -> str:
        """Tell the registry what this worker is; what it is to do: ``run``, ``quiet`` or ``terminate``."""

    def complete(self, claim: Claim, data: JsonValue) -> None: ...

    def fail(self, claim: Claim, failure: Failure) -> None: ...

    def release(self, claim: Claim, delay_seconds: float = 0.0, reason: str = "", *, is_urgent: bool = False) -> None:
        """Give the task back undone, to wait ``delay_seconds``; costs no attempt. ``is_urgent``: there is no time."""

    def submit(self, body: Mapping[str, Any], key: str | None) -> str:
        """Hand over a new task, as ``POST /api/tasks`` takes it; its id."""

    def look(self, task_ids: Sequence[str]) -> Mapping[str, Seen]:
        """How these tasks stand, by id; those that are not there are left out."""

    def cancel(self, task_id: str, reason: str | None) -> None:
        """Ask for its end; one that is finished, or gone, stays as it is."""

    def interrupt(self) -> None:
        """End a waiting ``claim`` soon, and let no later one wait."""


class FolderSource:
    """Work from a queue in this process. A claim lasts as long as the process lives, if the task asks for no lease of
    its own; a beat looks whether it is still ours and wanted.

    ``look`` asks for a rescan of the folder: a task another process put there is seen then, or at the next tick.
    """

    def __init__(self, queue: Queue, worker: str, look: Callable[[], None] = lambda: None) -> None:
        self.beat_seconds = FOLDER_BEAT_SECONDS
        self.kind = "folder"
        self.worker = worker
        self.started_at = queue.clock.now()
        self._queue = queue
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
        return self._queue.claim(self.worker, types=types, max_tasks=max_tasks, lease_seconds=0)

    def extend(self, claims: Sequence[Claim]) -> Heard:
        lost, cancelled = [], []
        for claim in claims:
            task_id, token = claim.task.id, claim.lease.token
            if not self._is_ours(claim):
                lost.append(token)
            elif self._queue.cancel_request(task_id) is not None:
                cancelled.append(token)
        return Heard(lost, cancelled)

    def _is_ours(self, claim: Claim) -> bool:
        """A lease is kept by this; where there is none, this process's life is the sign, and a look is enough."""
        if not claim.lease.lease_seconds:
            lease = self._queue.lease_of(claim.task.id)
            return lease is not None and lease.token == claim.lease.token
        try:
            self._queue.extend(claim.task.id, claim.lease.token)
        except (Conflict, NotFound):
            return False
        return True

    def tell(self, claim: Claim, said: Said) -> bool:
        self._queue.extend(claim.task.id, claim.lease.token, percent=said.percent, message=said.message,
                           checkpoint=said.checkpoint)
        return self._queue.cancel_request(claim.task.id) is not None

    def append_log(self, claim: Claim, lines: Sequence[tuple[str, str]], offset: int) -> int:
        return self._queue.logs.append(claim.task.id, claim.lease.token, lines, offset)

    def report(self, report: WorkerReport) -> str:
        return self._queue.workers.report(report, is_local=True)

    def complete(self, claim: Claim, data: JsonValue) -> None:
        self._queue.complete(claim.task.id, claim.lease.token, data)

    def fail(self, claim: Claim, failure: Failure) -> None:
        self._queue.fail(claim.task.id, claim.lease.token, failure)

    def release(self, claim: Claim, delay_seconds: float = 0.0, reason: str = "",
                *, is_urgent: bool = False) -> None:  # noqa: ARG002 - a folder is near
        self._queue.release(claim.task.id, claim.lease.token, delay_seconds=delay_seconds, reason=reason or None)

    def submit(self, body: Mapping[str, Any], key: str | None) -> str:
        return self._queue.enqueue(new_task_of(body), key=key).task_id

    def look(self, task_ids: Sequence[str]) -> Mapping[str, Seen]:
        seen = {}
        for task_id in task_ids:
            try:
                state = self._queue.task(task_id).state
                error = self._queue.result(task_id).error_message if state is State.DEAD else None
            except NotFound:
                continue
            seen[task_id] = Seen(state.value, error)
        return seen

    def cancel(self, task_id: str, reason: str | None) -> None:
        try:
            self._queue.cancel(task_id, by=self.worker, reason=reason)
        except (Conflict, NotFound):
            return

    def interrupt(self) -> None:
        self._is_interrupted = True
        self._rung.set()
