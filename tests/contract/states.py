"""Bringing a task into a state, and seeing that it is there and nowhere else."""

from __future__ import annotations

from datetime import timedelta

from contract.candidates import Candidate
from taskspool.clock import IdMaker
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Lease, NewTask, State, Task
from taskspool.errors import TaskNotFound

NOBODY = "00000000-0000-7000-8000-000000000000"
STATES = tuple(State)


def new(kind: str = "ping", **fields: object) -> NewTask:
    return NewTask(kind, {}, **fields)  # type: ignore[arg-type]


def bring(candidate: Candidate, queue: Queue, state: State | None) -> Lease:
    """A task in ``state``, and the last lease it had (one that never was, if it had none)."""
    never = Lease(NOBODY, "w1", 1, "1-1-3c-1-00", 60, candidate.clock.now())
    if state is None:
        return never
    task_id = queue.enqueue(new(max_retries=1 if state is State.SCHEDULED else 0)).task_id
    if state is State.READY:
        return Lease(task_id, "w1", 1, never.token, 60, never.claimed_at)
    lease = queue.claim_one(task_id, "w1").lease
    if state is State.DONE:
        queue.complete(task_id, lease.token, {"n": 1})
    elif state is State.CANCELLED:
        queue.cancel(task_id)
        queue.release(task_id, lease.token)
    elif state is not State.CLAIMED:
        queue.fail(task_id, lease.token, Failure("no luck"))
    return lease


def state_of(queue: Queue, task_id: str) -> State | None:
    """Where the task is, and every way of looking agrees."""
    listed = [state for state in State if any(one.task.id == task_id for one in queue.listing(state, limit=1000))]
    try:
        found = queue.task(task_id).state
    except TaskNotFound:
        assert listed == []
        return None
    assert listed == [found]
    assert (queue.store.position(task_id) is not None) is (found is State.READY)
    assert (queue.lease_of(task_id) is not None) is (found is State.CLAIMED)
    assert (queue.store.result(task_id) is not None) is found.is_final
    return found


def everything(queue: Queue, task_id: str) -> tuple[object, ...]:
    """All that can be seen of the task and of the queue: equal before and after means nothing changed."""
    return queue.store.find(task_id), queue.store.result(task_id), queue.counts(), queue.leases(), \
        queue.latest_results(), queue.listing(limit=1000)


def plant(queue: Queue, candidate: Candidate, not_before_seconds: float) -> Task:
    """A task that waits for its time, put straight into the store."""
    task = Task(IdMaker()(), "ping", {}, "test", candidate.clock.now(),
                not_before=candidate.clock.now() + timedelta(seconds=not_before_seconds))
    queue.store.put([task], None)
    return task
