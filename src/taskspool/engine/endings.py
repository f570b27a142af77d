"""Ends that nobody calls for: a worker died, time is over, a cancel was not heeded.

All of it happens in the sweep of whichever process comes first; each move is a compare-and-swap, so that two sweepers
only share the work, and one that comes too late changes nothing.

* Silent (its process died, or no sign of life for a whole lease): back to ready; ``max_crashes`` of them: dead.
* ``timeout_seconds`` of one attempt over: as a failed attempt, but again after STOPPING_SECONDS at the earliest.
* ``total_timeout_seconds`` over: dead.
* ``start_before`` passed and nobody started it: dead.
* Somebody wants it cancelled, and its worker did not let go within the grace time: cancelled.

Time that a worker is given is measured by the monotonic clock of the process that watches, from when it first saw the
lease, also what is left of the total time then; while a task waits, ``start_before`` and the end of its total time are
instants of the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from taskspool.clock import Clock, to_text
from taskspool.engine.history import ANONYMOUS, SELF, ended, uncounted
from taskspool.engine.layout import of_nobody
from taskspool.engine.store import Expired, Overtaken, Store
from taskspool.engine.task import CancelRequest, Claim, Lease, Result, Snapshot, State, SweepReport, Task
from taskspool.errors import (
    LeaseLost, PayloadTooLarge, StoreFull, StoreUnavailable, TaskNotClaimable, TaskNotFound,
)

STOPPING_SECONDS = 2.0
"""The least wait after a timeout, whatever the backoff: so long its worker, which learns of it by its own clock, may
take to end what it runs. The next attempt must not begin beside it."""


class Endings:
    def __init__(self, store: Store, clock: Clock, *, max_crashes: int, cancel_grace_seconds: float,
                 wait_of: Callable[[Task], float]) -> None:
        self._store = store
        self._clock = clock
        self._max_crashes = max_crashes
        self._grace_seconds = cancel_grace_seconds
        self._wait_of = wait_of
        self._asked_since: dict[tuple[str, str], float] = {}
        """By task and token: a task that is retried, and cancelled again, has another holder, with its own grace."""
        self._replaced: dict[str, tuple[Claim, bool]] = {}
        """Held until the task that replaces it is there, or not; and whether its put is over."""

    def end_all(self, report: SweepReport, *, is_start: bool = False) -> SweepReport:
        """Everything whose time has come; ``report`` with what was done.

        One that the disk refuses does not hold up the others; then the first refusal (StoreUnavailable) is raised. At
        the start it is left to the first sweep: one file that somebody has open is no reason not to begin.
        """
        refused: list[StoreUnavailable] = []
        fates: list[State | None] = [self._try(refused, self._end_cancelled, *one) for one in self._unheeded()]
        fates += [self._try(refused, self._end_replaced, *one) for one in list(self._replaced.values())]
        fates += [self._try(refused, self._end_held, expired) for expired in self._store.expired()]
        fates += [self._try(refused, self._give_up, task) for task in self._store.past_deadline(self._clock.now())]
        if refused and not is_start:
            raise refused[0]
        back = fates.count(State.READY) + fates.count(State.SCHEDULED)
        return replace(report, expired=back, buried=fates.count(State.DEAD), cancelled=fates.count(State.CANCELLED))

    @staticmethod
    def _try(refused: list[StoreUnavailable], end: Callable[..., State | None], *given: Any) -> State | None:
        """Where the task went; None when its holder, or another sweeper, was faster: then nothing is left to do. Also
        when there is no room for it on the disk: the next sweep tries again."""
        try:
            return end(*given)
        except (LeaseLost, TaskNotFound, TaskNotClaimable, StoreFull, Overtaken):
            return None
        except StoreUnavailable as error:
            refused.append(error)
            return None

    # -- held ----------------------------------------------------------------------------------------------------

    def _end_held(self, expired: Expired) -> State:
        request = self._store.cancel_request(expired.claim.task.id)
        if request is not None and expired.why == "silent":
            self.finish_cancelled(expired.claim.lease, request)
            return State.CANCELLED
        try:
            if expired.why == "silent":
                return self._expire(expired)
            if expired.why == "timeout":
                return self._time_out(expired.claim)
        except PayloadTooLarge:
            self._bury(expired.claim, None, "given up: its file has no room left for what happened to it")
            return State.DEAD
        total = expired.claim.task.options.total_timeout_seconds
        self._bury(expired.claim, None, f"given up: its total time of {total:g} s is over")
        return State.DEAD

    def _expire(self, expired: Expired) -> State:
        """Claimed -> ready, or dead (poison) when it took ``max_crashes`` workers with it."""
        task, lease = expired.claim.task, expired.claim.lease
        if not uncounted(task, lease) and not self._is_poison(task):
            return self._put_back(expired)
        message = f"worker {lease.worker} died or fell silent during attempt {lease.attempt}"
        crashed = replace(task, crashes=task.crashes + uncounted(task, lease), not_before=None,
                          delay_seconds=None, progress=None, last_error=message)
        if self._is_poison(crashed):
            end = f"given up: {crashed.crashes} workers died or fell silent while running it; {message}"
            self._bury(expired.claim, crashed, end, expired)
            return State.DEAD
        crashed = ended(crashed, "expire", self._clock.now(), State.READY, lease, message)
        self._store.requeue(lease, crashed, expired=expired)
        return State.READY

    def _is_poison(self, task: Task) -> bool:
        """Whether it took too many workers with it: more than the queue, or its own retries, allow."""
        return task.is_spent if task.options.crashes_count else task.crashes >= self._max_crashes

    def _put_back(self, expired: Expired) -> State:
        """Claimed -> ready, scheduled: it was taken to be ended and never run, or its file counts this run already:
        who held it died half-way, and only the move is left to be made."""
        task = expired.claim.task
        successor = None if expired.claim.lease.attempt else self._store.successor(task)
        if successor is not None:
            self._finish_replaced(expired.claim, successor)
            return State.CANCELLED
        if task.not_before is not None and task.not_before <= self._clock.now():
            task = replace(task, not_before=None, delay_seconds=None)
        self._store.requeue(expired.claim.lease, task, expired=expired)
        return State.READY if task.not_before is None else State.SCHEDULED

    def _time_out(self, claim: Claim) -> State:
        """Claimed -> scheduled while retries are left, else -> dead: the attempt took too long."""
        task, lease = claim.task, claim.lease
        message = f"attempt {lease.attempt} took longer than its timeout of {task.options.timeout_seconds:g} s"
        failed = replace(task, attempts=task.attempts + uncounted(task, lease), progress=None, last_error=message)
        if failed.is_spent:
            self._bury(claim, failed, f"given up: {message}", seen=task)
            return State.DEAD
        now = self._clock.now()
        failed = failed.waiting(max(self._wait_of(failed), STOPPING_SECONDS), now)
        if uncounted(task, lease):
            failed = ended(failed, "expire", now, State.SCHEDULED, lease, message)
        self._store.requeue(lease, failed, seen=task)
        return State.SCHEDULED

    def _bury(self, claim: Claim, task: Task | None, message: str, expired: Expired | None = None, *,
              seen: Task | None = None) -> None:
        lease = claim.lease
        token = of_nobody(lease.token)  # its holder did not write it: a late finish of its is refused like any other
        result = Result(lease.task_id, lease.worker, "error", None, self._clock.now(), message, lease.attempt, token,
                        lease.claimed_at)
        self._store.finish(lease, task, result, seen=seen, expired=expired)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _give_up(self, task: Task) -> State | None:
        """Scheduled, ready -> dead: its time is over. Claimed first, as everything that ends."""
        claim = self._store.take_to_end(task.id, SELF)
        deadline, now = claim.task.deadline, self._clock.now()
        if deadline is None or deadline > now:  # it is not the task it was: given more time by a retry
            self._store.put_back(claim)
            return None
        self._finish_taken(claim, Result(task.id, SELF, "error", None, now, _overdue(claim.task)))
        return State.DEAD

    def _finish_taken(self, claim: Claim, result: Result) -> Result:
        """What cannot be ended now must not stay claimed by a process that lives on."""
        try:
            return self._store.finish(claim.lease, None, result)
        except StoreUnavailable:
            self._store.put_back(claim)
            raise

    # -- cancelled -----------------------------------------------------------------------------------------------

    def _unheeded(self) -> list[tuple[str, CancelRequest]]:
        """Cancel requests whose worker had its grace time, as this process measured it, and those of no worker."""
        requests = dict(self._store.cancel_requests())
        leases = {task_id: self._store.lease_of(task_id) for task_id in requests}
        asked = {task_id: (task_id, lease.token) for task_id, lease in leases.items() if lease is not None}
        now = self._clock.monotonic()
        self._asked_since = {one: self._asked_since.get(one, now) for one in asked.values()}
        return [(task_id, request) for task_id, request in requests.items()
                if task_id not in asked or now - self._asked_since[asked[task_id]] >= self._grace_seconds]

    @contextmanager
    def replacing(self, old: Snapshot, new_id: str) -> Iterator[bool]:
        """Scheduled, ready -> cancelled when the task that takes its place is there: it is held until then, so that
        nobody runs it. False: it is being worked on."""
        try:
            claim = self._store.take_to_end(old.task.id, SELF)
        except (TaskNotClaimable, TaskNotFound):
            yield False
            return
        self._replaced[old.task.id] = claim, False  # not to be decided before the put is over
        try:
            yield True
        finally:
            self._replaced[old.task.id] = claim, True
        with suppress(StoreUnavailable, LeaseLost):  # the new one is there: this one is ended with the next sweep
            self._finish_replaced(claim, new_id)

    def _end_replaced(self, claim: Claim, is_over: bool) -> State | None:
        """-> cancelled if the one that replaces it came; else it waits again as it did."""
        if not is_over:
            return None
        successor = self._store.successor(claim.task)
        if successor is None:
            self._store.put_back(claim)
        else:
            with suppress(LeaseLost):  # somebody else has ended it
                self._finish_replaced(claim, successor)
        self._replaced.pop(claim.task.id, None)
        return None if successor is None else State.CANCELLED

    def _finish_replaced(self, claim: Claim, new_id: str) -> None:
        request = CancelRequest(claim.task.requester, f"replaced by {new_id}", self._clock.now())
        self._store.finish(claim.lease, None, self._cancelled(claim.task.id, request))
        self._replaced.pop(claim.task.id, None)

    def _end_cancelled(self, task_id: str, request: CancelRequest) -> State | None:
        """-> cancelled, wherever it is now, if ``request`` still stands; one for a finished task is forgotten.

        Whether it stands is looked at behind the lease, or the take: a retry forgets it before the task can be had
        again.
        """
        lease = self._store.lease_of(task_id)
        if lease is None and self._store.result(task_id) is not None:
            self._store.forget_cancel(task_id)
            return None
        if lease is not None:
            return self._end_asked(lease, request)
        claim = self._store.take_to_end(task_id, SELF)
        if self._store.cancel_request(task_id) != request:
            self._store.put_back(claim)
            return None
        self._finish_taken(claim, self._cancelled(task_id, request))
        return State.CANCELLED

    def _end_asked(self, lease: Lease, request: CancelRequest) -> State | None:
        if self._store.cancel_request(lease.task_id) != request:
            return None
        self.finish_cancelled(lease, request)
        return State.CANCELLED

    def cancel_running(self, task_id: str, request: CancelRequest, *, at_once: bool) -> bool:
        """Claimed -> claimed, and marked; or (``at_once``, and one that an old program popped, which cannot be told)
        -> cancelled. False when it has moved on."""
        lease = self._store.lease_of(task_id)
        try:
            if lease is not None and (at_once or not lease.token):
                return self.finish_cancelled(lease, request).state is State.CANCELLED  # else its holder was faster
            if lease is not None:
                self._store.request_cancel(lease, request)
        except LeaseLost:
            return False
        return lease is not None

    def heed_cancel(self, lease: Lease) -> Result:
        """The worker has let go of a task somebody wants cancelled."""
        request = self._store.cancel_request(lease.task_id) or CancelRequest(ANONYMOUS, None, self._clock.now())
        return self.finish_cancelled(lease, request)

    def cancel_waiting(self, task_id: str, request: CancelRequest) -> Result:
        """Scheduled, ready -> cancelled. Raises TaskNotFound, TaskNotClaimable."""
        claim = self._store.take_to_end(task_id, SELF)  # not every name makes a folder
        return self._finish_taken(claim, self._cancelled(task_id, request))

    def _cancelled(self, task_id: str, request: CancelRequest) -> Result:
        """The result of a task that was cancelled while nobody worked on it."""
        return Result(task_id, request.by, "cancelled", None, self._clock.now(), _message_of(request))

    def finish_cancelled(self, lease: Lease, request: CancelRequest) -> Result:
        """Claimed -> cancelled. The result names the worker whose attempt that ended.

        Raises LeaseLost when it was finished otherwise meanwhile.
        """
        result = Result(lease.task_id, lease.worker, "cancelled", None, self._clock.now(), _message_of(request),
                        lease.attempt, lease.token or None, lease.claimed_at)
        return self._store.finish(lease, None, result)


def _message_of(request: CancelRequest) -> str:
    return f"cancelled by {request.by}" + (f": {request.reason}" if request.reason else "")


def _overdue(task: Task) -> str:
    start_before, total = task.options.start_before, task.options.total_timeout_seconds
    if start_before is not None and task.deadline == start_before:
        return f"given up: nobody started it before {to_text(start_before)}"
    return f"given up: its total time of {total:g} s is over"
