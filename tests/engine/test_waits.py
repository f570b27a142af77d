"""Ids with what each waits for: an instant of the wall clock, or a while of this process's own."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from fake_clock import FakeClock
from taskspool.engine.waits import Wait, Waits


class Told(NamedTuple):
    clock: FakeClock
    waits: Waits

    def delay(self, seconds: float) -> Wait:
        """A wait that was asked for now."""
        return Wait(self.clock.now().timestamp() + seconds, seconds)


@pytest.fixture
def told() -> Told:
    clock = FakeClock()
    return Told(clock, Waits(clock))


def test_what_is_told_again_goes_on(told: Told) -> None:
    """The same wait of the same task is not begun anew, whatever the wall clock says by then."""
    wait = told.delay(10)
    told.waits.put("a", wait)
    told.clock.advance(9)
    told.clock.jump(-3600)
    told.waits.put("a", wait)
    told.clock.advance(1)
    assert told.waits.due() == [("a", wait)]


def test_another_wait_takes_the_place_of_the_one_before(told: Told) -> None:
    """Of whatever kind: a task waits for one thing."""
    instant = Wait(told.clock.now().timestamp() + 5)
    told.waits.put("a", told.delay(1))
    told.waits.put("a", instant)
    told.waits.put("b", instant)
    told.waits.put("b", later := told.delay(7))
    told.clock.advance(5)
    assert told.waits.due() == [("a", None)]
    told.clock.advance(2)
    assert told.waits.due() == [("b", later)]


@pytest.mark.parametrize("is_delay", [True, False])
def test_what_could_not_be_dealt_with_is_due_again(told: Told, is_delay: bool) -> None:
    """As what it was; meanwhile it is out, and one that is gone stays so."""
    told.waits.put("a", wait := told.delay(3) if is_delay else Wait(told.clock.now().timestamp() + 3))
    told.clock.advance(3)
    found = told.waits.due()
    assert ("a" in told.waits, told.waits.ids(), found) == (False, set(), [("a", wait if is_delay else None)])
    told.waits.put_back(*found[0])
    assert ("a" in told.waits, told.waits.ids(), told.waits.due()) == (True, {"a"}, found)
    told.waits.put_back(*found[0])
    told.waits.discard("a")
    assert told.waits.due() == []


def test_a_new_wait_is_not_ended_by_what_is_put_back(told: Told) -> None:
    """It came while the one before could not be dealt with."""
    old = told.delay(1)
    told.waits.put("a", new := told.delay(60))
    told.waits.put_back("a", old)
    assert told.waits.due() == []
    told.clock.advance(60)
    assert told.waits.due() == [("a", new)]
