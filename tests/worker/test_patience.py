"""Time that is over, and handlers that do not stop: what becomes of each, on a clock of the test's own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from fake_clock import FakeClock
from taskspool.engine.options import Options
from taskspool.engine.task import Claim, Lease, Task
from taskspool.worker.calling import seconds_of
from taskspool.worker.contact import Contact
from taskspool.worker.hand import Hand
from taskspool.worker.patience import THREAD_SECONDS, Patience

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ID = "00000000-0000-7000-8000-000000000001"
GRACE_SECONDS = 3.0


def claim_of(token: str = "token", options: Options = Options()) -> Claim:  # noqa: B008
    return Claim(Task(ID, "t", {}, "r", NOW, options=options), Lease(ID, "w", 1, token, 60, NOW))


class Watched:
    """A hand with one run in it, and what was taken from whom."""

    def __init__(self, seconds: float | None, *, is_threaded: bool = True) -> None:
        self.clock, self.hand, self.taken = FakeClock(), Hand(), []
        self.claim, self.contact = claim_of(), Contact(seconds=seconds, clock=self.clock.monotonic)
        self.hand.take(self.claim, self.contact)
        self.patience = Patience(self.hand, GRACE_SECONDS, self.taken.append if is_threaded else None,
                                 self.clock.monotonic)

    def after(self, seconds: float) -> float | None:
        self.clock.advance(seconds)
        return self.patience.look()


def test_a_run_is_told_when_its_time_is_over_and_loses_its_task_when_it_does_not_stop() -> None:
    """Not before its time; then told; a moment later the task is taken from it."""
    run = Watched(10.0)
    assert run.after(9.9) == pytest.approx(0.1)
    assert run.contact.stop_reason is None
    assert run.after(0.1) == pytest.approx(THREAD_SECONDS)
    assert (run.contact.stop_reason, run.taken) == ("timeout", [])
    assert run.after(THREAD_SECONDS) is None
    assert run.taken == [run.claim]


def test_a_cancelled_run_has_the_grace_to_stop() -> None:
    """Its task is taken from it only when that is over, also if its own time ends meanwhile."""
    run = Watched(1.0)
    run.contact.end("cancelled")
    run.after(GRACE_SECONDS + THREAD_SECONDS - 0.1)
    assert (run.contact.stop_reason, run.taken) == ("cancelled", [])
    run.after(0.1)
    assert run.taken == [run.claim]


@pytest.mark.parametrize("reason", ["lease_lost", "shutdown"])
def test_what_somebody_else_sees_to_is_left_alone(reason: str) -> None:
    """A lost task is not ours to hand in; at a stop the worker itself gives back what still runs."""
    run = Watched(None)
    run.contact.end(reason)
    assert run.after(3600.0) is None
    assert run.taken == []


def test_nothing_is_taken_from_a_process() -> None:
    """Its executor ends it; it is told all the same."""
    run = Watched(1.0, is_threaded=False)
    run.after(1.0)
    assert run.contact.stop_reason == "timeout"
    assert run.after(3600.0) is None


def test_what_has_ended_is_not_looked_after() -> None:
    """A run that is being handed in has no time any more."""
    run = Watched(1.0)
    assert run.hand.begin_finish(run.claim)
    assert run.after(5.0) is None
    assert run.contact.stop_reason is None


def test_what_was_taken_away_stays_in_hand_until_it_is_handed_in() -> None:
    """It is shown signs of life for, its handler's end changes nothing, and who took it puts it down."""
    hand, claim = Hand(), claim_of()
    hand.take(claim, Contact())
    assert hand.take_away(claim)
    assert not hand.begin_finish(claim)
    hand.put_down(claim)
    assert (hand.held(), hand.is_lost(claim)) == ([claim], False)
    hand.put_down(claim, is_taken_away=True)
    assert hand.held() == []


def test_the_time_of_an_attempt_is_the_shorter_of_its_own_and_the_tasks() -> None:
    """Counted from the claim; none without a wish."""
    assert seconds_of(claim_of()) is None
    assert seconds_of(claim_of(options=Options(timeout_seconds=5))) == 5.0
    assert seconds_of(claim_of(options=Options(timeout_seconds=5, total_timeout_seconds=3))) == 3.0
