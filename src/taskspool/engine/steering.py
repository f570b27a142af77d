"""What people do to a task from outside, without holding it: cancel, retry, promote, revise; and pause, resume.

None of these verbs needs a token. A task may move on between the look and the act: then it is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from taskspool.clock import Clock
from taskspool.engine.endings import Endings
from taskspool.engine.history import ANONYMOUS, final_step
from taskspool.engine.index_query import Filter
from taskspool.engine.looking import Looking
from taskspool.engine.many import Many, for_each
from taskspool.engine.revision import Revision
from taskspool.engine.store import Overtaken, Store
from taskspool.engine.task import CancelRequest, Priority, Result, Snapshot, State, Step, check_name
from taskspool.errors import (
    Conflict, InvalidRequest, LeaseLost, NotRetryable, StoreUnavailable, TaskFinished, TaskNotClaimable,
)

Answer = TypeVar("Answer")

CANCEL_TRIES = 5
CHANGE_TRIES = 20


class Steering(Looking):
    """The half of a Queue that needs no lease."""

    def __init__(self, store: Store, clock: Clock, endings: Endings, *, max_crashes: int,
                 cancel_grace_seconds: float) -> None:
        super().__init__(store, clock, max_crashes=max_crashes, cancel_grace_seconds=cancel_grace_seconds)
        self._endings = endings

    # -- any -> cancelled ----------------------------------------------------------------------------------------

    def cancel(self, task_id: str, *, by: str = ANONYMOUS, reason: str | None = None,
               at_once: bool = False) -> Snapshot:
        """Scheduled, ready -> cancelled at once. A claimed task is marked: its worker learns it with its next sign of
        life, and it ends as cancelled when the worker lets go, or after the grace time. Where the task is now.

        ``at_once``: a claimed task ends as cancelled now, whoever holds it. Its holder learns it with its next sign of
        life, and whatever it brings is refused.
        Cancelling a cancelled task changes nothing. Raises TaskNotFound, TaskFinished, InvalidRequest.
        """
        _check_by(by, reason)
        for _ in range(CANCEL_TRIES):  # it may move on between the look and the act
            snapshot = self.task(task_id)
            if snapshot.state is State.CANCELLED:
                self.store.confirm_ends()  # whoever cancelled it may have died, or failed, before that was safe
                return snapshot
            if snapshot.state.is_final:
                raise _finished(snapshot)
            request = CancelRequest(by, reason, self.clock.now())
            if snapshot.state is not State.CLAIMED:
                if self._cancel_waiting(task_id, request) is not None:
                    return self.task(task_id)  # not looked at again: who retries it by now wants it to run
            elif self._endings.cancel_running(task_id, request, at_once=at_once):
                return self.task(task_id)
        return self.task(task_id)

    def _cancel_waiting(self, task_id: str, request: CancelRequest) -> Result | None:
        """None when it is not waiting any more."""
        try:
            return self._endings.cancel_waiting(task_id, request)
        except TaskNotClaimable:
            return None

    def cancel_many(self, wanted: Filter, *, by: str = ANONYMOUS, reason: str | None = None, limit: int = 1000) -> Many:
        """``cancel`` for the oldest ``limit`` unfinished tasks that fit ``wanted``."""
        live = (State.SCHEDULED, State.READY, State.CLAIMED)
        return for_each(self.store.index, wanted, live, partial(self.cancel, by=by, reason=reason), limit)

    # -- dead, cancelled, scheduled -> ready ---------------------------------------------------------------------

    def retry(self, task_id: str, *, by: str = ANONYMOUS, reason: str | None = None,
              keep_attempts: bool = False) -> Snapshot:
        """Dead, cancelled -> ready, last of its priority, with all its attempts before it again; its history and
        checkpoint stay. ``keep_attempts``: those that failed stay used; crashes are forgiven in any case.

        Raises TaskNotFound, NotRetryable, DuplicateTask.
        """
        _check_by(by, reason)
        result, snapshot = self.store.result(task_id), self.task(task_id)  # what the result ended, while it stands
        if result is None or result.state is State.DONE or not snapshot.state.is_final:
            raise NotRetryable(f"task {task_id} is {snapshot.state.value}: only dead and cancelled tasks are retried",
                               task_id=task_id, state=snapshot.state.value)
        task = snapshot.task
        step = Step("retry", self.clock.now(), State.READY, by, reason=reason)
        self.store.renew(replace(
            task, attempts=task.attempts if keep_attempts else 0, crashes=0, not_before=None, delay_seconds=None,
            progress=None, history=(*task.history, final_step(result), step)), result)
        return self.task(task_id)

    def retry_many(self, wanted: Filter, *, by: str = ANONYMOUS, reason: str | None = None, limit: int = 1000) -> Many:
        """``retry`` for the oldest ``limit`` dead or cancelled tasks that fit ``wanted``."""
        ended_badly = (State.DEAD, State.CANCELLED)
        return for_each(self.store.index, wanted, ended_badly, partial(self.retry, by=by, reason=reason), limit)

    def promote(self, task_id: str, *, by: str = ANONYMOUS, reason: str | None = None,
                uses_attempt: bool = False) -> Snapshot:
        """Scheduled -> ready now, whatever it waits for, last of its priority. ``uses_attempt``: it counts as an
        attempt that failed, so that one retry less is left.

        Raises TaskNotFound, NotRetryable when it is not scheduled.
        """
        _check_by(by, reason)
        for _ in range(CHANGE_TRIES):
            snapshot = self.task(task_id)
            if snapshot.state is not State.SCHEDULED:
                raise NotRetryable(f"task {task_id} is {snapshot.state.value}: only scheduled tasks are promoted",
                                   task_id=task_id, state=snapshot.state.value)
            task = snapshot.task
            step = Step("promote", self.clock.now(), State.READY, by, reason=reason)
            task = replace(task, not_before=None, delay_seconds=None, attempts=task.attempts + uses_attempt,
                           history=(*task.history, step))
            try:
                self.store.rewrite(snapshot, task, step)
            except TaskNotClaimable:
                continue
            return self.task(task_id)
        raise _restless(task_id)

    # -- where it is -> the same place, changed ------------------------------------------------------------------

    def revise(self, task_id: str, *, priority: Priority | None = None, percent: float | None = None,
               message: str | None = None, options: Mapping[str, Any] | None = None, max_retries: int | None = None,
               by: str = ANONYMOUS) -> Snapshot:
        """The task stays where it is, with another content. What is None stays as it was.

        Scheduled, ready: the next claim finds the new content; its place in line follows its new priority, among
        those of it as before. Claimed: ``percent`` and ``message`` are what ``extend`` would tell, and the lease
        starts anew, whoever asks (for clients that know no token); all else counts from the next attempt on.
        ``options`` are fields of Options by name, None takes one back; ``group`` and ``tags``, times and backoff.
        Raises TaskNotFound, TaskFinished, InvalidRequest.
        """
        _check_by(by, None)
        revision = Revision.checked(priority, percent, message, options, max_retries)
        for _ in range(CHANGE_TRIES):
            snapshot = self.task(task_id)
            if snapshot.state.is_final:
                raise _finished(snapshot)
            step = Step("revise", self.clock.now(), snapshot.state, by)
            try:
                self._rewrite(snapshot, revision, step)
            except (TaskNotClaimable, LeaseLost, Overtaken):
                continue
            return self.task(task_id)
        raise _restless(task_id)

    def _rewrite(self, snapshot: Snapshot, revision: Revision, step: Step) -> None:
        """Raises TaskNotClaimable, LeaseLost, Overtaken when the task has moved on."""
        task = revision.of(snapshot.task, step)
        if snapshot.state is not State.CLAIMED:
            self.store.rewrite(snapshot, task, step)
            return
        lease = self.store.lease_of(task.id)
        if lease is not None and lease.token:
            self.store.extend(lease, task, seen=snapshot.task, step=step)
        elif lease is not None:
            raise Conflict(f"task {task.id} is held by a program that marks it in its own file: it cannot be changed "
                           "until that is done", task_id=task.id, state=snapshot.state.value)

    # -- pausing -------------------------------------------------------------------------------------------------

    def pause(self, types: Collection[str] | None = None, *, by: str = ANONYMOUS, reason: str | None = None) -> None:
        """Hand out nothing more of ``types`` (None: at all) until ``resume``. What runs goes on; submits go on."""
        self._pause(types, CancelRequest(check_name("by", by), reason, self.clock.now()))

    def resume(self, types: Collection[str] | None = None) -> None:
        """End the pause of ``types``, or (None) of the queue as a whole; types paused by name stay so."""
        self._pause(types, None)

    def _pause(self, types: Collection[str] | None, note: CancelRequest | None) -> None:
        if types is not None and not types:
            raise InvalidRequest("types must name at least one type", field="types", rule="1 or more")
        for name in types or ():
            check_name("types", name)
        self.store.set_paused(types, note)


def settled(act: Callable[[], Answer]) -> Answer:
    """What ``act`` answers, which looks at a task and changes it: again when somebody revised the task in between."""
    for _ in range(CHANGE_TRIES - 1):
        try:
            return act()
        except Overtaken:
            continue
    return act()


def _check_by(by: str, reason: str | None) -> None:
    check_name("by", by)
    if reason is not None:
        check_name("reason", reason, 1000)


def _finished(snapshot: Snapshot) -> TaskFinished:
    return TaskFinished(f"task {snapshot.task.id} is {snapshot.state.value} already", task_id=snapshot.task.id,
                        state=snapshot.state.value)


def _restless(task_id: str) -> StoreUnavailable:
    return StoreUnavailable(f"task {task_id} moved on at every try to change it; try again", task_id=task_id)
