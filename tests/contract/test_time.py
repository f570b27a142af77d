"""Everything that happens because time passed: expiry, retries, poison. The clock is moved by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from contract.candidates import BACKOFF_SECONDS, Candidate
from contract.states import bring, new, state_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Backoff
from taskspool.engine.retry import delay_seconds
from taskspool.engine.task import State
from taskspool.errors import LeaseLost


def test_a_silent_worker_loses_its_task_after_its_lease_and_not_before(candidate: Candidate, queue: Queue) -> None:
    """The lease runs from when it was first seen; a second before its end nothing happens, at its end it does."""
    lease = bring(candidate, queue, State.CLAIMED)
    queue.sweep()
    for _ in range(59):
        candidate.clock.advance(1)
        assert queue.sweep().expired == 0
    assert state_of(queue, lease.task_id) is State.CLAIMED
    candidate.clock.advance(1)
    assert queue.sweep().expired == 1
    assert state_of(queue, lease.task_id) is State.READY
    assert queue.sweep().total == 0


def test_a_beat_gives_the_lease_its_full_time_again(candidate: Candidate, queue: Queue) -> None:
    """A worker that beats in time keeps its task for as long as it likes."""
    lease = bring(candidate, queue, State.CLAIMED)
    for _ in range(10):
        candidate.clock.advance(50)
        queue.extend(lease.task_id, lease.token)
        assert queue.sweep().expired == 0
    candidate.clock.advance(59)
    assert queue.sweep().expired == 0
    candidate.clock.advance(1)
    assert queue.sweep().expired == 1


def test_every_lease_has_its_own_length(candidate: Candidate, queue: Queue) -> None:
    """The length asked for with the claim counts, not the queue's."""
    lengths = [5, 600]
    ids = [queue.claim_one(queue.enqueue(new()).task_id, "w", lease_seconds=length).lease.task_id for length in lengths]
    queue.sweep()
    candidate.clock.advance(5)
    assert queue.sweep().expired == 1
    assert [state_of(queue, task_id) for task_id in ids] == [State.READY, State.CLAIMED]


@pytest.mark.parametrize("jump", [86_400.0, -86_400.0, 86_400.0 * 3650, -86_400.0 * 365])
def test_a_clock_that_is_set_expires_nothing(candidate: Candidate, queue: Queue, jump: float) -> None:
    """A wall clock set forward or back, a day or ten years, takes no lease away and makes none last longer."""
    lease = bring(candidate, queue, State.CLAIMED)
    queue.sweep()
    candidate.clock.advance(30)
    candidate.clock.jump(jump)
    assert queue.sweep().expired == 0
    candidate.clock.advance(29)
    assert queue.sweep().expired == 0
    candidate.clock.advance(1)
    assert queue.sweep().expired == 1
    assert state_of(queue, lease.task_id) is State.READY


def test_who_just_started_gives_every_lease_its_full_time(candidate: Candidate, queue: Queue) -> None:
    """After a restart no claim expires at once, however old it is."""
    bring(candidate, queue, State.CLAIMED)
    queue.sweep()
    candidate.clock.advance(59)
    other = candidate.open()
    assert other.sweep().expired == 0
    candidate.clock.advance(30)
    assert other.sweep().expired == 0
    candidate.clock.advance(30)
    assert other.sweep().expired == 1


def test_a_beat_between_the_judgement_and_the_move_saves_the_lease(candidate: Candidate, queue: Queue) -> None:
    """A holder that was judged silent, and beats before its task is taken back, keeps it."""
    lease = bring(candidate, queue, State.CLAIMED)
    queue.sweep()
    candidate.clock.advance(60)
    judged = queue.store.expired()
    assert [one.claim.lease for one in judged] == [lease]
    queue.extend(lease.task_id, lease.token)
    with pytest.raises(LeaseLost):
        queue.store.requeue(lease, None, expired=judged[0])
    assert queue.lease_of(lease.task_id) == lease


def test_crashes_are_counted_apart_from_attempts(candidate: Candidate, queue: Queue) -> None:
    """A worker that fell silent uses up no retry; the number of the attempt goes up all the same."""
    task_id = queue.enqueue(new(max_retries=1)).task_id
    first = queue.claim_one(task_id, "w1").lease
    queue.sweep()
    candidate.clock.advance(60)
    queue.sweep()
    second = queue.claim_one(task_id, "w2").lease
    task = queue.task(task_id).task
    assert (first.attempt, second.attempt, task.attempts, task.crashes) == (1, 2, 0, 1)
    assert "w1" in str(task.last_error)
    assert queue.fail(task_id, second.token, Failure("no")) is None


def test_a_retry_whose_worker_dies_is_ready_at_once(candidate: Candidate, queue: Queue) -> None:
    """The time it once waited for is over and forgotten: an expired task waits for nothing."""
    lease = bring(candidate, queue, State.SCHEDULED)
    candidate.clock.advance(BACKOFF_SECONDS)
    queue.sweep()
    queue.claim_one(lease.task_id, "w2")
    queue.sweep()
    candidate.clock.advance(60)
    queue.sweep()
    assert state_of(queue, lease.task_id) is State.READY
    assert queue.task(lease.task_id).task.not_before is None


@pytest.mark.parametrize("crashes", [1, 3])
def test_a_task_that_takes_its_workers_down_is_buried(candidate: Candidate, crashes: int) -> None:
    """After ``max_crashes`` it is dead, with an error result that says so, and is handed out no more."""
    queue = candidate.open(max_crashes=crashes)
    task_id = queue.enqueue(new(max_retries=9)).task_id
    for number in range(1, crashes + 1):
        assert queue.claim_one(task_id, f"w{number}").lease.attempt == number
        queue.sweep()
        candidate.clock.advance(60)
        report = queue.sweep()
        assert (report.expired, report.buried) == ((1, 0) if number < crashes else (0, 1))
    assert state_of(queue, task_id) is State.DEAD
    result = queue.result(task_id)
    assert result.status == "error"
    assert str(crashes) in str(result.error_message)
    assert queue.task(task_id).task.crashes == crashes
    assert list(queue.store.problems()) == []


def test_a_failed_attempt_waits_and_comes_back(candidate: Candidate, queue: Queue) -> None:
    """While retries are left a failure leads to scheduled, and to ready when its time has come, not before."""
    task_id = queue.enqueue(new(max_retries=2)).task_id
    for attempt in (1, 2):
        lease = queue.claim_one(task_id, "w").lease
        assert queue.fail(task_id, lease.token, Failure(f"failure {attempt}")) is None
        assert state_of(queue, task_id) is State.SCHEDULED
        task = queue.task(task_id).task
        assert (task.attempts, task.last_error) == (attempt, f"failure {attempt}")
        assert task.not_before == candidate.clock.now() + timedelta(seconds=BACKOFF_SECONDS)
        candidate.clock.advance(BACKOFF_SECONDS - 0.001)
        assert queue.sweep().promoted == 0
        candidate.clock.advance(0.001)
        assert queue.sweep().promoted == 1
    lease = queue.claim_one(task_id, "w").lease
    assert lease.attempt == 3
    result = queue.fail(task_id, lease.token, Failure("failure 3"))
    assert result is not None
    assert result.error_message == "failure 3"
    assert state_of(queue, task_id) is State.DEAD


def test_who_says_do_not_retry_is_heard(candidate: Candidate, queue: Queue) -> None:
    """``retryable`` False is dead at once; ``retry_after_seconds`` overrides the backoff."""
    task_id = queue.enqueue(new(max_retries=5)).task_id
    lease = queue.claim_one(task_id, "w").lease
    queue.fail(task_id, lease.token, Failure("busy", retry_after_seconds=7))
    candidate.clock.advance(7)
    assert queue.sweep().promoted == 1
    lease = queue.claim_one(task_id, "w").lease
    assert queue.fail(task_id, lease.token, Failure("never", retryable=False)) is not None
    assert state_of(queue, task_id) is State.DEAD


def test_release_costs_nothing(candidate: Candidate, queue: Queue) -> None:
    """A released task is as it was, but for its history: no attempt, no crash, the same place; with a delay it waits
    that long."""
    task_id = queue.enqueue(new()).task_id
    before = queue.task(task_id).task
    for _ in range(5):
        queue.release(task_id, queue.claim_one(task_id, "w").lease.token)
    assert replace(queue.task(task_id).task, history=()) == before
    queue.release(task_id, queue.claim_one(task_id, "w").lease.token, delay_seconds=30)
    assert state_of(queue, task_id) is State.SCHEDULED
    candidate.clock.advance(30)
    assert candidate.open().sweep().promoted == 1
    assert queue.task(task_id).task.next_attempt == 1


def test_a_waiting_retry_is_seen_by_every_process(candidate: Candidate, queue: Queue) -> None:
    """What one process scheduled, another promotes; only one of two does."""
    bring(candidate, queue, State.SCHEDULED)
    other = candidate.open()
    other.sweep()
    candidate.clock.advance(BACKOFF_SECONDS)
    assert [other.sweep().promoted, queue.sweep().promoted] == [1, 0]


def test_a_claim_of_this_process_lasts_while_it_lives(candidate: Candidate, queue: Queue) -> None:
    """``lease_seconds=0``: no beat is needed, for days; when its process is gone the task is given back at once."""
    holder = candidate.open()
    task_id = queue.enqueue(new()).task_id
    lease = holder.claim_one(task_id, "w", lease_seconds=0).lease
    queue.sweep()
    candidate.clock.advance(86_400 * 3)
    assert queue.sweep().expired == 0
    assert holder.sweep().expired == 0
    holder.close()
    assert queue.sweep().expired == 1
    with pytest.raises(LeaseLost):
        queue.complete(task_id, lease.token, {})


@pytest.mark.parametrize(("kind", "waits"), [
    ("exponential", [1, 2, 4, 256, 300, 300]), ("linear", [1, 2, 3, 9, 10, 300]), ("constant", [1, 1, 1, 1, 1, 1]),
])
def test_each_kind_of_backoff_grows_by_its_formula_up_to_the_cap(kind: str, waits: list[float]) -> None:
    """The wait after the n-th failure is what the table in ``retry`` says, and never more than the cap."""
    assert [delay_seconds(n, Backoff(kind, jitter=0.0)) for n in (1, 2, 3, 9, 10, 2000)] == waits


def test_jitter_adds_at_most_its_share_and_never_shortens() -> None:
    """A wait lies between the plain one and that plus a tenth, unless another share was asked for."""
    assert delay_seconds(1, uniform=lambda: 1.0) == pytest.approx(1.1)
    assert delay_seconds(1, Backoff(jitter=1.0), lambda: 1.0) == pytest.approx(2.0)
    assert all(1 <= delay_seconds(1) <= 1.1 for _ in range(50))
