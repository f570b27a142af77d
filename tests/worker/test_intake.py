"""How much is asked for, and when no more."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import pytest

from taskspool.engine.task import Claim, Lease, Task
from taskspool.errors import InvalidRequest, StoreUnavailable
from taskspool.worker.intake import Intake
from taskspool.worker.limits import Limits

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Source:
    """Has so many tasks of each type, and remembers what it was asked for."""

    def __init__(self, **tasks: int) -> None:
        self.tasks = tasks
        self.asked: list[tuple[Sequence[str], int]] = []

    def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
        self.asked.append((types, max_tasks))
        found = [name for name in types for _ in range(self.tasks.get(name, 0))][:max_tasks]
        for name in found:
            self.tasks[name] -= 1
        return [Claim(Task(f"{name}-{number}", name, {}, "r", NOW), Lease(name, "w", 1, f"{name}-{number}", 0, NOW))
                for number, name in enumerate(found)]


def intake_of(source: Source, *, concurrency: int = 8, budget: int | None = None,
              limits: dict[str, int] | None = None) -> tuple[Intake, list[Claim], list[Claim]]:
    """An intake that looks once, what it accepted, and what it gave back."""
    accepted: list[Claim] = []
    given_back: list[Claim] = []

    def give_back(claims: Iterable[Claim]) -> None:
        given_back.extend(claims)

    made = Intake(source, Limits(["a", "b"], limits), accepted.append, give_back, concurrency=concurrency,
                  wait_seconds=1.0, budget=budget)
    made.until_idle = True
    return made, accepted, given_back


def drained(intake: Intake) -> list[str]:
    """The types of all that comes, each put down before the next."""
    found = []
    while (claim := intake.next()) is not None:
        found.append(claim.task.type)
        intake.put_down(claim)
    return found


def test_one_look_asks_for_as_many_as_may_run() -> None:
    """And what it brought is the last there is."""
    source = Source(a=5)
    intake, accepted, _ = intake_of(source, concurrency=3)
    intake.once = True
    assert drained(intake) == ["a"] * 3
    assert (source.asked, len(accepted)) == ([(["a", "b"], 3)], 3)


def test_no_more_is_claimed_than_is_left_of_the_budget() -> None:
    """What could not be begun any more stays where it is."""
    source = Source(a=5)
    intake, accepted, _ = intake_of(source, budget=2)
    intake.once = True
    assert drained(intake) == ["a"] * 2
    assert (source.tasks, intake.taken, len(accepted)) == ({"a": 3}, 2, 2)
    source = Source(a=5)
    intake, *_ = intake_of(source, budget=2)
    assert drained(intake) == ["a"] * 2
    assert intake.is_last_look


def test_an_idle_queue_is_one_that_was_asked_for_everything() -> None:
    """A look that left out a full type says nothing about what waits."""
    source = Source(a=3, b=2)
    intake, *_ = intake_of(source, limits={"a": 1})
    assert sorted(drained(intake)) == ["a"] * 3 + ["b"] * 2


def test_what_a_quiet_worker_is_brought_is_given_back() -> None:
    """It was told to be quiet while its question was under way: it holds nothing, and its limits are free again."""
    class Slow(Source):
        def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
            intake.quiet(True)
            threading.Thread(target=intake.stop).start()
            return super().claim(types, max_tasks, wait_seconds)

    intake, accepted, given_back = intake_of(Slow(a=1), limits={"a": 1})
    assert intake.next() is None
    assert given_back == accepted != []
    intake.quiet(False)
    assert intake._limits.askable(2) == (["a", "b"], 1)


@pytest.mark.parametrize("error", [InvalidRequest("no"), StoreUnavailable("gone")])
def test_an_intake_that_is_to_end_says_why_it_could_not_ask(error: Exception) -> None:
    """With nothing to wait for, the first refusal is the end."""
    class Broken(Source):
        def claim(self, types: Sequence[str], max_tasks: int, wait_seconds: float) -> list[Claim]:
            raise error

    intake, *_ = intake_of(Broken())
    assert intake.next() is None
    assert intake.failure is error
