"""One verb for many tasks: those that fit the filter, oldest first, and no other."""

from __future__ import annotations

import pytest

from contract.candidates import Candidate
from contract.states import new, state_of
from taskspool.engine.index_query import Filter
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest


def dead(queue: Queue, kind: str = "ping") -> str:
    lease = queue.claim_one(queue.enqueue(new(kind)).task_id, "w1").lease
    queue.fail(lease.task_id, lease.token, Failure("no luck"))
    return lease.task_id


def test_the_dead_of_a_type_are_retried_oldest_first(candidate: Candidate, queue: Queue) -> None:
    """Up to the limit; how many are left is told; other types and what is done stay."""
    ids = []
    for _ in range(3):
        ids.append(dead(queue, "a"))
        candidate.clock.advance(1)
    other = dead(queue, "b")
    many = queue.retry_many(Filter(types=frozenset({"a"})), by="ann", limit=2)
    assert (many.ids, many.refused, many.left) == (tuple(ids[:2]), {}, 1)
    assert [state_of(queue, task_id) for task_id in [*ids, other]] == [
        State.READY, State.READY, State.DEAD, State.DEAD]


def test_a_group_is_cancelled_whatever_its_tasks_do(queue: Queue) -> None:
    """Scheduled and ready ones end at once, running ones are told."""
    options = Options(group="kb-7")
    ids = [queue.enqueue(new(options=options, delay_seconds=delay)).task_id for delay in (0.0, 60.0, 0.0)]
    held = queue.claim_one(ids[2], "w1").lease
    apart = queue.enqueue(new()).task_id
    many = queue.cancel_many(Filter(group="kb-7"), by="ann")
    assert set(many.ids) == set(ids)
    queue.release(held.task_id, held.token)
    assert [state_of(queue, task_id) for task_id in [*ids, apart]] == [State.CANCELLED] * 3 + [State.READY]


def test_one_that_cannot_be_retried_does_not_keep_the_others(queue: Queue) -> None:
    """It is told with the code of its error."""
    options = Options(unique_key="one")
    lease = queue.claim_one(queue.enqueue(new(options=options)).task_id, "w1").lease
    queue.fail(lease.task_id, lease.token, Failure("no luck"))
    queue.enqueue(new(options=options))
    fine = dead(queue)
    many = queue.retry_many(Filter())
    assert (many.ids, many.refused) == ((fine,), {lease.task_id: "DUPLICATE_TASK"})


@pytest.mark.parametrize("limit", [0, 1001])
def test_the_limit_has_bounds(queue: Queue, limit: int) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidRequest) as caught:
        queue.cancel_many(Filter(), limit=limit)
    assert caught.value.details["field"] == "limit"


def test_a_state_the_verb_does_not_start_from_is_refused(queue: Queue) -> None:
    """Asking to retry what is done is a mistake, not an empty answer."""
    with pytest.raises(InvalidRequest) as caught:
        queue.retry_many(Filter(states=frozenset({State.DONE})))
    assert caught.value.details["field"] == "state"
