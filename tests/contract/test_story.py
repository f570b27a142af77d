"""What a task tells of itself: progress, checkpoint, and everything that ever happened to it."""

from __future__ import annotations

from typing import Any

import pytest

from contract.candidates import BACKOFF_SECONDS, Candidate
from contract.states import new
from taskspool.engine.history import story_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.own_fields import MAX_STEPS
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest, LeaseLost, PayloadTooLarge


def told(queue: Queue, task_id: str) -> list[tuple[str, str | None, int | None, str | None]]:
    return [(step.verb, step.worker, step.attempt, step.reason) for step in queue.story(task_id)]


def test_progress_is_seen_by_readers_of_every_process(candidate: Candidate, queue: Queue) -> None:
    """Percent and message, with the time they were told; the lease starts anew with it."""
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    other = candidate.open()
    other.sweep()
    candidate.clock.advance(50)
    queue.extend(lease.task_id, lease.token, percent=40, message="page 4 of 10")
    progress = other.task(lease.task_id).task.progress
    assert progress is not None
    assert (progress.percent, progress.message, progress.at) == (40, "page 4 of 10", candidate.clock.now())
    other.sweep()
    candidate.clock.advance(50)
    assert other.sweep().expired == 0


def test_a_beat_without_news_leaves_progress_and_checkpoint(queue: Queue) -> None:
    """Only what is told is changed."""
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    queue.extend(lease.task_id, lease.token, percent=10, checkpoint={"page": 4})
    queue.extend(lease.task_id, lease.token)
    queue.extend(lease.task_id, lease.token, message="still there")
    task = queue.task(lease.task_id).task
    assert task.progress is not None
    assert (task.progress.message, task.checkpoint) == ("still there", {"page": 4})


@pytest.mark.parametrize("end", ["fail", "release", "die", "retry"])
def test_the_next_attempt_gets_the_checkpoint(candidate: Candidate, queue: Queue, end: str) -> None:
    """However the attempt ended, what it had kept is there; its progress is not."""
    lease = queue.claim_one(queue.enqueue(new(max_retries=int(end == "fail"))).task_id, "w1").lease
    queue.extend(lease.task_id, lease.token, percent=40, checkpoint={"page": 4})
    if end == "release":
        queue.release(lease.task_id, lease.token)
    elif end == "die":
        queue.sweep()
        candidate.clock.advance(60)
        queue.sweep()
    else:
        queue.fail(lease.task_id, lease.token, Failure("no luck"))
    if end == "retry":
        queue.retry(lease.task_id)
    candidate.clock.advance(BACKOFF_SECONDS)
    queue.sweep()
    task = queue.claim_one(lease.task_id, "w2").task
    assert (task.checkpoint, task.progress) == ({"page": 4}, None)


@pytest.mark.parametrize(("limit", "checkpoint", "is_kept"), [
    (20, "x" * 18, True), (20, "x" * 19, False), (20, "é" * 9, True), (20, "é" * 10, False),
    (65_536, [1] * 21_845, True), (65_536, [1] * 21_846, False), (20, None, True),
])
def test_a_checkpoint_has_a_limit_of_its_own(candidate: Candidate, limit: int, checkpoint: Any, is_kept: bool) -> None:
    """Counted as it is written, UTF-8 JSON. What is larger is refused, and changes nothing."""
    queue = candidate.open(max_checkpoint_bytes=limit)
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    queue.extend(lease.task_id, lease.token, percent=1, checkpoint="before")
    if is_kept:
        queue.extend(lease.task_id, lease.token, percent=2, checkpoint=checkpoint)
    else:
        with pytest.raises(PayloadTooLarge) as caught:
            queue.extend(lease.task_id, lease.token, percent=2, checkpoint=checkpoint)
        assert (caught.value.details["field"], caught.value.details["rule"]) == ("checkpoint", f"at most {limit} bytes")
    task = queue.task(lease.task_id).task
    assert task.progress is not None
    assert (task.checkpoint, task.progress.percent) == ((checkpoint, 2) if is_kept else ("before", 1))


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_progress_is_a_share_of_a_hundred(queue: Queue, percent: float) -> None:
    """Anything else is refused, and the task is as it was."""
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    with pytest.raises(InvalidRequest) as caught:
        queue.extend(lease.task_id, lease.token, percent=percent)
    assert caught.value.details["field"] == "progress"
    assert queue.task(lease.task_id).task.progress is None


def test_a_stale_token_tells_nothing(candidate: Candidate, queue: Queue) -> None:
    """Progress of a worker that lost its task is refused."""
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    queue.sweep()
    candidate.clock.advance(60)
    queue.sweep()
    queue.claim_one(lease.task_id, "w2")
    with pytest.raises(LeaseLost):
        queue.extend(lease.task_id, lease.token, percent=40)
    assert queue.task(lease.task_id).task.progress is None


def test_the_story_tells_every_attempt_and_who_ended_it(candidate: Candidate, queue: Queue) -> None:
    """Created, claimed, failed, released, died, completed: in order, each with worker, attempt and reason."""
    task_id = queue.enqueue(new(max_retries=1, requester="ann")).task_id
    first = queue.claim_one(task_id, "w1").lease
    queue.fail(task_id, first.token, Failure("no luck"))
    candidate.clock.advance(BACKOFF_SECONDS)
    queue.sweep()
    second = queue.claim_one(task_id, "w2").lease
    queue.release(task_id, second.token, reason="going home")
    queue.claim_one(task_id, "w3")
    queue.sweep()
    candidate.clock.advance(60)
    queue.sweep()
    last = queue.claim_one(task_id, "w4").lease
    running = told(queue, task_id)
    queue.complete(task_id, last.token, {})
    assert running == told(queue, task_id)[:-1]
    assert told(queue, task_id) == [
        ("enqueue", "ann", None, None),
        ("claim", "w1", 1, None), ("fail", "w1", 1, "no luck"),
        ("claim", "w2", 2, None), ("release", "w2", 2, "going home"),
        ("claim", "w3", 2, None), ("expire", "w3", 2, "worker w3 died or fell silent during attempt 2"),
        ("claim", "w4", 3, None), ("complete", "w4", 3, None),
    ]
    times = [step.at for step in queue.story(task_id)]
    assert times == sorted(times)


def test_a_retry_by_hand_keeps_what_was(queue: Queue) -> None:
    """The end that was taken back, and who took it back and why, are part of the story; attempts count anew."""
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    queue.fail(lease.task_id, lease.token, Failure("no luck", retryable=False))
    queue.retry(lease.task_id, by="ann", reason="disk was full")
    assert told(queue, lease.task_id)[1:] == [
        ("claim", "w1", 1, None), ("fail", "w1", 1, "no luck"), ("retry", "ann", None, "disk was full")]
    assert queue.claim_one(lease.task_id, "w2").lease.attempt == 1


def test_a_cancelled_task_tells_whose_attempt_it_ended(queue: Queue) -> None:
    """One that ran names its worker, one that waited who wanted it."""
    waited = queue.enqueue(new()).task_id
    queue.cancel(waited, by="ann")
    lease = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    queue.cancel(lease.task_id, by="ann")
    queue.release(lease.task_id, lease.token)
    assert told(queue, waited)[1:] == [("cancel", "ann", None, "cancelled by ann")]
    assert told(queue, lease.task_id)[1:] == [("claim", "w1", 1, None), ("cancel", "w1", 1, "cancelled by ann")]


def test_the_story_of_a_task_that_fails_for_ever_stays_bounded(candidate: Candidate, queue: Queue) -> None:
    """The first step and the latest are kept, and the file stays readable."""
    task_id = queue.enqueue(new()).task_id
    for number in range(MAX_STEPS + 5):
        queue.release(task_id, queue.claim_one(task_id, "w1").lease.token, reason=f"{number}" + "x" * 2000)
    snapshot = candidate.open().task(task_id)
    assert len(snapshot.task.history) == MAX_STEPS
    reasons = [str(step.reason).rstrip("x") for step in snapshot.task.history]
    assert (reasons[0], reasons[-1]) == ("0", str(MAX_STEPS + 4))
    assert story_of(snapshot, None)[0].verb == "enqueue"
    assert snapshot.state is State.READY
