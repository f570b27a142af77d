"""Who changes a task from outside, and who works on it, at the same moment: both happen, one after the other, or one is
told why not. Never is a task lost, there twice, or a change undone that was acknowledged."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from contract.threads import together
from engine.test_overtaken import meanwhile
from faults.test_interleavings import Second, Two, after_the_check, two
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, Priority, State
from taskspool.errors import Conflict, NotFound, NotRetryable, StoreUnavailable, TaskCancelled, TaskFinished

__all__ = ["two"]
Rival = Callable[[Queue, str], object]


def copies(queue: Queue, task_id: str) -> int:
    """How many files of the task there are, its result left out."""
    return sum(name.startswith(task_id) for folder, _, names in os.walk(queue.store._place.folder) for name in names
               if not folder.endswith("/results"))


def before_the_take(monkeypatch: pytest.MonkeyPatch, queue: Queue, act: Callable[[], object]) -> None:
    """``act`` comes once, when ``queue`` has seen the task, and is about to take it."""
    meanwhile(monkeypatch, queue.store._taking, "lease_to_end", act, before=True)


def test_a_task_that_is_claimed_while_it_is_revised_is_revised_in_its_workers_hand(
        two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim wins; the revision follows it, and makes no second copy where the task was."""
    queue, other, _ = two
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    before_the_take(monkeypatch, queue, lambda: other.claim_one(task_id, "w"))
    snapshot = queue.revise(task_id, priority=Priority.HIGH, percent=5)
    assert (snapshot.state, snapshot.task.priority, copies(queue, task_id)) == (State.CLAIMED, Priority.HIGH, 1)
    assert list(queue.store.problems()) == []


@pytest.mark.parametrize(("delay", "verb"), [(0, "revise"), (60, "revise"), (60, "promote")])
def test_a_task_that_is_cancelled_while_it_is_changed_stays_cancelled(
        two: Two, monkeypatch: pytest.MonkeyPatch, delay: int, verb: str) -> None:
    """The cancel wins, and who changes it is told."""
    queue, other, _ = two
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=delay)).task_id
    before_the_take(monkeypatch, queue, lambda: other.cancel(task_id))
    with pytest.raises(TaskFinished if verb == "revise" else NotRetryable):
        getattr(queue, verb)(task_id)
    assert (queue.task(task_id).state, copies(queue, task_id)) == (State.CANCELLED, 1)


@pytest.mark.parametrize("delay", [0, 60])
def test_two_revisions_at_once_both_stand(two: Two, monkeypatch: pytest.MonkeyPatch, delay: int) -> None:
    """The second is made on what the first one left."""
    queue, other, _ = two
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=delay)).task_id
    before_the_take(monkeypatch, queue, lambda: other.revise(task_id, max_retries=7))
    task = queue.revise(task_id, priority=Priority.LOW).task
    assert (task.priority, task.max_retries, copies(queue, task_id)) == (Priority.LOW, 7, 1)


def test_a_task_whose_time_comes_while_it_is_promoted_is_promoted_once(
        two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock wins; the person is told that it is ready."""
    queue, other, clock = two
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=30)).task_id
    other.sweep()
    before_the_take(monkeypatch, queue, lambda: (clock.advance(30), other.sweep()))
    with pytest.raises(NotRetryable):
        queue.promote(task_id, uses_attempt=True)
    assert (queue.task(task_id).state, queue.task(task_id).task.attempts) == (State.READY, 0)


def test_a_checkpoint_is_not_undone_by_a_revision(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder keeps a checkpoint between the look and the write of who revises: both are there after."""
    queue, other, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    meanwhile(monkeypatch, queue.store, "extend", before=True,
              act=lambda: other.extend(lease.task_id, lease.token, checkpoint=[1]))
    task = queue.revise(lease.task_id, priority=Priority.HIGH).task
    assert (task.checkpoint, task.priority) == ([1], Priority.HIGH)


HOLDERS: dict[str, tuple[str, Callable[[Queue, Any], object]]] = {
    "extend": ("extend", lambda queue, lease: queue.extend(lease.task_id, lease.token, checkpoint=[1])),
    "fail": ("requeue", lambda queue, lease: queue.fail(lease.task_id, lease.token, Failure("no"))),
    "fail for good": ("finish", lambda queue, lease: queue.fail(lease.task_id, lease.token,
                                                                Failure("no", retryable=False))),
    "release": ("requeue", lambda queue, lease: queue.release(lease.task_id, lease.token)),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_a_revision_is_not_undone_by_the_holder(two: Two, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It comes between the look and the write of the holder's own verb, and stands after it."""
    queue, other, _ = two
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=3)).task_id
    lease = queue.claim_one(task_id, "w").lease
    step, verb = HOLDERS[name]
    meanwhile(monkeypatch, queue.store, step, before=True, act=lambda: other.revise(task_id, priority=Priority.HIGH))
    verb(queue, lease)
    task = queue.task(task_id).task
    assert task.priority is Priority.HIGH
    assert (task.checkpoint, task.attempts) == ({"extend": [1]}.get(name), int(name.startswith("fail")))


def test_a_revision_is_not_undone_by_a_timeout(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep that ends an attempt leaves a task alone that was revised meanwhile, and the next one ends it."""
    queue, other, clock = two
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=3)).task_id
    queue.revise(task_id, options={"timeout_seconds": 5.0})
    queue.claim_one(task_id, "w")
    queue.sweep()
    clock.advance(6)
    meanwhile(monkeypatch, queue.store, "requeue", before=True,
              act=lambda: other.revise(task_id, priority=Priority.HIGH))
    queue.sweep()
    assert queue.task(task_id).state is State.CLAIMED
    queue.sweep()
    snapshot = queue.task(task_id)
    assert (snapshot.state, snapshot.task.priority, snapshot.task.attempts) == (State.SCHEDULED, Priority.HIGH, 1)


def test_a_finish_cannot_come_between_a_cancel_at_once(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder brings its result while the task is ended as cancelled: refused."""
    queue, other, _ = two
    lease = other.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    second = Second(lambda: other.complete(lease.task_id, lease.token, {}))
    after_the_check(monkeypatch, queue.store, second)
    assert queue.cancel(lease.task_id, at_once=True).state is State.CANCELLED
    assert second.join() == "TaskCancelled"
    assert list(other.store.problems()) == []


def test_a_cancel_at_once_cannot_come_between_a_finish(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: it is done, and who cancels is told."""
    queue, other, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    second = Second(lambda: other.cancel(lease.task_id, at_once=True))
    after_the_check(monkeypatch, queue.store, second)
    queue.complete(lease.task_id, lease.token, {})
    assert second.join() == "TaskFinished"
    assert queue.task(lease.task_id).state is State.DONE


def test_a_task_that_is_put_back_while_it_is_cancelled_at_once_is_cancelled(
        two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker lets go between the look and the end: then it is ended from where it waits."""
    queue, other, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    meanwhile(monkeypatch, queue.store, "finish", before=True,
              act=lambda: other.release(lease.task_id, lease.token))
    assert queue.cancel(lease.task_id, at_once=True).state is State.CANCELLED
    assert copies(queue, lease.task_id) == 1


@pytest.mark.parametrize("rounds", [2, pytest.param(60, marks=pytest.mark.slow)])
def test_in_a_crowd_every_task_ends_once(two: Two, rounds: int) -> None:
    """Workers, and people who revise, promote, retry and cancel at once, in two processes: one file and at most one
    result of each task, whatever came first, and every completion that was acknowledged stands."""
    for _ in range(rounds):
        ids = [two[0].enqueue(NewTask("ping", {}, delay_seconds=delay)).task_id for delay in (0, 0, 0, 3600, 3600)]
        done: list[str] = []

        def work(queue: Queue, done: list[str] = done) -> None:
            for claim in queue.claim("w", max_tasks=2):
                queue.complete(claim.task.id, claim.lease.token, {})
                done.append(claim.task.id)

        rivals: list[Rival] = [
            lambda queue, _: work(queue), lambda queue, _: work(queue),
            lambda queue, task_id: queue.revise(task_id, priority=Priority.HIGH, percent=1),
            lambda queue, task_id: queue.revise(task_id, message="on its way"),
            lambda queue, task_id: queue.promote(task_id),
            lambda queue, task_id: queue.cancel(task_id, at_once=True),
            lambda queue, task_id: queue.retry(task_id, keep_attempts=True), lambda queue, _: queue.sweep(),
        ]

        def act(number: int, ids: list[str] = ids, rivals: list[Rival] = rivals) -> None:
            for task_id in ids:
                try:
                    rivals[number](two[number % 2], task_id)
                except (Conflict, NotFound, StoreUnavailable, TaskCancelled):
                    continue

        together(len(rivals), act)
        for queue in two[:2]:
            queue.sweep()
        assert [copies(two[0], task_id) for task_id in ids] == [1] * len(ids)
        assert [two[0].task(task_id).state for task_id in done] == [State.DONE] * len(done)
        assert list(two[0].store.problems()) == []
