"""Two movers of one task at its end: a finish in two steps, a retry, a unique key that two want."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from contract.threads import together
from faults.test_interleavings import Second, Two, two
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask, Result, State, Step
from taskspool.errors import DuplicateTask, LeaseLost, NotRetryable

__all__ = ["two"]


def between_result_and_move(monkeypatch: pytest.MonkeyPatch, queue: Queue, act: Callable[[], object]) -> list[str]:
    """``act`` comes when the result stands and the claim has not followed it yet; what it raised, as it happened."""
    real, outcomes = queue.store._intake.move_finished, list[str]()

    def move_finished(path: str, result: Any) -> bool:
        moved = bool(real(path, result))
        if not outcomes:
            outcomes.append("")
            outcomes.append(_outcome(act))
        return moved

    def late_check(*arguments: Any) -> None:
        """The late comer has looked, and found its claim, before it went."""

    def finished(result: Any) -> None:
        monkeypatch.setattr(queue.store, "_check_held", late_check)

    monkeypatch.setattr(queue.store._intake, "move_finished", move_finished)
    monkeypatch.setattr(queue.store._intake, "finished", finished)
    return outcomes


def _outcome(act: Callable[[], object]) -> str:
    try:
        act()
    except LeaseLost as error:
        return type(error).__name__
    return "moved"


def claims_in(queue: Queue) -> list[str]:
    return [name for _, _, names in os.walk(queue.store._place.path("claimed")) for name in names]


def test_a_late_checkpoint_does_not_bring_a_finished_task_back(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A beat with progress that found its claim, and writes when that has moved to done, makes no second copy."""
    queue, _, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    task = queue.task(lease.task_id).task
    outcomes = between_result_and_move(
        monkeypatch, queue, lambda: queue.store.extend(lease, replace(task, checkpoint={"late": True})))
    queue.complete(lease.task_id, lease.token, {})
    assert outcomes[1:] == ["LeaseLost"]
    assert claims_in(queue) == []


def test_a_repeated_failure_does_not_bring_a_finished_task_back(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same end told twice at once: the second finds the first one's result, and writes nothing."""
    queue, _, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    task = queue.task(lease.task_id).task
    said = Result(lease.task_id, "w", "error", None, queue.clock.now(), "no", 1, lease.token)
    outcomes = between_result_and_move(
        monkeypatch, queue, lambda: queue.store.finish(lease, replace(task, attempts=1), said))
    queue.fail(lease.task_id, lease.token, Failure("no"))
    assert outcomes[1:] == ["moved"]
    assert claims_in(queue) == []


def test_a_retry_with_an_old_view_is_refused(two: Two) -> None:
    """Who looked before somebody else's retry must not bring back what has been done since."""
    queue, other, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    queue.fail(lease.task_id, lease.token, Failure("no"))
    seen, result = queue.task(lease.task_id).task, queue.result(lease.task_id)
    task = replace(seen, history=(Step("retry", queue.clock.now(), State.READY, "a person"),))
    other.retry(lease.task_id)
    again = other.claim_one(lease.task_id, "w2").lease
    with pytest.raises(NotRetryable):
        queue.store.renew(task, result)
    other.fail(lease.task_id, again.token, Failure("no again"))
    with pytest.raises(NotRetryable):
        queue.store.renew(task, result)
    assert other.result(lease.task_id).error_message == "no again"


def test_a_result_is_not_moved_on_the_word_of_an_older_one(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper that saw a result, and is overtaken by a retry and another end, puts the task where that one says."""
    queue, other, _ = two
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    queue.fail(lease.task_id, lease.token, Failure("no"))
    task_id, path = lease.task_id, queue.store._place.task_path(State.DONE, lease.task_id)
    locks, overtaken = other.store._place.moves, []

    class Overtaken:
        def of(self, name: str) -> Any:
            if not overtaken:
                overtaken.append(name)
                queue.retry(task_id)
                again = queue.claim_one(task_id, "w2").lease
                queue.complete(task_id, again.token, {})
            return locks.of(name)

        def __getattr__(self, name: str) -> Any:
            return getattr(locks, name)

    monkeypatch.setattr(other.store._place, "moves", Overtaken())
    other.store._intake._finish_left(task_id, path)
    assert overtaken
    assert os.path.exists(path)


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=pytest.mark.slow)])
def test_a_unique_key_makes_one_task_however_many_ask(two: Two, rounds: int) -> None:
    """Eight at once in two processes, half of them to replace it: one unfinished task has the key."""
    for number in range(rounds):
        key = f"u{number}"

        def ask(asker: int, key: str = key) -> str:
            wish = NewTask("ping", {}, options=Options(unique_key=key), on_conflict=("existing", "replace")[asker // 4])
            try:
                return two[asker % 2].enqueue(wish).task_id
            except DuplicateTask:
                return ""

        together(8, ask)
        listed = [one for state in State for one in two[0].listing(state, limit=99_999)]
        assert sum(one.task.options.unique_key == key and not one.state.is_final for one in listed) == 1


def test_nobody_takes_the_unique_key_of_a_task_that_is_being_retried(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for the key in the middle of a retry is told of the retried task."""
    queue, other, _ = two
    wish = NewTask("ping", {}, options=Options(unique_key="u"))
    task_id = queue.enqueue(wish).task_id
    queue.cancel(task_id)
    answers: list[str] = []
    second = Second(lambda: answers.append(other.enqueue(wish).task_id))
    monkeypatch.setattr(queue.store._cancels, "forget_for_good", lambda _: second())
    queue.retry(task_id)
    assert second.join() == "moved"
    assert answers == [task_id]
