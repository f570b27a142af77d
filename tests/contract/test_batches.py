"""Batches: a named set of tasks, all or none, that is asked for as one."""

from __future__ import annotations

from typing import Any

import pytest

from contract.candidates import Candidate
from contract.states import NOBODY, new
from taskspool.engine.batch import MAX_BATCH_TASKS, Batch, batch_id_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import State
from taskspool.errors import BatchNotFound, IdempotencyConflict, InvalidRequest, PayloadTooLarge


def counted(batch: Batch) -> dict[State, int]:
    return {state: number for state, number in batch.counts.items() if number}


def test_a_batch_is_its_tasks(candidate: Candidate, queue: Queue) -> None:
    """All of them wait, in the order they were given, and each knows the batch it belongs to."""
    batch = queue.enqueue_batch([new("a"), new("b"), new("c", delay_seconds=30)], name="nightly")
    assert batch.created
    assert (batch.record.name, batch.record.created_at) == ("nightly", candidate.clock.now())
    assert [queue.task(task_id).task.type for task_id in batch.record.task_ids] == ["a", "b", "c"]
    assert {queue.task(task_id).task.options.batch_id for task_id in batch.record.task_ids} == {batch.record.id}
    assert counted(batch) == {State.READY: 2, State.SCHEDULED: 1}


def test_a_batch_tells_how_far_it_is(candidate: Candidate, queue: Queue) -> None:
    """Counts per state as they are now; finished when no task waits or is worked on, and since when."""
    record = queue.enqueue_batch([new() for _ in range(4)]).record
    held = [claim.lease for claim in queue.claim("w", max_tasks=3)]
    assert counted(queue.batch(record.id)) == {State.READY: 1, State.CLAIMED: 3}
    queue.complete(held[0].task_id, held[0].token, {})
    queue.fail(held[1].task_id, held[1].token, Failure("no"))
    queue.cancel(record.task_ids[3])
    batch = queue.batch(record.id)
    assert counted(batch) == {State.CLAIMED: 1, State.DONE: 1, State.DEAD: 1, State.CANCELLED: 1}
    assert (batch.is_finished, batch.finished_at) == (False, None)
    candidate.clock.advance(5)
    queue.complete(held[2].task_id, held[2].token, {})
    batch = queue.batch(record.id)
    assert (batch.is_finished, batch.finished_at) == (True, candidate.clock.now())
    queue.retry(held[1].task_id)
    assert not queue.batch(record.id).is_finished


def test_what_was_pruned_is_missing(candidate: Candidate, queue: Queue) -> None:
    """A batch outlives some of its tasks, and goes with the last of them."""
    record = queue.enqueue_batch([new(), new()]).record
    for claim in queue.claim("w", max_tasks=2):
        queue.complete(claim.task.id, claim.lease.token, {})
        candidate.clock.advance(10)
        if claim.task.id == record.task_ids[0]:
            queue.store.prune(candidate.clock.now())
            batch = queue.batch(record.id)
            assert (batch.missing, batch.is_finished, counted(batch)) == (1, False, {State.CLAIMED: 1})
    batch = queue.batch(record.id)
    assert (batch.missing, batch.is_finished, counted(batch)) == (1, True, {State.DONE: 1})
    queue.store.prune(candidate.clock.now())
    with pytest.raises(BatchNotFound):
        queue.batch(record.id)


def test_batches_are_listed_newest_first(queue: Queue) -> None:
    """Up to a limit."""
    names = [queue.enqueue_batch([new()], name=f"n{number}").record.name for number in range(4)]
    assert [batch.record.name for batch in queue.batches()] == names[::-1]
    assert [batch.record.name for batch in queue.batches(2)] == names[:1:-1]


def test_another_process_sees_the_batch(candidate: Candidate, queue: Queue) -> None:
    """It is a file as any task is."""
    batch = queue.enqueue_batch([new(), new()], name="n")
    assert candidate.open().batch(batch.record.id).record == batch.record


@pytest.mark.parametrize("batch_id", [NOBODY, "", "../meta/epoch", "x" * 300])
def test_an_unknown_batch_is_not_found(queue: Queue, batch_id: str) -> None:
    """Whatever is asked for; an id of a task is none of a batch."""
    task_id = queue.enqueue_batch([new()]).record.task_ids[0]
    for asked in (batch_id, task_id):
        with pytest.raises(BatchNotFound) as caught:
            queue.batch(asked)
        assert (caught.value.status, caught.value.code) == (404, "BATCH_NOT_FOUND")


def test_the_same_key_is_the_same_batch(queue: Queue) -> None:
    """The same key with the same tasks and name returns the batch that is there; anything else is refused."""
    news = [new("a"), new("b")]
    first = queue.enqueue_batch(news, name="n", key="k")
    again = queue.enqueue_batch(news, name="n", key="k")
    assert (again.created, again.record) == (False, first.record)
    for asked in ({"name": "other"}, {}):
        with pytest.raises(IdempotencyConflict):
            queue.enqueue_batch(news, key="k", **asked)
    with pytest.raises(IdempotencyConflict):
        queue.enqueue_batch(news[:1], name="n", key="k")
    with pytest.raises(IdempotencyConflict):
        queue.enqueue_many(news, key="k")
    assert queue.counts().ready == 2


def test_a_key_brings_back_what_is_missing(candidate: Candidate, queue: Queue) -> None:
    """Its tasks were pruned, or a crash kept them from coming: the same key makes them under the same ids."""
    first = queue.enqueue_batch([new(), new()], key="k")
    queue.cancel(first.record.task_ids[0])
    candidate.clock.advance(1)
    queue.store.prune(candidate.clock.now())
    again = queue.enqueue_batch([new(), new()], key="k")
    assert (again.created, again.record.task_ids, again.missing) == (True, first.record.task_ids, 0)
    assert {queue.task(task_id).task.options.batch_id for task_id in again.record.task_ids} == {first.record.id}


REFUSED: dict[str, tuple[Any, str | None, str]] = {
    "none": ([], None, "tasks"),
    "too many": ([new()] * (MAX_BATCH_TASKS + 1), None, "tasks"),
    "one with a unique key": ([new(), new(options=Options(unique_key="u"))], None, "unique_key"),
    "one without a type": ([new(), new("")], None, "task_type"),
    "a name that is none": ([new()], "a\nb", "name"),
    "an empty name": ([new()], "", "name"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_breaks_a_rule_makes_nothing(queue: Queue, why: str) -> None:
    """The field is named, and no task is there."""
    news, name, field = REFUSED[why]
    with pytest.raises(InvalidRequest) as caught:
        queue.enqueue_batch(news, name=name, key="k")
    assert caught.value.details["field"] == field
    assert queue.counts().ready == 0
    assert queue.batches() == []


def test_one_that_is_too_large_stops_all(queue: Queue) -> None:
    """Nothing of the batch is there, and its key is free."""
    large = new()
    large.data["x"] = "y" * 2_000_000
    with pytest.raises(PayloadTooLarge):
        queue.enqueue_batch([new(), large], key="k")
    assert queue.counts().ready == 0
    assert queue.enqueue_batch([new()], key="k").created


@pytest.mark.slow
def test_a_full_batch_is_taken(queue: Queue) -> None:
    """The largest there may be."""
    batch = queue.enqueue_batch([new()] * MAX_BATCH_TASKS)
    assert counted(batch) == {State.READY: MAX_BATCH_TASKS}


def test_ids_of_batches_are_ids() -> None:
    """They look like any id, sort like that of their first task, and are another."""
    first = "01936f5e-0000-7000-8000-000000000001"
    assert batch_id_of(first) != first
    assert batch_id_of(first)[:24] == first[:24]
    assert len(batch_id_of(first)) == len(first)
    assert batch_id_of(first) != batch_id_of(first[:-1] + "2")
