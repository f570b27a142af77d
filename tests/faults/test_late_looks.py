"""What a process saw is old by the time it acts on it: it was stopped in between, and others went on.

Each was found by a history (``test_histories``) or a walk (``test_model``), and is told again here, one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contract.candidates import FileCandidate
from taskspool.engine import claims
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Lease, NewTask, State
from taskspool.errors import LeaseLost, TaskCancelled


class Two:
    """Two processes on one folder, on one clock, and a task that the first one holds."""

    def __init__(self, folder: Path) -> None:
        self.candidate = FileCandidate(folder, "fast")
        self.clock = self.candidate.clock
        self.first, self.second = self.open(), self.open()
        self.task_id = self.first.enqueue(NewTask("ping", {}, max_retries=2)).task_id

    def open(self) -> Queue:
        return self.candidate.open(cancel_grace_seconds=30.0)

    def held(self, seconds: int = 60) -> Lease:
        return self.first.claim_one(self.task_id, "w", lease_seconds=seconds).lease


@pytest.fixture
def two(tmp_path: Path) -> Any:
    made = Two(tmp_path)
    yield made
    assert list(made.second.store.problems()) == []
    made.candidate.end()


def once_before(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, act: Callable[[], object],
                about: str = "") -> None:
    """``act`` happens when the function ``name`` of ``place`` is about to be called for the first time with something
    that has ``about`` in it."""
    real, acts = getattr(place, name), [act]

    def called(*given: Any) -> Any:
        if acts and about in str(given[0]):
            acts.pop()()
        return real(*given)

    monkeypatch.setattr(place, name, called)


def test_a_sign_of_life_is_as_young_as_the_look_that_saw_it(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper that slept for 50 s before its look sees a beat of just now: the lease has its whole time from then."""
    lease = two.held()
    two.second.sweep()

    def sleep() -> None:
        two.clock.advance(50)
        two.first.extend(lease.task_id, lease.token)

    with monkeypatch.context() as patch:
        once_before(patch, claims.files, "file_number", sleep, "/claimed/")
        assert two.second.sweep().expired == 0
    two.clock.advance(59)
    assert two.second.sweep().expired == 0
    two.clock.advance(1)
    assert two.second.sweep().expired == 1


def test_a_later_time_is_not_taken_for_an_earlier_one(two: Two) -> None:
    """A task that waited once, ran, and waits again comes back when its new time is over, not when its old one was."""
    two.first.release(two.task_id, two.held().token, delay_seconds=10)
    two.second.sweep()  # it knows when the first time is over
    two.clock.advance(10)
    assert two.first.sweep().promoted == 1
    two.first.release(two.task_id, two.held().token, delay_seconds=100)
    assert two.second.sweep().promoted == 0
    assert two.second.task(two.task_id).state is State.SCHEDULED
    two.clock.advance(100)
    assert two.second.sweep().promoted == 1


def test_an_attempt_has_the_number_of_what_went_before(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who read a task, slept while others ran it and failed, and then takes it, makes the second attempt."""
    def run_and_fail() -> None:
        two.first.fail(two.task_id, two.held().token, Failure("no", retry_after_seconds=0))
        two.first.sweep()

    once_before(monkeypatch, two.second.store._taking, "_rename_claim", run_and_fail)
    assert two.second.claim_one(two.task_id, "w").lease.attempt == 2
    assert two.second.task(two.task_id).task.attempts == 1


def test_a_holder_that_slept_through_the_cancel_is_told_so(two: Two) -> None:
    """The process that held it remembers its lease; what it brings is refused as a cancelled task's."""
    lease = two.held()
    two.second.cancel(two.task_id, by="me")
    two.second.sweep()
    two.clock.advance(30)
    assert two.second.sweep().cancelled == 1
    with pytest.raises(TaskCancelled):
        two.first.complete(two.task_id, lease.token, {})


def test_a_second_cancel_has_its_own_grace(two: Two) -> None:
    """Cancelled, retried, claimed and cancelled again between two looks of a sweeper: the new holder gets its time."""
    first = two.held()
    two.second.cancel(two.task_id, by="me")
    two.second.sweep()  # it knows of the first request
    two.clock.advance(30)
    with pytest.raises(TaskCancelled):
        two.first.complete(two.task_id, first.token, {})
    two.first.retry(two.task_id, by="me")
    lease = two.held()
    two.first.cancel(two.task_id, by="me")
    assert two.second.sweep().cancelled == 0
    assert two.first.extend(two.task_id, lease.token) == lease
    two.clock.advance(30)
    assert two.second.sweep().cancelled == 1


def test_whoever_is_buried_with_its_task_is_refused(two: Two) -> None:
    """The result of a task that was given up is nobody's answer: not even that of the last one who held it."""
    tokens = []
    for _ in range(3):
        tokens.append(two.held().token)
        two.second.sweep()
        two.clock.advance(60)
        two.second.sweep()
    assert two.second.task(two.task_id).state is State.DEAD
    for queue in (two.first, two.second):
        with pytest.raises(LeaseLost):
            queue.complete(two.task_id, tokens[-1], {})


