"""The life of a task, top to bottom, a verb a method.

    enqueue ──> ready ──claim──> claimed ──complete──> done
                  ^                 │ ├──fail─────────> dead
       promote    │                 │ └──fail─────────> scheduled ──promote──> ready
    scheduled ────┘                 └──release, expire─> ready

The queue decides (who may, how often, when again); the store moves. Every verb starts from one named state and, where
a task is held, from one exact lease.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from taskspool.clock import Clock, IdMaker, SystemClock
from taskspool.engine.bell import Bell
from taskspool.engine.retry import delay_seconds
from taskspool.engine.file_store import FileStore
from taskspool.engine.store import Expired, IdempotencyKey, Store
from taskspool.engine.task import (
    Claim, Counts, JsonValue, Lease, NewTask, Result, Snapshot, State, SweepReport, Task, check_name, check_new,
)
from taskspool.errors import InvalidRequest, LeaseLost, ResultPending, TaskNotFound
from taskspool.settings import Settings

ANONYMOUS = "anonymous"
"""The worker name of a claim whose caller gave none."""

MAX_ERROR_CHARS = 4_000
"""What is kept with the task of an attempt's error message; the result has the whole of it."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """``created`` is False when an idempotency key had brought the task before."""

    task_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed. ``retryable`` False gives up at once; ``retry_after_seconds`` overrides the backoff."""

    message: str
    data: JsonValue = None
    retryable: bool = True
    retry_after_seconds: float | None = None


class Queue:
    """One queue on one store. Safe for many threads; open it with ``start`` and end it with ``close``."""

    def __init__(self, store: Store, *, clock: Clock | None = None, ids: Callable[[], str] | None = None,
                 lease_seconds: int = 60, max_crashes: int = 3,
                 backoff: Callable[[int], float] = delay_seconds) -> None:
        self.store = store
        self.bell: Bell = store.bell
        self.clock = clock or SystemClock()
        self.lease_seconds = lease_seconds
        self._ids = ids or IdMaker()
        self._max_crashes = max_crashes
        self._backoff = backoff

    def start(self) -> SweepReport:
        """Open the store: whatever a crash left is repaired before the first verb."""
        report = self.store.open()
        expired, buried = self._expire_all()
        return replace(report, expired=expired, buried=buried)

    def close(self) -> None:
        self.bell.ring_all()
        self.store.close()

    # -- the life ------------------------------------------------------------------------------------------------

    def enqueue(self, new: NewTask, *, key: str | None = None) -> Enqueued:
        """Nowhere -> ready. True at the store's rename or insert; acknowledged once durable.

        Raises InvalidRequest, IdempotencyConflict, StoreUnavailable.
        """
        ids, created = self._put([new], key)
        return Enqueued(ids[0], created)

    def enqueue_many(self, news: Sequence[NewTask], *, key: str | None = None) -> list[Enqueued]:
        """Nowhere -> ready for all of ``news``, or for none."""
        if not news:
            raise InvalidRequest("tasks must hold at least one task", field="tasks", rule="1 or more")
        ids, created = self._put(news, key)
        return [Enqueued(task_id, created) for task_id in ids]

    def _put(self, news: Sequence[NewTask], key: str | None) -> tuple[list[str], bool]:
        now = self.clock.now()
        tasks = [
            Task(self._ids(), new.type, new.data, new.requester, now, new.priority, new.max_retries)
            for new in map(check_new, news)
        ]
        return self.store.put(tasks, None if key is None else _idempotency_key(key, news))

    def claim(self, worker: str = ANONYMOUS, *, types: Collection[str] | None = None, max_tasks: int = 1,
              lease_seconds: int | None = None) -> list[Claim]:
        """Ready -> claimed, for up to ``max_tasks`` tasks of ``types`` (None: any). An empty list: nothing waits.

        ``lease_seconds`` None takes the queue's own; 0 claims for this process (see Store.take).
        """
        check_name("worker_id", worker)
        seconds = self.lease_seconds if lease_seconds is None else lease_seconds
        return self.store.take(worker, types, max_tasks, seconds)

    def claim_one(self, task_id: str, worker: str = ANONYMOUS, *, lease_seconds: int | None = None) -> Claim:
        """Ready -> claimed for exactly ``task_id``. Raises TaskNotFound, TaskNotClaimable."""
        check_name("worker_id", worker)
        seconds = self.lease_seconds if lease_seconds is None else lease_seconds
        return self.store.take_one(task_id, worker, seconds)

    def extend(self, task_id: str, token: str) -> Lease:
        """Claimed -> claimed: the lease starts anew, if ``token`` still holds it. Raises TaskNotFound, LeaseLost."""
        lease = self._held(task_id, token)
        self.store.extend(lease)
        return lease

    def complete(self, task_id: str, token: str, data: JsonValue, *, worker: str | None = None) -> Result:
        """Claimed -> done. The same token again returns the result that stands; any other raises LeaseLost.

        ``worker`` stands in the result instead of the name the task was claimed under.
        """
        try:
            return self._finish(self._held(task_id, token), None, "success", data, None, worker=worker)
        except LeaseLost:
            return self._standing(task_id, token)

    def fail(self, task_id: str, token: str, failure: Failure, *, worker: str | None = None) -> Result | None:
        """Claimed -> scheduled while retries are left and allowed, else -> dead with a result (returned).

        The same token again returns the result that stands; any other raises LeaseLost. ``worker``: see ``complete``.
        """
        try:
            return self._fail(self._held(task_id, token), failure, worker)
        except LeaseLost:
            return self._standing(task_id, token)

    def _fail(self, lease: Lease, failure: Failure, worker: str | None = None) -> Result | None:
        task = self.task(lease.task_id).task
        failed = replace(task, attempts=task.attempts + _uncounted(task, lease),
                         last_error=failure.message[:MAX_ERROR_CHARS])
        if failure.retryable and failed.attempts <= failed.max_retries:
            wait = failure.retry_after_seconds
            wait = self._backoff(failed.attempts) if wait is None else wait
            self.store.requeue(lease, replace(failed, not_before=self.clock.now() + timedelta(seconds=wait)))
            return None
        return self._finish(lease, failed, "error", failure.data, failure.message, worker=worker)

    def release(self, task_id: str, token: str, *, delay_seconds: float = 0.0) -> None:
        """Claimed -> ready, or scheduled when a delay is given. Costs no attempt. Raises TaskNotFound, LeaseLost."""
        lease = self._held(task_id, token)
        if delay_seconds <= 0:
            self.store.requeue(lease, None)
            return
        later = self.clock.now() + timedelta(seconds=delay_seconds)
        self.store.requeue(lease, replace(self.task(task_id).task, not_before=later))

    def finish_without_token(self, task_id: str, worker: str | None, data: JsonValue,
                             failure: Failure | None = None) -> Result | None:
        """Complete, or fail, for a client that knows no lease tokens (seed 002).

        It is believed when the task waits (it is claimed for it first), when the holder has its name, and when
        either side gave no name; the result carries the name that was given. A finished task answers with the result
        that stands, if it may be this worker's.
        Raises TaskNotFound, TaskNotClaimable, LeaseLost.
        """
        lease = self.store.lease_of(task_id)
        if lease is None:
            standing = self.store.result(task_id)
            if standing is not None and worker in (None, standing.worker):
                return standing
            if standing is None:
                return self._finish_unclaimed(task_id, worker, data, failure)
        if lease is None or not (worker in (None, lease.worker) or lease.worker == ANONYMOUS):
            raise LeaseLost(f"task {task_id} is held, or was finished, by another worker", task_id=task_id)
        return self._finish_held(lease, worker, data, failure)

    def _finish_unclaimed(self, task_id: str, worker: str | None, data: JsonValue,
                          failure: Failure | None) -> Result | None:
        """Claim it for the one who brings its result. A result that cannot be stored leaves the task as it was."""
        lease = self.claim_one(task_id, worker or ANONYMOUS).lease
        try:
            return self._finish_held(lease, worker, data, failure)
        except InvalidRequest:
            self.store.requeue(lease, None)
            raise

    def _finish_held(self, lease: Lease, worker: str | None, data: JsonValue,
                     failure: Failure | None) -> Result | None:
        if lease.token and failure is None:
            return self.complete(lease.task_id, lease.token, data, worker=worker)
        if lease.token and failure is not None:
            return self.fail(lease.task_id, lease.token, failure, worker=worker)
        if failure is None:  # popped in place by an old program: there is no token
            return self._finish(lease, None, "success", data, None)
        return self._fail(lease, failure)

    def sweep(self) -> SweepReport:
        """Expire, promote, adopt, finish, quarantine: everything that happens without a caller. Idempotent."""
        report = self.store.settle(self.clock.now())
        expired, buried = self._expire_all()
        return replace(report, expired=expired, buried=buried)

    def _expire_all(self) -> tuple[int, int]:
        """(given back, buried) among the claims whose holder is dead or silent."""
        fates: list[bool] = []
        for expired in self.store.expired():
            try:
                fates.append(self._expire(expired))
            except (LeaseLost, TaskNotFound):
                continue  # its holder, or another sweeper, was faster: nothing is left to do
        return fates.count(False), fates.count(True)

    def _expire(self, expired: Expired) -> bool:
        """Claimed -> ready, or dead (poison) when it took ``max_crashes`` workers with it. True when dead."""
        task, lease = expired.claim.task, expired.claim.lease
        crashed = replace(task, crashes=task.crashes + _uncounted(task, lease), not_before=None,
                          last_error=f"worker {lease.worker} died or fell silent during attempt {lease.attempt}")
        if crashed.crashes < self._max_crashes:
            self.store.requeue(lease, crashed, expired=expired)
            return False
        message = f"given up: {crashed.crashes} workers died or fell silent while running it; {crashed.last_error}"
        self._finish(lease, crashed, "error", None, message, expired)
        return True

    def _finish(self, lease: Lease, task: Task | None, status: str, data: JsonValue, error: str | None,
                expired: Expired | None = None, *, worker: str | None = None) -> Result:
        result = Result(lease.task_id, worker or lease.worker, status, data, self.clock.now(), error, lease.attempt,
                        lease.token, lease.claimed_at)
        return self.store.finish(lease, task, result, expired=expired)

    # -- looking -------------------------------------------------------------------------------------------------

    def task(self, task_id: str) -> Snapshot:
        """Raises TaskNotFound."""
        snapshot = self.store.find(task_id)
        if snapshot is None:
            raise TaskNotFound(f"no task has the id {task_id}", task_id=task_id)
        return snapshot

    def result(self, task_id: str) -> Result:
        """Raises ResultPending while the task is not finished, TaskNotFound when there is none."""
        result = self.store.result(task_id)
        if result is None:
            snapshot = self.task(task_id)
            raise ResultPending(f"task {task_id} is {snapshot.state.value}, it has no result yet", task_id=task_id,
                                state=snapshot.state.value)
        return result

    def listing(self, state: State = State.READY, *, types: Collection[str] | None = None,
                limit: int = 10, oldest: bool = False) -> list[Snapshot]:
        """Up to ``limit`` tasks of one state. See Store.listing for their order."""
        return self.store.listing(state, types, limit, oldest=oldest)

    def latest_results(self, limit: int = 10) -> list[Result]:
        return self.store.latest_results(limit)

    def leases(self) -> list[tuple[Snapshot, Lease]]:
        return self.store.leases()

    def counts(self) -> Counts:
        return self.store.counts()

    def glance(self) -> None:
        """Look for what other processes added, if anybody here waits. Cheap; see ``sweep.Lookout``."""
        if self.bell.has_waiters:
            self.store.glance()

    def lease_of(self, task_id: str) -> Lease | None:
        return self.store.lease_of(task_id)

    def _held(self, task_id: str, token: str) -> Lease:
        """The lease that ``token`` holds. Raises LeaseLost, or TaskNotFound."""
        lease = self.store.lease_of(task_id, token)
        if lease is None or not token or lease.token != token:
            self.task(task_id)
            raise LeaseLost(f"task {task_id} is not held by this lease token any more", task_id=task_id,
                            hint="stop working on it: it was given to another worker, or is finished")
        return lease

    def _standing(self, task_id: str, token: str) -> Result:
        """The result this very token wrote before. Raises LeaseLost when there is none."""
        result = self.store.result(task_id)
        if result is not None and token and result.token == token:
            lease = Lease(task_id, result.worker, result.attempt or 1, token, 0, result.completed_at)
            return self.store.finish(lease, None, result)  # says it again, once it is durable
        raise LeaseLost(f"task {task_id} is not held by this lease token any more", task_id=task_id,
                        hint="stop working on it: it was given to another worker, or is finished")


def open_queue(settings: Settings, *, clock: Clock | None = None) -> Queue:
    """The queue of ``settings``, started. The caller closes it. Raises RefusedToStart."""
    clock = clock or SystemClock()
    queue = Queue(FileStore(settings, clock), clock=clock, lease_seconds=settings.lease_seconds,
                  max_crashes=settings.max_crashes)
    queue.start()
    return queue


def _uncounted(task: Task, lease: Lease) -> int:
    """1, or 0 when the task's content counts this run already: an earlier try to end it was interrupted half-way."""
    return int(task.next_attempt <= lease.attempt)


def _idempotency_key(key: str, news: Sequence[NewTask]) -> IdempotencyKey:
    check_name("Idempotency-Key", key, 255)
    asked: list[Mapping[str, JsonValue]] = [
        {"type": new.type, "data": new.data, "requester": new.requester, "priority": int(new.priority),
         "max_retries": new.max_retries}
        for new in news
    ]
    text = json.dumps(asked, sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(key, hashlib.sha256(text.encode()).hexdigest())
