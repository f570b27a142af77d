"""Handing in: kept and sent again until the queue takes it or does not want it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, Lease, Task
from taskspool.errors import (
    InvalidRequest, LeaseLost, PayloadTooLarge, ServerUnreachable, StoreFull, StoreUnavailable, TaskNotFound,
    TaskspoolError,
)
from taskspool.worker.calling import Success
from taskspool.worker.contact import Contact
from taskspool.worker.delivery import MAX_FAULTS, deliver
from taskspool.worker.hand import Hand

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "00000000-0000-7000-8000-000000000001"
CLAIM = Claim(Task(ID, "t", {}, "r", NOW), Lease(ID, "w", 1, "token", 60, NOW))


class Source:
    """Answers each call with the next of ``answers``; an error is raised, None accepts."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.sent: list[object] = []

    def complete(self, claim: Claim, data: object) -> None:
        self._answer(data)

    def fail(self, claim: Claim, failure: Failure) -> None:
        self._answer(failure)

    def release(self, claim: Claim) -> None:
        self.sent.append("released")

    def _answer(self, what: object) -> None:
        self.sent.append(what)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer


@pytest.mark.parametrize("error", [ServerUnreachable("gone"), StoreUnavailable("busy"), StoreFull("full")])
def test_a_result_is_sent_again_until_it_is_taken(error: TaskspoolError) -> None:
    """However long the outage, the same result is sent until the queue takes it."""
    source = Source(*[error] * 30)
    assert deliver(source, CLAIM, Success("r"), lambda seconds: True)
    assert source.sent == ["r"] * 31


@pytest.mark.parametrize("error", [LeaseLost("late"), TaskNotFound("gone")])
def test_a_result_nobody_wants_is_dropped_at_once(error: TaskspoolError) -> None:
    """Who lost the lease sends nothing a second time."""
    source = Source(error)
    assert not deliver(source, CLAIM, Success("r"), lambda seconds: True)
    assert source.sent == ["r"]


@pytest.mark.parametrize("error", [InvalidRequest("too deep"), PayloadTooLarge("too large")])
def test_a_result_that_is_refused_becomes_a_failure(error: TaskspoolError) -> None:
    """A result the queue will not store fails the task with the reason, so that nobody waits for ever."""
    source = Source(error)
    assert deliver(source, CLAIM, Success("r"), lambda seconds: True)
    assert source.sent == ["r", Failure(f"the handler's result was refused: {error}", retryable=False)]


def test_a_failure_that_is_refused_too_gives_the_task_back() -> None:
    """There is no third thing to say, but the task must not stay with this worker."""
    source = Source(InvalidRequest("no"), InvalidRequest("no"))
    assert not deliver(source, CLAIM, Success("r"), lambda seconds: True)
    assert source.sent[2:] == ["released"]


def test_delivery_ends_when_there_is_no_more_time() -> None:
    """A stop ends the sending; the lease brings the task back."""
    source = Source(*[ServerUnreachable("gone")] * 3)
    assert not deliver(source, CLAIM, Success("r"), lambda seconds: len(source.sent) < 2)
    assert len(source.sent) == 2


@pytest.mark.parametrize("error", [TaskspoolError("500"), OverflowError("unforeseen")])
def test_a_result_the_queue_breaks_on_fails_the_task(error: Exception) -> None:
    """A result that breaks the queue each time neither keeps the worker for ever nor comes again and again."""
    source = Source(*[error] * MAX_FAULTS)
    assert deliver(source, CLAIM, Success("r"), lambda seconds: True)
    assert source.sent[:-1] == ["r"] * MAX_FAULTS
    assert "could not be handed in" in source.sent[-1].message
    source = Source(*[error] * 99)
    assert not deliver(source, CLAIM, Success("r"), lambda seconds: True)
    assert len(source.sent) == 2 * MAX_FAULTS + 1
    assert source.sent[-1] == "released"


def test_a_lost_claim_cannot_be_finished_and_a_finishing_one_is_not_given_back() -> None:
    """Of "lost" and "finishing" whichever comes first stands."""
    hand = Hand()
    hand.take(CLAIM, Contact())
    assert hand.lose(["token"]) == [CLAIM]
    assert not hand.begin_finish(CLAIM)
    assert hand.held() == []
    hand.take(CLAIM, Contact())
    assert hand.begin_finish(CLAIM)
    assert hand.lose(["token"]) == []
    assert hand.held() == [CLAIM]
    assert hand.running() == []
