"""A task that exists is never called unknown, wherever it is on its way."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from contract.candidates import Candidate
from contract.states import NOBODY, new
from contract.threads import together
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import State
from taskspool.errors import ResultPending, TaskNotFound


def test_what_was_never_there_is_not_found(candidate: Candidate, queue: Queue) -> None:
    """An unknown id is TaskNotFound everywhere, and has no lease, result or place."""
    for look in (queue.task, queue.result, lambda task_id: queue.extend(task_id, "x")):
        with pytest.raises(TaskNotFound):
            look(NOBODY)
    assert (queue.lease_of(NOBODY), queue.store.result(NOBODY), queue.store.position(NOBODY)) == (None, None, None)


def test_a_result_that_is_not_there_yet_is_pending(candidate: Candidate, queue: Queue) -> None:
    """ResultPending tells the state the task is in."""
    task_id = queue.enqueue(new(max_retries=1)).task_id
    with pytest.raises(ResultPending) as caught:
        queue.result(task_id)
    assert caught.value.details["state"] == "ready"
    lease = queue.claim("w")[0].lease
    queue.fail(task_id, lease.token, Failure("no"))
    with pytest.raises(ResultPending) as caught:
        queue.result(task_id)
    assert caught.value.details["state"] == "scheduled"


def _move_about(queue: Queue, candidate: Candidate, task_id: str, rounds: int) -> None:
    """Claimed and released, claimed, failed and promoted, ``rounds`` times; then completed."""
    for turn in range(rounds):
        lease = queue.claim_one(task_id, "w").lease
        if turn % 3:
            queue.release(task_id, lease.token)
            continue
        queue.fail(task_id, lease.token, Failure("no", retry_after_seconds=0))
        for _ in range(1_000):
            if queue.task(task_id).state is State.READY:
                break
            candidate.clock.advance(1e-6)
            queue.sweep()
    queue.complete(task_id, queue.claim_one(task_id, "w").lease.token, {})


@pytest.mark.parametrize("rounds", [20, pytest.param(500, marks=pytest.mark.slow)])
def test_a_task_in_flight_is_never_unknown(candidate: Candidate, queue: Queue, rounds: int) -> None:
    """While tasks are claimed, released, failed, promoted and finished, two processes that look always find them,
    and a finished one never looks unfinished again."""
    other = candidate.open(backoff=lambda _: 0.0)
    ids = [queue.enqueue(new(max_retries=1000)).task_id for _ in range(4)]
    finished: set[str] = set()
    stop = threading.Event()

    def look(number: int) -> int:
        looks = 0
        while not stop.is_set():
            for task_id in ids:
                was_finished = task_id in finished
                snapshot = (queue, other)[number % 2].task(task_id)
                assert snapshot.task.id == task_id
                assert not was_finished or snapshot.state is State.DONE
                looks += 1
        return looks

    def part(number: int) -> int:
        if number >= len(ids):
            return look(number)
        try:
            _move_about((queue, other)[number % 2], candidate, ids[number], rounds)
            finished.add(ids[number])
        except BaseException:
            stop.set()
            raise
        if len(finished) == len(ids):
            stop.set()
        return 0

    looks = sum(together(len(ids) + 2, part))
    assert looks > 0
    assert finished == set(ids)


def test_pruned_is_gone_for_everybody(candidate: Candidate, queue: Queue) -> None:
    """After prune both processes say unknown."""
    other = candidate.open()
    task_id = queue.enqueue(new()).task_id
    queue.complete(task_id, queue.claim("w")[0].lease.token, {})
    assert other.task(task_id).state is State.DONE
    queue.store.prune(candidate.clock.now() + timedelta(seconds=1))
    for asked in (queue, other):
        with pytest.raises(TaskNotFound):
            asked.task(task_id)
        assert asked.counts().results == 0
