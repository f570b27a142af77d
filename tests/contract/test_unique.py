"""Unique keys: at most one unfinished task has one, whoever asks, how often, and from which process."""

from __future__ import annotations

import threading

import pytest

from contract.candidates import Candidate
from contract.states import new, state_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask, State
from taskspool.errors import DuplicateTask, InvalidRequest

CALLERS = 8


def unique(on_conflict: str = "existing", key: str = "report", **fields: object) -> NewTask:
    return new(options=Options(unique_key=key), on_conflict=on_conflict, **fields)


def test_the_existing_task_is_returned(queue: Queue) -> None:
    """By default a second submit with the key of an unfinished task creates nothing and names that task."""
    first = queue.enqueue(unique())
    assert first.created
    again = queue.enqueue(unique())
    assert (again.task_id, again.created) == (first.task_id, False)
    assert len(queue.listing(limit=10)) == 1


def test_the_second_is_rejected_when_that_was_asked_for(queue: Queue) -> None:
    """The refusal names the task that has the key, and its state."""
    first = queue.enqueue(unique()).task_id
    with pytest.raises(DuplicateTask) as caught:
        queue.enqueue(unique("reject"))
    assert (caught.value.details["task_id"], caught.value.details["state"]) == (first, "ready")
    assert len(queue.listing(limit=10)) == 1


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_a_waiting_task_makes_room(queue: Queue, delay: float) -> None:
    """replace cancels the one that waits, ready or scheduled, and says by which task it was replaced."""
    first = queue.enqueue(unique(delay_seconds=delay)).task_id
    second = queue.enqueue(unique("replace")).task_id
    assert [state_of(queue, task_id) for task_id in (first, second)] == [State.CANCELLED, State.READY]
    assert second in str(queue.result(first).error_message)


def test_a_running_task_is_not_replaced(queue: Queue) -> None:
    """What is worked on keeps its key."""
    lease = queue.claim_one(queue.enqueue(unique()).task_id, "w1").lease
    with pytest.raises(DuplicateTask):
        queue.enqueue(unique("replace"))
    assert state_of(queue, lease.task_id) is State.CLAIMED


@pytest.mark.parametrize("end", ["complete", "fail", "cancel"])
def test_a_finished_task_frees_its_key(queue: Queue, end: str) -> None:
    """After any end the key makes a new task."""
    lease = queue.claim_one(queue.enqueue(unique()).task_id, "w1").lease
    if end == "complete":
        queue.complete(lease.task_id, lease.token, {})
    elif end == "fail":
        queue.fail(lease.task_id, lease.token, Failure("no luck"))
    else:
        queue.cancel(lease.task_id)
        queue.release(lease.task_id, lease.token)
    assert queue.enqueue(unique("reject")).created


def test_a_retry_needs_its_key_back(queue: Queue) -> None:
    """A dead task is not retried while another has its key."""
    lease = queue.claim_one(queue.enqueue(unique()).task_id, "w1").lease
    queue.fail(lease.task_id, lease.token, Failure("no luck"))
    other = queue.enqueue(unique()).task_id
    with pytest.raises(DuplicateTask) as caught:
        queue.retry(lease.task_id)
    assert caught.value.details["task_id"] == other
    assert state_of(queue, lease.task_id) is State.DEAD
    queue.cancel(other)
    assert queue.retry(lease.task_id).state is State.READY
    with pytest.raises(DuplicateTask):
        queue.enqueue(unique("reject"))


def test_other_keys_and_no_keys_are_not_in_the_way(queue: Queue) -> None:
    """Only the same key is the same."""
    made = [queue.enqueue(unique()), queue.enqueue(unique(key="other")), queue.enqueue(new())]
    assert [one.created for one in made] == [True, True, True]


def test_an_idempotency_key_remembers_the_task_it_was_given(queue: Queue) -> None:
    """The same Idempotency-Key names the same task also when that was another one's, and after that has ended."""
    first = queue.enqueue(unique()).task_id
    assert queue.enqueue(unique(), key="k1").task_id == first
    lease = queue.claim_one(first, "w1").lease
    queue.complete(first, lease.token, {})
    again = queue.enqueue(unique(), key="k1")
    assert (again.task_id, again.created) == (first, False)


def test_a_batch_has_no_unique_keys(queue: Queue) -> None:
    """All or none and one of each cannot both be promised: the refusal names the field."""
    with pytest.raises(InvalidRequest) as caught:
        queue.enqueue_many([new(), unique()])
    assert caught.value.details["field"] == "unique_key"
    assert queue.counts().ready == 0


def test_callers_at_once_in_two_processes_make_one_task(candidate: Candidate, queue: Queue) -> None:
    """Whoever is first creates it; all are told its id."""
    queues = [queue, candidate.open()]
    start = threading.Barrier(CALLERS)
    made: list[tuple[str, bool]] = []

    def submit(number: int) -> None:
        start.wait()
        one = queues[number % 2].enqueue(unique())
        made.append((one.task_id, one.created))

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({task_id for task_id, _ in made}) == 1
    assert sorted(created for _, created in made) == [False] * (CALLERS - 1) + [True]
