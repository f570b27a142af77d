"""The run of a task, as a pipeline: one frozen value, handed down a row of named steps; one clause for each fate.

    start ── perform ── judge ── claim_end ── close_log ── hand_in ── tell_hooks ── report
                          └── begins here when the task is taken from a handler that does not stop

    fate         when                                            what the queue is told
    success      the handler returned, and what it gave is JSON  complete
    failure      it raised something, or its process died        fail: again after the backoff, while retries are left
    retry_after  it raised Retry                                 fail: again after the time it asked for
    give_up      it raised GiveUp, or its result was no JSON     fail: dead at once
    snooze       it raised Snooze                                release for so long; costs no attempt
    timeout      the attempt's time was over                     fail: "timed out after N s", again like a failure
    cancelled    somebody wanted that, and it let go             release: it ends as cancelled
    lease_lost   the task was given to another                   nothing
    shutdown     the worker ends, and the grace was too short    release; costs no attempt
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim
from taskspool.worker.calling import Outcome, Putoff, Success, context_of, may_come_again
from taskspool.worker.contact import Contact
from taskspool.worker.context import TaskContext
from taskspool.worker.delivery import deliver
from taskspool.worker.hand import Hand
from taskspool.worker.hooks import Hooks
from taskspool.worker.source import WorkSource

if TYPE_CHECKING:
    from taskspool.worker.executors import Executor

LOG_SECONDS = 10.0
"""How long the end of a log may hold up the end of its task ..."""
HASTY_LOG_SECONDS = 0.3
"""... and when the worker has no time any more."""

log = logging.getLogger("taskspool.worker")


class Fate(StrEnum):
    """How a run ended; the table above."""

    SUCCESS = "success"
    FAILURE = "failure"
    RETRY_AFTER = "retry_after"
    GIVE_UP = "give_up"
    SNOOZE = "snooze"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    LEASE_LOST = "lease_lost"
    SHUTDOWN = "shutdown"


class Run(NamedTuple):
    """One run, as far as it has come. ``outcome`` is what the queue is told, None: nothing. ``is_taken``: the queue
    has taken it; ``is_late``: the queue has ended it in the same way before."""

    claim: Claim
    contact: Contact
    context: TaskContext
    executor: Executor | None = None
    outcome: Outcome | None = None
    fate: Fate | None = None
    is_taken: bool = False
    is_late: bool = False
    began_at: float = 0.0

    @property
    def is_finished(self) -> bool:
        """Whether it counts as done work: its end was handed in, and was not only a giving back."""
        return self.is_taken and self.fate not in (Fate.CANCELLED, Fate.SHUTDOWN)


Step = Callable[[Run], Run]


class Execution:
    """Runs claims that are in ``hand``. ``pause(seconds)`` waits between two attempts to hand in, and says whether to
    go on."""

    def __init__(self, source: WorkSource, hand: Hand, hooks: Hooks, pause: Callable[[float], bool]) -> None:
        self._source = source
        self._hand = hand
        self._hooks = hooks
        self._pause = pause
        self._end: Sequence[Step] = (self._close_log, self._hand_in, self._tell_hooks, self._report)
        self._steps: Sequence[Step] = (self._start, self._perform, judge, self._claim_end, *self._end)

    def run(self, claim: Claim, executor: Executor) -> Run:
        """The whole of it. Raises nothing that a handler, a hook or the queue raises."""
        contact = self._hand.contact(claim) or Contact()
        return self._through(self._steps, Run(claim, contact, context_of(claim, contact), executor,
                                              began_at=time.monotonic()))

    def end_taken_away(self, claim: Claim) -> Run:
        """The end of a run that was taken from its handler, which was told to stop and did not: what it gives later is
        dropped."""
        contact = self._hand.contact(claim) or Contact()
        log.error("the handler of task %s does not stop (%s): its task is taken from it, its runner is busy until it "
                  "ends", claim.task.id, contact.stop_reason)
        run = Run(claim, contact, context_of(claim, contact), outcome=Failure("the handler did not stop"),
                  began_at=time.monotonic())
        return self._through((judge, *self._end), run)

    @staticmethod
    def _through(steps: Sequence[Step], run: Run) -> Run:
        for step in steps:
            run = step(run)
        return run

    def _start(self, run: Run) -> Run:
        self._hooks.tell("on_start", run.context)
        return run

    def _perform(self, run: Run) -> Run:
        assert run.executor is not None  # noqa: S101  # only what was taken away has none, and begins later
        return run._replace(outcome=run.executor.call(run.context, run.claim.task.data))

    def _claim_end(self, run: Run) -> Run:
        """From here on nobody else ends it. If somebody has, its result is dropped; when its time is over that is the
        queue, which watches the clock too: then there is nothing left to say, but to the hooks."""
        if self._hand.begin_finish(run.claim):
            return run
        if run.fate is Fate.TIMEOUT and self._hand.is_lost(run.claim):
            return run._replace(is_late=True)
        log.info("result of task %s dropped: it is not this worker's any more", run.claim.task.id)
        return run._replace(outcome=None, fate=Fate.LEASE_LOST)

    def _close_log(self, run: Run) -> Run:
        seconds = HASTY_LOG_SECONDS if run.contact.stop_reason == "shutdown" else LOG_SECONDS
        run.contact.close_log(0.0 if run.outcome is None else seconds)
        return run

    def _hand_in(self, run: Run) -> Run:
        if run.outcome is None or run.is_late:
            return run
        taken = deliver(self._source, run.claim, run.outcome, self._pause, run.contact)
        if taken is not run.outcome and isinstance(taken, Failure):  # the queue refused the result
            return run._replace(outcome=taken, fate=Fate.FAILURE if taken.retryable else Fate.GIVE_UP, is_taken=True)
        return run._replace(is_taken=taken is not None, is_late=taken is None and run.fate is Fate.TIMEOUT)

    def _tell_hooks(self, run: Run) -> Run:
        if self._hooks.all and (run.is_taken or run.is_late):
            name, end = hook_of(run)
            if name is not None:
                self._hooks.tell(name, run.context, end)
        return run

    @staticmethod
    def _report(run: Run) -> Run:
        if log.isEnabledFor(logging.DEBUG):
            log.debug("task %s: %s in %.3f s", run.claim.task.id, run.fate, time.monotonic() - run.began_at)
        return run


def judge(run: Run) -> Run:
    """The fate of a run that has ended: why it was told to stop counts for more than what its handler gave."""
    match run.contact.stop_reason:
        case None:
            return _of_its_own(run)
        case "timeout":
            return run._replace(fate=Fate.TIMEOUT, outcome=_timed_out(run))
        case "cancelled":
            return run._replace(fate=Fate.CANCELLED, outcome=Putoff(0.0, "cancelled"))
        case "lease_lost":
            return run._replace(fate=Fate.LEASE_LOST, outcome=None)
        case "shutdown" if isinstance(run.outcome, Success):
            return run._replace(fate=Fate.SUCCESS)
        case "shutdown":
            return run._replace(fate=Fate.SHUTDOWN, outcome=Putoff(0.0, "the worker stops"))


def _of_its_own(run: Run) -> Run:
    match run.outcome:
        case Success():
            return run._replace(fate=Fate.SUCCESS)
        case Putoff():
            return run._replace(fate=Fate.SNOOZE)
        case Failure(retryable=False):
            return run._replace(fate=Fate.GIVE_UP)
        case Failure(retry_after_seconds=None):
            return run._replace(fate=Fate.FAILURE)
        case _:
            return run._replace(fate=Fate.RETRY_AFTER)


def _timed_out(run: Run) -> Failure:
    """Of the attempt's own time, or of the task's whole time if that was over first: then no other attempt helps."""
    options, seconds = run.claim.task.options, run.contact.seconds or 0.0
    total = options.total_timeout_seconds
    if total is not None and (options.timeout_seconds is None or seconds < options.timeout_seconds):
        return Failure(f"given up: its total time of {total:g} s is over", retryable=False)
    return Failure(f"timed out after {seconds:g} s")


def hook_of(run: Run) -> tuple[str | None, object]:
    """Which hooks are called for the end of ``run``, and what they are told."""
    match run.fate, run.outcome:
        case Fate.SUCCESS, Success(data):
            return "on_success", data
        case Fate.CANCELLED, Putoff(reason=reason):
            return "on_cancel", reason
        case Fate.SNOOZE, Putoff(reason=reason):
            return "on_retry", reason
        case _, Failure(message, retryable=True) if may_come_again(run.claim):
            return "on_retry", message
        case _, Failure(message):
            return "on_failure", message
        case _:
            return None, None
