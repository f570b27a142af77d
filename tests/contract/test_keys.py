"""Idempotency keys and batches: exactly one task per key, all of a batch or nothing."""

from __future__ import annotations

import pytest

from contract.candidates import Candidate, Crash
from contract.states import new, state_of
from contract.threads import together
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import IdempotencyConflict, InvalidRequest, PayloadTooLarge


def test_the_same_key_and_body_is_the_same_task(candidate: Candidate, queue: Queue) -> None:
    """The second call answers with the first task and creates nothing, also later, also in another process."""
    first = queue.enqueue(NewTask("ping", {"a": 1, "b": 2}), key="k")
    assert first.created
    candidate.clock.advance(86_000)
    for asked in (queue, candidate.open()):
        again = asked.enqueue(NewTask("ping", {"b": 2, "a": 1}), key="k")
        assert (again.task_id, again.created) == (first.task_id, False)
    assert queue.counts().ready == 1


@pytest.mark.parametrize("other", [NewTask("pong", {}), NewTask("ping", {"a": 1}), NewTask("ping", {}, max_retries=1),
                                   NewTask("ping", {}, requester="someone else"),
                                   NewTask("ping", {}, parent="01936f5e-0000-4000-8000-00000000000c")])
def test_the_same_key_with_another_body_is_a_conflict(candidate: Candidate, queue: Queue, other: NewTask) -> None:
    """It is refused with the first task's id, and nothing is created."""
    first = queue.enqueue(NewTask("ping", {}), key="k")
    with pytest.raises(IdempotencyConflict) as caught:
        queue.enqueue(other, key="k")
    assert caught.value.details["task_id"] == first.task_id
    assert queue.counts().ready == 1


@pytest.mark.parametrize("state", [State.CLAIMED, State.DONE])
def test_a_key_outlives_its_task_being_worked_on(candidate: Candidate, queue: Queue, state: State) -> None:
    """A repeated submit of a task that is claimed or done does not run it again."""
    first = queue.enqueue(new(), key="k")
    lease = queue.claim("w")[0].lease
    if state is State.DONE:
        queue.complete(first.task_id, lease.token, {})
    assert queue.enqueue(new(), key="k").created is False
    assert state_of(queue, first.task_id) is state
    assert queue.claim("w") == []


def test_pruning_forgets_the_keys_of_what_it_pruned(candidate: Candidate, queue: Queue) -> None:
    """The key of a pruned task makes a new one; the key of a task that is still there, or that came later, stands."""
    pruned, waits = queue.enqueue(new(), key="pruned"), queue.enqueue(NewTask("later", {}), key="waits")
    lease = queue.claim("w", types=["ping"])[0].lease
    queue.complete(pruned.task_id, lease.token, {})
    candidate.clock.advance(10)
    assert queue.store.prune(candidate.clock.now()) == 1
    again = queue.enqueue(new(), key="pruned")
    assert again.created
    assert again.task_id != pruned.task_id
    assert queue.enqueue(NewTask("later", {}), key="waits").task_id == waits.task_id
    assert queue.store.prune(candidate.clock.now()) == 0
    assert queue.enqueue(new(), key="pruned").task_id == again.task_id


def test_fifty_callers_with_one_key_make_one_task(candidate: Candidate, queue: Queue) -> None:
    """However many come at once, over two processes: one creates, all get its id."""
    other = candidate.open()
    for round_number in range(3):
        key = f"round {round_number}"
        answers = together(50, lambda number, key=key: (queue, other)[number % 2].enqueue(new(), key=key))
        assert len({answer.task_id for answer in answers}) == 1
        assert sum(answer.created for answer in answers) == 1
    other.sweep()
    assert queue.counts().ready == 3


def test_different_keys_do_not_disturb_each_other(candidate: Candidate, queue: Queue) -> None:
    """Keys are compared whole: case, blanks and script count."""
    keys = ["a", "A", "a ", "ä", "키", "../../a", "x" * 255, "CON", "a/b"]
    ids = [queue.enqueue(new(), key=key).task_id for key in keys]
    assert len(set(ids)) == len(keys)
    assert [queue.enqueue(new(), key=key).task_id for key in keys] == ids


@pytest.mark.parametrize("key", ["", "x" * 256, "a\x00", "\ud800"])
def test_a_key_that_is_none_is_refused(candidate: Candidate, queue: Queue, key: str) -> None:
    """1..255 printable characters; anything else is InvalidRequest and no task."""
    with pytest.raises(InvalidRequest):
        queue.enqueue(new(), key=key)
    assert queue.counts().ready == 0


def test_a_crash_between_key_and_task_is_continued(
        candidate: Candidate, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that died with the key stored and the task not: the same key brings the task, once."""
    with monkeypatch.context() as patch:
        candidate.crash_between_key_and_task(queue, patch)
        with pytest.raises(Crash):
            queue.enqueue(NewTask("ping", {"n": 1}), key="k")
    assert queue.counts().ready == 0
    other = candidate.open()
    answer = other.enqueue(NewTask("ping", {"n": 1}), key="k")
    assert answer.created
    assert other.task(answer.task_id).task.data == {"n": 1}
    assert other.enqueue(NewTask("ping", {"n": 1}), key="k").created is False
    assert queue.counts().ready == 1


def test_a_task_that_cannot_be_stored_does_not_use_up_its_key(candidate: Candidate, queue: Queue) -> None:
    """After PayloadTooLarge or unstorable data the key is free for a better body."""
    with pytest.raises(PayloadTooLarge):
        queue.enqueue(NewTask("ping", {"x": "x" * 2_000_000}), key="k")
    with pytest.raises(InvalidRequest):
        queue.enqueue(NewTask("ping", {"x": "\ud800"}), key="k")
    assert queue.enqueue(NewTask("ping", {}), key="k").created


def test_a_batch_comes_whole_and_in_order(candidate: Candidate, queue: Queue) -> None:
    """All tasks of a batch are ready, in the order they were given."""
    answers = queue.enqueue_many([NewTask("ping", {"n": n}) for n in range(20)])
    assert all(answer.created for answer in answers)
    assert [claim.task.data["n"] for claim in queue.claim("w", max_tasks=99)] == list(range(20))


@pytest.mark.parametrize("bad", [
    NewTask("", {}), NewTask("ping", []), NewTask("ping", {"x": "x" * 2_000_000}), NewTask("ping", {"x": "\ud800"}),
    NewTask("ping", {"x": float("nan")}), NewTask("ping", {}, max_retries=-1), NewTask("ping", {}, max_retries=True),
])
def test_one_bad_task_and_none_of_the_batch_comes(candidate: Candidate, queue: Queue, bad: NewTask) -> None:
    """A batch with one task that cannot be stored is refused as a whole, before and after a restart."""
    with pytest.raises(InvalidRequest):
        queue.enqueue_many([new(), bad, new()], key="k")
    assert queue.counts().ready == 0
    assert candidate.open().counts().ready == 0
    assert all(one.created for one in queue.enqueue_many([new()], key="k"))


def test_an_empty_batch_is_refused(candidate: Candidate, queue: Queue) -> None:
    """A batch holds at least one task."""
    with pytest.raises(InvalidRequest):
        queue.enqueue_many([])


def test_a_batch_with_a_key_is_the_same_batch(candidate: Candidate, queue: Queue) -> None:
    """The same key and bodies: the same ids in the same order; another order is another body."""
    batch = [NewTask("ping", {"n": n}) for n in range(3)]
    first = queue.enqueue_many(batch, key="k")
    again = candidate.open().enqueue_many(batch, key="k")
    assert [one.task_id for one in again] == [one.task_id for one in first]
    assert not any(one.created for one in again)
    with pytest.raises(IdempotencyConflict):
        queue.enqueue_many(batch[::-1], key="k")
    assert queue.counts().ready == 3
