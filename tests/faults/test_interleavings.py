"""Two movers of one task: the second comes exactly between the first one's check and its move."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contract.threads import together
from fake_clock import FakeClock
from faults.scenarios import LEASE_SECONDS
from faults.verdict import queue_on
from taskspool.engine import files
from taskspool.engine.lifecycle import Queue
from taskspool.engine.store import Expired
from taskspool.engine.task import Lease, NewTask, State
from taskspool.errors import LeaseLost, NotFound, TaskNotFound

OVERTAKEN_SECONDS = 0.3
"""How long the second mover gets to overtake; it must not, so this is the price of the test."""
Two = tuple[Queue, Queue, FakeClock]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Two processes on one folder, on one clock."""
    clock = FakeClock()
    queues = queue_on(tmp_path, clock), queue_on(tmp_path, clock)
    for queue in queues:
        queue.start()
    yield *queues, clock
    for queue in queues:
        queue.close()


class Second:
    """The other mover, in a thread of its own; ``outcome`` is the name of what it raised, or "moved"."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.outcome = ""
        self._act = act
        self._thread = threading.Thread(target=self._run)
        self._has_ended = threading.Event()

    def __call__(self) -> None:
        """Start, and give it its chance to overtake."""
        self._thread.start()
        self._has_ended.wait(OVERTAKEN_SECONDS)

    def join(self) -> str:
        self._thread.join(20)
        return self.outcome

    def _run(self) -> None:
        try:
            self._act()
            self.outcome = "moved"
        except Exception as error:  # whatever it was, the test wants its name
            self.outcome = type(error).__name__
        self._has_ended.set()


def judged_silent(two: Two) -> tuple[Lease, Expired]:
    """A task of a worker that has just been judged silent, and the judgement."""
    queue, other, clock = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    other.sweep()
    clock.advance(LEASE_SECONDS)
    [judgement] = other.store.expired()
    return lease, judgement


def after_the_check(monkeypatch: pytest.MonkeyPatch, store: Any, second: Second) -> None:
    """``second`` starts when ``store`` has found the lease in order, and before it moves anything."""
    real = store._check_held

    def check(*arguments: Any) -> None:
        real(*arguments)
        second()

    monkeypatch.setattr(store, "_check_held", check)


def test_an_expiry_cannot_come_between_a_finish(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker completes while it is judged silent: it is finished, and not given back as well."""
    queue, other, _ = two
    lease, judgement = judged_silent(two)
    second = Second(lambda: other.store.requeue(lease, None, expired=judgement))
    after_the_check(monkeypatch, queue.store, second)
    queue.complete(lease.task_id, lease.token, {})
    assert second.join() == "LeaseLost"
    assert other.task(lease.task_id).state is State.DONE
    assert list(other.store.problems()) == []


def test_a_finish_cannot_come_between_an_expiry(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other way round: it is given back, and the late worker is told so."""
    queue, other, _ = two
    lease, judgement = judged_silent(two)
    second = Second(lambda: queue.complete(lease.task_id, lease.token, {}))
    after_the_check(monkeypatch, other.store, second)
    other.store.requeue(lease, None, expired=judgement)
    assert second.join() == "LeaseLost"
    assert other.task(lease.task_id).state is State.READY
    assert other.store.result(lease.task_id) is None
    assert list(other.store.problems()) == []


def test_a_beat_cannot_be_acknowledged_and_lost(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat during the expiry is either in time, and saves the lease, or is refused: never yes and then gone."""
    queue, other, _ = two
    lease, judgement = judged_silent(two)
    second = Second(lambda: queue.extend(lease.task_id, lease.token))
    after_the_check(monkeypatch, other.store, second)
    other.store.requeue(lease, None, expired=judgement)
    assert second.join() == "LeaseLost"


def test_two_finishes_of_one_lease_have_one_answer(two: Two) -> None:
    """Twenty times eight callers with the same token at once: all get the same result."""
    queue, other, _ = two
    for _ in range(20):
        lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
        answers = together(8, lambda number, lease=lease: (queue, other)[number % 2].complete(
            lease.task_id, lease.token, {"n": number}))
        assert {answer.data["n"] for answer in answers} == {queue.result(lease.task_id).data["n"]}


def test_a_task_that_moves_while_it_is_looked_for_is_found(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes back from claimed to ready after ready was looked at, and before claimed is."""
    queue, other, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    claims = other.store._claims
    real, moved = claims.of, []

    def of(task_id: str, *arguments: Any) -> Any:
        if not moved:
            moved.append(True)
            queue.release(lease.task_id, lease.token)
        return real(task_id, *arguments)

    monkeypatch.setattr(claims, "of", of)
    assert other.task(lease.task_id).state is State.READY
    assert moved


def test_a_worker_folder_that_vanishes_is_made_again(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start removes empty folders of workers: a claim that was about to use one is not lost by it."""
    queue, other, _ = two
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    real, removed = files.make_folder, []

    def make(path: str) -> None:
        real(path)
        if len(removed) < 2 and "/claimed/" in path:
            removed.append(path)
            other.store._claims.remove_empty()

    monkeypatch.setattr(files, "make_folder", make)
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]
    assert len(removed) == 2


@pytest.mark.parametrize("rounds", [30, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_expiry_and_completion_race_and_one_of_them_wins(two: Two, rounds: int) -> None:
    """Whoever is first: either the task is done by the worker, or ready and the worker was refused; never both."""
    queue, other, _ = two
    won = {"worker": 0, "sweeper": 0}
    for _ in range(rounds):
        lease, judgement = judged_silent(two)

        def race(number: int, lease: Lease = lease, judgement: Expired = judgement) -> bool:
            try:
                if number == 0:
                    queue.complete(lease.task_id, lease.token, {})
                else:
                    other.store.requeue(lease, replace(judgement.claim.task, crashes=1), expired=judgement)
            except LeaseLost:
                return False
            return True

        completed, requeued = together(2, race)
        assert completed is not requeued
        assert queue.task(lease.task_id).state is (State.DONE if completed else State.READY)
        assert (queue.store.result(lease.task_id) is not None) is completed
        assert queue.task(lease.task_id).task.crashes == (0 if completed else 1)
        won["worker" if completed else "sweeper"] += 1
        for claim in queue.claim("drain", max_tasks=9):
            assert requeued
            queue.complete(claim.task.id, claim.lease.token, {})
    print(f"expiry against completion, {rounds} rounds: {won}")
    assert list(queue.store.problems()) == []


def test_a_dead_batch_is_delivered_once_though_two_deliver_it(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one process delivers what a dead one had accepted, a task of it is claimed: it does not come again."""
    queue, other, _ = two
    batches = queue.store._batches

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(batches, "_deliver", stop)
        with pytest.raises(KeyboardInterrupt):
            queue.enqueue_many([NewTask("ping", {"n": n}) for n in range(2)], key="k")
    queue.close()
    real, first = other.store._reading.find, []

    def find(task_id: str) -> Any:
        found = real(task_id)
        if not first:
            first.append(task_id)
            third = queue_on(Path(os.path.dirname(other.store._place.folder)), FakeClock())
            third.store._place.keys = _NoLocks()    # in this very thread it would wait for itself
            third.start()
            third.sweep()
            first.extend(claim.task.id for claim in third.claim("w", max_tasks=9))
            third.close()
        return found

    monkeypatch.setattr(other.store._reading, "find", find)
    other.enqueue_many([NewTask("ping", {"n": n}) for n in range(2)], key="k")
    other.sweep()
    assert other.claim("w2", max_tasks=9) == []
    queue.start()


class _NoLocks:
    def of(self, name: str) -> Any:
        return nullcontext()

    def open(self) -> None: ...

    def close(self) -> None: ...


def test_unknown_stays_unknown(two: Two) -> None:
    """The second look under the lock does not invent anything."""
    with pytest.raises(TaskNotFound):
        two[0].task("00000000-0000-7000-8000-000000000000")
    with pytest.raises(NotFound):
        two[0].result("00000000-0000-7000-8000-000000000000")
