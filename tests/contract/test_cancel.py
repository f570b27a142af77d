"""Cancelling: what waits ends at once, what runs is told, and nothing but that end is accepted any more."""

from __future__ import annotations

import pytest

from contract.candidates import Candidate
from contract.states import new, state_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Lease, State
from taskspool.errors import LeaseLost, TaskCancelled, TaskFinished


def running(queue: Queue) -> Lease:
    """A task that is worked on, and that somebody wants cancelled."""
    lease = queue.claim_one(queue.enqueue(new(max_retries=3)).task_id, "w1").lease
    queue.cancel(lease.task_id, by="ann", reason="not needed")
    return lease


def test_a_waiting_task_that_is_cancelled_says_who_and_why(queue: Queue) -> None:
    """The result of a cancelled task has the status cancelled and names who wanted it."""
    task_id = queue.enqueue(new()).task_id
    assert queue.cancel(task_id, by="ann", reason="not needed").state is State.CANCELLED
    result = queue.result(task_id)
    assert (result.status, result.worker, result.error_message) == ("cancelled", "ann", "cancelled by ann: not needed")
    assert queue.claim() == []


def test_a_running_task_is_told_and_stays_with_its_worker(queue: Queue) -> None:
    """After a cancel the holder still holds the task, and every look of his shows the request."""
    lease = running(queue)
    assert state_of(queue, lease.task_id) is State.CLAIMED
    queue.extend(lease.task_id, lease.token)
    request = queue.cancel_request(lease.task_id)
    assert request is not None
    assert (request.by, request.reason) == ("ann", "not needed")


@pytest.mark.parametrize("let_go", ["fail", "release", "complete"])
def test_however_the_worker_lets_go_the_task_ends_as_cancelled(queue: Queue, let_go: str) -> None:
    """A late success is refused, a failure or a release is the worker's consent: the end is the same."""
    lease = running(queue)
    if let_go == "fail":
        answered = queue.fail(lease.task_id, lease.token, Failure("stopped"))
        assert answered is not None
        assert answered.status == "cancelled"
    elif let_go == "release":
        queue.release(lease.task_id, lease.token)
    else:
        with pytest.raises(TaskCancelled):
            queue.complete(lease.task_id, lease.token, {"late": True})
    assert state_of(queue, lease.task_id) is State.CANCELLED
    result = queue.result(lease.task_id)
    assert (result.data, result.worker, result.attempt) == (None, "w1", 1)
    assert queue.cancel_request(lease.task_id) is None


def test_a_worker_that_does_not_heed_loses_the_task_after_the_grace_time(candidate: Candidate, queue: Queue) -> None:
    """The grace time is measured from when the sweep first saw the request; a later result is refused."""
    lease = running(queue)
    queue.sweep()
    candidate.clock.advance(29)
    assert queue.sweep().cancelled == 0
    candidate.clock.advance(1)
    assert queue.sweep().cancelled == 1
    assert state_of(queue, lease.task_id) is State.CANCELLED
    with pytest.raises(TaskCancelled):
        queue.complete(lease.task_id, lease.token, {"late": True})
    with pytest.raises(LeaseLost):
        queue.extend(lease.task_id, lease.token)


def test_a_worker_that_died_needs_no_grace(candidate: Candidate, queue: Queue) -> None:
    """A cancelled task whose lease runs out ends as cancelled, not as a crash that is tried again."""
    lease = running(queue)
    other = candidate.open(cancel_grace_seconds=10_000)
    other.sweep()
    candidate.clock.advance(60)
    assert other.sweep().cancelled == 1
    assert state_of(queue, lease.task_id) is State.CANCELLED


def test_the_wall_clock_cannot_shorten_the_grace_time(candidate: Candidate, queue: Queue) -> None:
    """A clock that is set forward takes nothing from the worker's time to let go."""
    running(queue)
    queue.sweep()
    candidate.clock.jump(86_400)
    assert queue.sweep().cancelled == 0


def test_a_cancel_outlives_the_process_that_acknowledged_it(candidate: Candidate, queue: Queue) -> None:
    """Another process, opened later, refuses every other end too."""
    lease = running(queue)
    other = candidate.open()
    with pytest.raises(TaskCancelled):
        other.complete(lease.task_id, lease.token, {})
    assert state_of(other, lease.task_id) is State.CANCELLED


def test_cancelled_twice_is_cancelled_once(queue: Queue) -> None:
    """A second cancel changes nothing, while the task runs and after it has ended."""
    lease = running(queue)
    queue.cancel(lease.task_id, by="bob")
    request = queue.cancel_request(lease.task_id)
    assert request is not None
    assert request.by == "ann"
    queue.release(lease.task_id, lease.token)
    result = queue.result(lease.task_id)
    assert queue.cancel(lease.task_id, by="bob").state is State.CANCELLED
    assert queue.result(lease.task_id) == result


def test_what_is_finished_cannot_be_cancelled(queue: Queue) -> None:
    """A finished task answers TASK_FINISHED with its state, and its result stays."""
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    result = queue.complete(lease.task_id, lease.token, {"n": 1})
    with pytest.raises(TaskFinished) as caught:
        queue.cancel(lease.task_id)
    assert caught.value.details["state"] == "done"
    assert queue.result(lease.task_id) == result


def test_a_scheduled_task_is_cancelled_before_its_time(candidate: Candidate, queue: Queue) -> None:
    """It never becomes ready."""
    task_id = queue.enqueue(new(delay_seconds=50.0)).task_id
    assert queue.cancel(task_id).state is State.CANCELLED
    candidate.clock.advance(60)
    queue.sweep()
    assert queue.claim() == []


def test_a_client_without_a_token_is_refused_after_a_cancel(queue: Queue) -> None:
    """Cancelled is final for the oldest clients too."""
    lease = running(queue)
    queue.release(lease.task_id, lease.token)
    with pytest.raises(TaskCancelled):
        queue.finish_without_token(lease.task_id, "w1", {"late": True})
    assert queue.result(lease.task_id).status == "cancelled"
