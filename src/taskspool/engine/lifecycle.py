"""The life of a task, top to bottom, a verb a method.

    enqueue ──> ready ──claim──> claimed ──complete──> done
                 ^ ^                │ ├──fail────────> dead ───────┐
       promote   │ │                │ ├──fail────────> scheduled   │ retry
    scheduled ───┘ └─release, expire┘ └──cancel──────> cancelled ──┴──> ready

A task that waits can be cancelled too, and is given up (dead) when its time is over.
The queue decides (who may, how often, when again); the store moves. Every verb starts from one named state and, where
a task is held, from one exact lease. What people do to a task from outside (cancel, retry, promote, revise, pause) is
in ``steering``, what ends without a caller in ``endings``, looking without moving in ``looking``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from taskspool.clock import Clock, IdMaker, SystemClock
from taskspool.engine import tokenless
from taskspool.engine.batch import Batch, batch_id_of, belonging, check_batch, record_of
from taskspool.engine.bell import Bell
from taskspool.engine.documents import check_size
from taskspool.engine.endings import Endings
from taskspool.engine.file_store import FileStore
from taskspool.engine.fingerprint import idempotency_key
from taskspool.engine.history import ANONYMOUS, ended, uncounted
from taskspool.engine.retry import delay_seconds as default_backoff
from taskspool.engine.revision import MAX_MESSAGE_CHARS, check_percent
from taskspool.engine.steering import Steering, settled
from taskspool.engine.store import Store
from taskspool.engine.task import (
    Claim, JsonValue, Lease, NewTask, Progress, Result, State, SweepReport, Task, check_name, check_new, scheduled,
)
from taskspool.errors import InvalidRequest, LeaseLost, TaskCancelled
from taskspool.settings import Settings

MAX_ERROR_CHARS = 4_000
"""What is kept with the task of an attempt's error message; the result has the whole of it."""
KEEP = object()
"""``checkpoint=KEEP``: what was kept before stays."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """``created`` is False when an idempotency key, or a unique key, had brought the task before."""

    task_id: str
    created: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed. ``retryable`` False gives up at once; ``retry_after_seconds`` overrides the backoff."""

    message: str
    data: JsonValue = None
    retryable: bool = True
    retry_after_seconds: float | None = None


class Queue(Steering):
    """One queue on one store. Safe for many threads; open it with ``start`` and end it with ``close``."""

    def __init__(self, store: Store, *, clock: Clock | None = None, ids: Callable[[], str] | None = None,
                 lease_seconds: int = 60, max_crashes: int = 3, cancel_grace_seconds: float = 30.0,
                 max_checkpoint_bytes: int = 65_536, backoff: Callable[[int], float] = default_backoff) -> None:
        clock = clock or SystemClock()
        self._backoff = backoff
        endings = Endings(store, clock, max_crashes=max_crashes, cancel_grace_seconds=cancel_grace_seconds,
                          wait_of=self._wait_of)
        super().__init__(store, clock, endings, max_crashes=max_crashes, cancel_grace_seconds=cancel_grace_seconds)
        self.bell: Bell = store.bell
        self.lease_seconds = lease_seconds
        self._ids = ids or IdMaker()
        self._max_checkpoint_bytes = max_checkpoint_bytes

    def start(self) -> SweepReport:
        """Open the store: whatever a crash left is repaired before the first verb."""
        report = self.store.open()
        return self._endings.end_all(report, is_start=True)

    def close(self) -> None:
        self.bell.ring_all()
        self.store.close()

    # -- nowhere -> ready, scheduled -----------------------------------------------------------------------------

    def enqueue(self, new: NewTask, *, key: str | None = None) -> Enqueued:
        """Nowhere -> ready, or scheduled. True at the store's rename or insert; acknowledged once durable.

        Raises InvalidRequest, IdempotencyConflict, DuplicateTask, StoreUnavailable.
        """
        ids, created = self._put([new], key, new.on_conflict)
        return Enqueued(ids[0], created)

    def enqueue_many(self, news: Sequence[NewTask], *, key: str | None = None) -> list[Enqueued]:
        """Nowhere -> ready, or scheduled, for all of ``news``, or for none. None of them may have a unique key."""
        if not news:
            raise InvalidRequest("tasks must hold at least one task", field="tasks", rule="1 or more")
        if any(new.options.unique_key is not None for new in news):
            raise InvalidRequest("unique_key is for tasks that are submitted one by one", field="unique_key",
                                 rule="not in a batch")
        ids, created = self._put(news, key, "existing")
        return [Enqueued(task_id, created) for task_id in ids]

    def enqueue_batch(self, news: Sequence[NewTask], *, name: str | None = None, key: str | None = None) -> Batch:
        """As ``enqueue_many``, for up to 1000 tasks that are then found again as a batch: see ``batch``."""
        check_batch(news, name)
        tasks = belonging(self._tasks_of(news))
        wanted = None if key is None else idempotency_key(key, news, {"batch": name})
        ids, created = self.store.put(tasks, wanted, record_of(tasks, name))
        return replace(self.batch(batch_id_of(ids[0])), created=created)

    def _tasks_of(self, news: Sequence[NewTask]) -> list[Task]:
        now = self.clock.now()
        return [
            scheduled(Task(self._ids(), new.type, new.data, new.requester, now, new.priority, new.max_retries,
                            options=new.kept_options), new, now)
            for new in map(check_new, news)
        ]

    def _put(self, news: Sequence[NewTask], key: str | None, on_conflict: str) -> tuple[list[str], bool]:
        tasks = self._tasks_of(news)
        wanted = None if key is None else idempotency_key(key, news)
        if tasks[0].options.unique_key is None:
            return self.store.put(tasks, wanted)
        return self.store.put_unique(tasks[0], wanted, on_conflict, self._endings.replacing)

    # -- ready -> claimed -> claimed -----------------------------------------------------------------------------

    def claim(self, worker: str = ANONYMOUS, *, types: Collection[str] | None = None, max_tasks: int = 1,
              lease_seconds: int | None = None) -> list[Claim]:
        """Ready -> claimed, for up to ``max_tasks`` tasks of ``types`` (None: any). An empty list: nothing waits, or
        what waits is paused.

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

    def extend(self, task_id: str, token: str, *, percent: float | None = None, message: str | None = None,
               checkpoint: JsonValue = KEEP) -> Lease:
        """Claimed -> claimed: the lease starts anew, if ``token`` still holds it. Raises TaskNotFound, LeaseLost, and
        PayloadTooLarge for a ``checkpoint`` beyond its limit: then nothing changes.

        With ``percent`` (0..100) or ``message`` the task's progress is set; ``checkpoint`` is kept for this attempt
        and the next ones. Whether the holder should stop is asked with ``cancel_request``.
        """
        lease = self._held(task_id, token)
        if checkpoint is not KEEP:
            check_size("checkpoint", checkpoint, self._max_checkpoint_bytes)
        if percent is None and message is None and checkpoint is KEEP:
            self.store.extend(lease, None)
            return lease
        if percent is not None:
            check_percent(percent)
        told = None
        if percent is not None or message is not None:
            told = Progress(percent, None if message is None else message[:MAX_MESSAGE_CHARS], self.clock.now())
        settled(lambda: self._tell(lease, told, checkpoint))
        return lease

    def _tell(self, lease: Lease, told: Progress | None, checkpoint: JsonValue) -> None:
        task = self.task(lease.task_id).task
        kept = task.checkpoint if checkpoint is KEEP else checkpoint
        self.store.extend(lease, replace(task, progress=told or task.progress, checkpoint=kept), seen=task)

    # -- claimed -> done, dead, scheduled, ready -----------------------------------------------------------------

    def complete(self, task_id: str, token: str, data: JsonValue, *, worker: str | None = None) -> Result:
        """Claimed -> done. The same token again returns the result that stands; any other raises LeaseLost.

        A task somebody wants cancelled ends as that: TaskCancelled. ``worker`` stands in the result instead of the
        name the task was claimed under.
        """
        try:
            return self._finish(self._held(task_id, token), None, "success", data, None, worker=worker)
        except TaskCancelled:
            self._endings.heed_cancel(self._held(task_id, token))
            raise
        except LeaseLost:
            return self._standing(task_id, token)

    def fail(self, task_id: str, token: str, failure: Failure, *, worker: str | None = None) -> Result | None:
        """Claimed -> scheduled while retries are left and allowed, else -> dead with a result (returned); -> cancelled
        when somebody wants that.

        The same token again returns the result that stands; any other raises LeaseLost. ``worker``: see ``complete``.
        """
        try:
            return settled(lambda: self._fail(self._held(task_id, token), failure, worker))
        except TaskCancelled:
            return self._endings.heed_cancel(self._held(task_id, token))
        except LeaseLost:
            return self._standing(task_id, token)

    def _fail(self, lease: Lease, failure: Failure, worker: str | None = None) -> Result | None:
        task = self.task(lease.task_id).task
        failed = replace(task, attempts=task.attempts + uncounted(task, lease), progress=None,
                         last_error=failure.message[:MAX_ERROR_CHARS])
        if not failure.retryable or failed.is_spent:
            return self._finish(lease, failed, "error", failure.data, failure.message, worker=worker, seen=task)
        wait = failure.retry_after_seconds
        now = self.clock.now()
        failed = failed.waiting(self._wait_of(failed) if wait is None else wait, now)
        if uncounted(task, lease):
            failed = ended(failed, "fail", now, State.SCHEDULED, lease, failure.message)
        self.store.requeue(lease, failed, seen=task)
        return None

    def _wait_of(self, task: Task) -> float:
        """Seconds until a task that has failed is tried again."""
        own = task.options.backoff
        return self._backoff(task.attempts) if own is None else default_backoff(task.attempts, own)

    def release(self, task_id: str, token: str, *, delay_seconds: float = 0.0, reason: str | None = None) -> None:
        """Claimed -> ready, or scheduled when a delay is given (snooze). Costs no attempt; -> cancelled when somebody
        wants that. Raises TaskNotFound, LeaseLost."""
        lease = self._held(task_id, token)
        try:
            settled(lambda: self._release(lease, delay_seconds, reason))
        except TaskCancelled:
            self._endings.heed_cancel(lease)

    def _release(self, lease: Lease, delay_seconds: float, reason: str | None) -> None:
        now, seen = self.clock.now(), self.task(lease.task_id).task
        task, state = replace(seen, not_before=None, delay_seconds=None, progress=None), State.READY
        if delay_seconds > 0:
            task, state = task.waiting(delay_seconds, now), State.SCHEDULED
        self.store.requeue(lease, ended(task, "release", now, state, lease, reason), seen=seen)

    def finish_without_token(self, task_id: str, worker: str | None, data: JsonValue,
                             failure: Failure | None = None) -> Result | None:
        """Complete, or fail, for a client that knows no lease tokens (seed 002).

        It is believed when the task waits (it is claimed for it first), when the holder has its name, and when
        either side gave no name; the result carries the name that was given. A finished task answers with the result
        that stands, if it may be this worker's.
        Raises TaskNotFound, TaskNotClaimable, LeaseLost.
        """
        return tokenless.finish(self, task_id, worker, data, failure)

    def finish_popped(self, lease: Lease, data: JsonValue, failure: Failure | None) -> Result | None:
        """The same for a task that an old program popped in place: there is no token."""
        return self._finish(lease, None, "success", data, None) if failure is None else self._fail(lease, failure)

    def _finish(self, lease: Lease, task: Task | None, status: str, data: JsonValue, error: str | None, *,
                worker: str | None = None, seen: Task | None = None) -> Result:
        result = Result(lease.task_id, worker or lease.worker, status, data, self.clock.now(), error, lease.attempt,
                        lease.token, lease.claimed_at)
        return self.store.finish(lease, task, result, seen=seen)

    # -- what happens without a caller ---------------------------------------------------------------------------

    def sweep(self) -> SweepReport:
        """Expire, promote, adopt, finish, quarantine: everything that happens without a caller. Idempotent."""
        report = self.store.settle(self.clock.now())
        return self._endings.end_all(report)

    # -- who holds what ------------------------------------------------------------------------------------------

    def _held(self, task_id: str, token: str) -> Lease:
        """The lease that ``token`` holds. Raises LeaseLost, or TaskNotFound."""
        lease = self.store.lease_of(task_id, token)
        if lease is None or not token or lease.token != token:
            self.task(task_id)
            raise _lost(task_id)
        return lease

    def _standing(self, task_id: str, token: str) -> Result:
        """The result this very token wrote before. Raises TaskCancelled, LeaseLost, TaskNotFound when there is none."""
        result = self.store.result(task_id)
        if result is not None and token and result.token == token and result.status != "cancelled":
            lease = Lease(task_id, result.worker, result.attempt or 1, token, 0, result.completed_at)
            return self.store.finish(lease, None, result)  # says it again, once it is durable
        if result is not None and result.status == "cancelled":
            raise TaskCancelled(f"task {task_id} was cancelled; a late result is refused", task_id=task_id)
        self.task(task_id)  # not there: it was pruned, which this process may not have seen
        raise _lost(task_id)


def open_queue(settings: Settings, *, clock: Clock | None = None) -> Queue:
    """The queue of ``settings``, started. The caller closes it. Raises RefusedToStart."""
    clock = clock or SystemClock()
    queue = Queue(FileStore(settings, clock), clock=clock, lease_seconds=settings.lease_seconds,
                  max_crashes=settings.max_crashes, cancel_grace_seconds=settings.cancel_grace_seconds,
                  max_checkpoint_bytes=settings.max_checkpoint_bytes)
    queue.start()
    return queue


def _lost(task_id: str) -> LeaseLost:
    return LeaseLost(f"task {task_id} is not held by this lease token any more", task_id=task_id,
                     hint="stop working on it: it was given to another worker, or is finished")
