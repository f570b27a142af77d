"""News of other processes come by way of the index, and may come late: the folder decides."""

from __future__ import annotations

from collections.abc import Callable

from fake_clock import FakeClock
from taskspool.engine.events import Change
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, State


def test_late_news_of_a_claim_takes_no_waiting_task_out_of_the_line(
        opener: Callable[..., Queue], clock: FakeClock) -> None:
    """Another process told, after the task was back, that it had been claimed: it is handed out all the same."""
    here, there = opener(), opener()
    task_id = here.enqueue(NewTask("ping", {})).task_id
    assert here.store._recorder.flush()
    for _ in range(3):  # until it is sure that no name has come: then the folder is not looked at again
        clock.advance(5)
        here.sweep()
    recorder = there.store._recorder
    recorder.note(Change("claim", task_id, State.CLAIMED, clock.now(), worker="w", attempt=1))
    assert recorder.flush()
    here.sweep()
    assert [claim.task.id for claim in here.claim("w")] == [task_id]


def test_news_of_a_claim_takes_the_task_out_of_the_line(opener: Callable[..., Queue]) -> None:
    """So that nobody tries in vain what another process has taken."""
    here, there = opener(), opener()
    task_id = here.enqueue(NewTask("ping", {})).task_id
    here.sweep()
    there.claim_one(task_id, "w")
    assert there.store._recorder.flush()
    assert here.store.position(task_id) == 1
    here.sweep()
    assert here.store.position(task_id) is None


def test_a_result_that_another_process_replaced_is_counted_as_what_it_is(opener: Callable[..., Queue]) -> None:
    """Dead here, retried and cancelled there: both count the same."""
    here, there = opener(), opener()
    task_id = here.enqueue(NewTask("ping", {})).task_id
    lease = here.claim_one(task_id, "w").lease
    here.fail(task_id, lease.token, Failure("no luck"))
    assert here.store._recorder.flush()
    here.sweep()
    there.retry(task_id)
    there.cancel(task_id)
    assert there.store._recorder.flush()
    here.sweep()
    counts = here.counts()
    assert (counts.dead, counts.cancelled) == (0, 1)
