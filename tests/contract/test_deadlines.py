"""Time: delay and run-at, expiry of what nobody started, the timeout of an attempt and of the whole task."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contract.candidates import BACKOFF_SECONDS, Candidate
from contract.states import new, state_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Backoff, Options
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest, LeaseLost


def test_a_delayed_task_becomes_ready_when_its_time_has_come(candidate: Candidate, queue: Queue) -> None:
    """Not a second before, once, and at the next sweep after."""
    task_id = queue.enqueue(new(delay_seconds=10.0)).task_id
    candidate.clock.advance(9.999)
    queue.sweep()
    assert state_of(queue, task_id) is State.SCHEDULED
    candidate.clock.advance(0.001)
    assert [queue.sweep().promoted, queue.sweep().promoted] == [1, 0]
    assert [claim.task.id for claim in queue.claim(max_tasks=2)] == [task_id]


def test_a_time_that_is_asked_for_holds_over_a_restart(candidate: Candidate, queue: Queue) -> None:
    """Another process promotes what an earlier one was asked for; a time in the past is now."""
    later = queue.enqueue(new(run_at=candidate.clock.now() + timedelta(seconds=5))).task_id
    now = queue.enqueue(new(run_at=candidate.clock.now() - timedelta(days=1))).task_id
    assert [state_of(queue, task_id) for task_id in (later, now)] == [State.SCHEDULED, State.READY]
    queue.close()
    candidate.clock.advance(5)
    other = candidate.open()
    other.sweep()
    assert state_of(other, later) is State.READY


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0 * 3650])
def test_a_clock_that_jumps_fires_a_task_for_later_once(candidate: Candidate, queue: Queue, jump: float) -> None:
    """run_at is an instant of the wall clock: set forward it comes sooner, set back later, and never twice."""
    task_id = queue.enqueue(new(run_at=candidate.clock.now() + timedelta(seconds=100))).task_id
    candidate.clock.jump(jump)
    promoted = queue.sweep().promoted
    assert promoted == int(jump > 0)
    candidate.clock.jump(-jump)
    candidate.clock.advance(100)
    assert promoted + queue.sweep().promoted == 1
    assert state_of(queue, task_id) is State.READY


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0 * 3650])
@pytest.mark.parametrize("wait", ["delay", "backoff", "retry_after", "snooze"])
def test_a_clock_that_jumps_changes_no_delay(candidate: Candidate, queue: Queue, wait: str, jump: float) -> None:
    """So many seconds are so many, whatever the wall clock is set to, for each process that has seen the task wait."""
    task_id = waiting_so_long(queue, wait)
    other = candidate.open()
    assert [queue.sweep().promoted, other.sweep().promoted] == [0, 0]
    candidate.clock.jump(jump)
    candidate.clock.advance(BACKOFF_SECONDS - 0.001)
    assert [queue.sweep().promoted, other.sweep().promoted] == [0, 0]
    candidate.clock.advance(0.001)
    assert [other.sweep().promoted, queue.sweep().promoted] == [1, 0]
    assert [claim.task.id for claim in queue.claim(max_tasks=2)] == [task_id]


def waiting_so_long(queue: Queue, wait: str) -> str:
    """The id of a task that is scheduled for BACKOFF_SECONDS from now, for one reason or another."""
    if wait == "delay":
        return queue.enqueue(new(delay_seconds=BACKOFF_SECONDS)).task_id
    lease = queue.claim_one(queue.enqueue(new(max_retries=1)).task_id, "w1").lease
    if wait == "snooze":
        queue.release(lease.task_id, lease.token, delay_seconds=BACKOFF_SECONDS)
    else:
        asked = BACKOFF_SECONDS if wait == "retry_after" else None
        queue.fail(lease.task_id, lease.token, Failure("no luck", retry_after_seconds=asked))
    return lease.task_id


def test_a_clock_set_back_before_a_restart_begins_a_delay_anew(candidate: Candidate, queue: Queue) -> None:
    """Who has just started knows only what the files say: it waits as long as was asked for, not a day longer."""
    task_id = queue.enqueue(new(delay_seconds=10.0)).task_id
    candidate.clock.advance(9)
    candidate.clock.jump(-86_400)
    queue.close()
    other = candidate.open()
    candidate.clock.advance(9.999)
    assert other.sweep().promoted == 0
    candidate.clock.advance(0.001)
    assert other.sweep().promoted == 1
    assert state_of(other, task_id) is State.READY


def test_a_delay_goes_on_over_a_restart(candidate: Candidate, queue: Queue) -> None:
    """What was waited before it counts."""
    task_id = queue.enqueue(new(delay_seconds=10.0)).task_id
    candidate.clock.advance(9)
    queue.close()
    other = candidate.open()
    candidate.clock.advance(1)
    assert other.sweep().promoted == 1
    assert state_of(other, task_id) is State.READY


def test_an_old_wait_does_not_end_a_new_one(candidate: Candidate, queue: Queue) -> None:
    """One process measures a delay; meanwhile the task has run elsewhere, and waits for its retry."""
    other = candidate.open()
    task_id = queue.enqueue(new(delay_seconds=10.0, max_retries=1)).task_id
    other.sweep()
    candidate.clock.advance(10)
    assert other.sweep().promoted == 1
    lease = other.claim_one(task_id, "w1").lease
    candidate.clock.jump(-3600)
    other.fail(task_id, lease.token, Failure("no luck", retry_after_seconds=100.0))
    assert [queue.sweep().promoted, queue.sweep().promoted] == [0, 0]
    candidate.clock.advance(99.999)
    assert [queue.sweep().promoted, other.sweep().promoted] == [0, 0]
    candidate.clock.advance(0.001)
    assert [queue.sweep().promoted, other.sweep().promoted] == [1, 0]


def test_a_delay_ends_in_the_sleep_of_the_machine_and_a_lease_does_not(candidate: Candidate, queue: Queue) -> None:
    """Who was asleep was not silent."""
    held = queue.claim_one(queue.enqueue(new()).task_id, "w1", lease_seconds=10).lease.task_id
    queue.enqueue(new(delay_seconds=10.0))
    queue.sweep()
    candidate.clock.sleep(100)
    report = queue.sweep()
    assert (report.promoted, report.expired) == (1, 0)
    assert state_of(queue, held) is State.CLAIMED


def test_delay_and_run_at_together_are_refused(candidate: Candidate, queue: Queue) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidRequest) as caught:
        queue.enqueue(new(delay_seconds=1.0, run_at=candidate.clock.now()))
    assert caught.value.details["field"] == "run_at"


@pytest.mark.parametrize("delay", [0.0, 20.0])
def test_what_nobody_started_in_time_is_given_up(candidate: Candidate, queue: Queue, delay: float) -> None:
    """start_before passes while it waits, ready or scheduled: dead, with a result that says so."""
    start_before = candidate.clock.now() + timedelta(seconds=10)
    task_id = queue.enqueue(new(delay_seconds=delay, options=Options(start_before=start_before))).task_id
    candidate.clock.advance(9)
    assert queue.sweep().buried == 0
    candidate.clock.advance(1)
    assert queue.sweep().buried == 1
    assert state_of(queue, task_id) is State.DEAD
    assert "nobody started it before" in str(queue.result(task_id).error_message)


def test_what_is_too_late_is_not_handed_out_even_before_the_sweep(candidate: Candidate, queue: Queue) -> None:
    """A claim passes over it; the next sweep gives it up."""
    start_before = candidate.clock.now() + timedelta(seconds=10)
    late = queue.enqueue(new(options=Options(start_before=start_before))).task_id
    fine = queue.enqueue(new()).task_id
    candidate.clock.advance(10)
    assert [claim.task.id for claim in queue.claim(max_tasks=2)] == [fine]
    assert queue.sweep().buried == 1
    assert state_of(queue, late) is State.DEAD


def test_what_was_started_once_does_not_expire_as_not_started(candidate: Candidate, queue: Queue) -> None:
    """start_before is about the first attempt only."""
    options = Options(start_before=candidate.clock.now() + timedelta(seconds=10))
    lease = queue.claim_one(queue.enqueue(new(max_retries=1, options=options)).task_id, "w1").lease
    queue.fail(lease.task_id, lease.token, Failure("no luck"))
    candidate.clock.advance(BACKOFF_SECONDS)
    assert queue.sweep().buried == 0
    assert state_of(queue, lease.task_id) is State.READY


def test_an_attempt_that_takes_too_long_counts_as_failed(candidate: Candidate, queue: Queue) -> None:
    """Signs of life do not help; it is tried again after the backoff, then dead; the slow worker's token is void."""
    task_id = queue.enqueue(new(max_retries=1, options=Options(timeout_seconds=30.0))).task_id
    lease = queue.claim_one(task_id, "w1").lease
    queue.sweep()
    candidate.clock.advance(29)
    queue.extend(task_id, lease.token)
    assert queue.sweep().expired == 0
    candidate.clock.advance(1)
    queue.extend(task_id, lease.token)
    assert queue.sweep().expired == 1
    assert state_of(queue, task_id) is State.SCHEDULED
    with pytest.raises(LeaseLost):
        queue.complete(task_id, lease.token, {})
    assert queue.task(task_id).task.attempts == 1
    candidate.clock.advance(BACKOFF_SECONDS)
    queue.sweep()
    queue.claim_one(task_id, "w2")
    queue.sweep()
    candidate.clock.advance(30)
    assert queue.sweep().buried == 1
    assert "its timeout of 30 s" in str(queue.result(task_id).error_message)


def test_after_a_timeout_no_attempt_begins_at_once(candidate: Candidate, queue: Queue) -> None:
    """Its worker may still be ending the one before: a backoff of nothing waits for 2 s then."""
    options = Options(timeout_seconds=30.0, backoff=Backoff("constant", 0.0, 0.0, 0.0))
    task_id = queue.enqueue(new(max_retries=1, options=options)).task_id
    queue.claim_one(task_id, "w1")
    queue.sweep()
    candidate.clock.advance(30)
    queue.sweep()
    candidate.clock.advance(1.9)
    queue.sweep()
    assert state_of(queue, task_id) is State.SCHEDULED
    candidate.clock.advance(0.2)
    queue.sweep()
    assert state_of(queue, task_id) is State.READY


def test_a_clock_set_forward_takes_nothing_from_an_attempt(candidate: Candidate, queue: Queue) -> None:
    """The timeout of an attempt is measured by the monotonic clock."""
    queue.claim_one(queue.enqueue(new(options=Options(timeout_seconds=30.0))).task_id, "w1")
    queue.sweep()
    candidate.clock.jump(86_400)
    assert queue.sweep().total == 0


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0 * 3650])
def test_a_clock_that_jumps_changes_nothing_of_the_time_that_is_left(candidate: Candidate, queue: Queue,
                                                                     jump: float) -> None:
    """While somebody works on it the total time is measured, too: what was left of it when it was first seen."""
    task_id = queue.enqueue(new(options=Options(total_timeout_seconds=50.0))).task_id
    candidate.clock.advance(20)
    queue.claim_one(task_id, "w1", lease_seconds=1000)
    queue.sweep()
    candidate.clock.jump(jump)
    candidate.clock.advance(29.999)
    assert queue.sweep().buried == 0
    candidate.clock.advance(0.001)
    assert queue.sweep().buried == 1
    assert "its total time of 50 s is over" in str(queue.result(task_id).error_message)


@pytest.mark.parametrize("state", [State.READY, State.CLAIMED, State.SCHEDULED])
def test_the_total_time_ends_a_task_wherever_it_is(candidate: Candidate, queue: Queue, state: State) -> None:
    """Waiting, running or waiting for its retry: dead when its total time is over."""
    options = Options(total_timeout_seconds=50.0)
    task_id = queue.enqueue(new(max_retries=5, options=options)).task_id
    if state is not State.READY:
        lease = queue.claim_one(task_id, "w1", lease_seconds=1000).lease
    if state is State.SCHEDULED:
        queue.fail(task_id, lease.token, Failure("no luck"))
    queue.sweep()
    candidate.clock.advance(49)
    assert queue.sweep().buried == 0
    candidate.clock.advance(1)
    assert queue.sweep().buried == 1
    assert state_of(queue, task_id) is State.DEAD
    assert "its total time of 50 s is over" in str(queue.result(task_id).error_message)


def test_a_retry_by_hand_begins_the_total_time_anew(candidate: Candidate, queue: Queue) -> None:
    """Otherwise a task that ran out of time could never be retried."""
    task_id = queue.enqueue(new(options=Options(total_timeout_seconds=50.0))).task_id
    candidate.clock.advance(50)
    queue.sweep()
    queue.retry(task_id, by="ann")
    candidate.clock.advance(49)
    queue.sweep()
    assert state_of(queue, task_id) is State.READY


def test_a_task_may_ask_for_its_own_lease_and_backoff(candidate: Candidate, queue: Queue) -> None:
    """They win over what the worker, and the queue, would take."""

    options = Options(lease_seconds=7, backoff=Backoff("constant", 12.0, jitter=0.0))
    task_id = queue.enqueue(new(max_retries=1, options=options)).task_id
    lease = queue.claim_one(task_id, "w1", lease_seconds=1000).lease
    assert lease.lease_seconds == 7
    queue.fail(task_id, lease.token, Failure("no luck"))
    assert queue.task(task_id).task.not_before == candidate.clock.now() + timedelta(seconds=12)
