"""Pausing: nothing is handed out, everything else goes on, in every process and over a restart."""

from __future__ import annotations

import pytest

from contract.candidates import Candidate
from contract.states import new
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest, TaskNotClaimable


def types_of(queue: Queue, **asked: object) -> list[str]:
    return [claim.task.type for claim in queue.claim(max_tasks=10, **asked)]  # type: ignore[arg-type]


def test_a_paused_queue_hands_out_nothing_and_takes_everything(candidate: Candidate, queue: Queue) -> None:
    """Submits and finishes go on; another process, also one that starts later, knows of it; resume ends it."""
    held = queue.claim_one(queue.enqueue(new()).task_id, "w1").lease
    queue.pause(by="ann", reason="deploy")
    task_id = queue.enqueue(new()).task_id
    other = candidate.open()
    assert (types_of(queue), types_of(other)) == ([], [])
    with pytest.raises(TaskNotClaimable, match="the queue is paused"):
        other.claim_one(task_id)
    queue.complete(held.task_id, held.token, {})
    note = other.paused().queue
    assert note is not None
    assert (note.by, note.reason, note.at) == ("ann", "deploy", candidate.clock.now())
    other.resume()
    assert types_of(queue) == ["ping"]


def test_a_paused_type_is_passed_over(candidate: Candidate, queue: Queue) -> None:
    """Other types are handed out meanwhile, whether the worker names its types or not."""
    for kind in ("a", "b", "c"):
        queue.enqueue(new(kind))
    other = candidate.open()
    queue.pause(["a", "b"])
    assert types_of(other, types=["a", "b"]) == []
    with pytest.raises(TaskNotClaimable, match="the type 'a' is paused"):
        other.claim_one(queue.listing(types=["a"])[0].task.id)
    assert types_of(other) == ["c"]
    queue.resume(["b"])
    assert types_of(other) == ["b"]
    queue.resume(["a"])
    assert types_of(other) == ["a"]


def test_the_queue_and_its_types_are_paused_apart(queue: Queue) -> None:
    """Resuming the queue leaves the types that were paused by name, and the other way round."""
    queue.enqueue(new("a"))
    queue.pause()
    queue.pause(["a"])
    queue.resume()
    assert types_of(queue) == []
    queue.pause()
    queue.resume(["a"])
    assert types_of(queue) == []
    queue.resume()
    assert types_of(queue) == ["a"]


def test_a_paused_task_can_be_cancelled(queue: Queue) -> None:
    """Pausing keeps workers away, not people."""
    task_id = queue.enqueue(new()).task_id
    queue.pause()
    assert queue.cancel(task_id).state is State.CANCELLED
    queue.resume()


@pytest.mark.parametrize("types", [[], ["a\n"]])
def test_what_is_no_type_cannot_be_paused(queue: Queue, types: list[str]) -> None:
    """An empty list is a mistake, not everything."""
    with pytest.raises(InvalidRequest) as caught:
        queue.pause(types)
    assert caught.value.details["field"] == "types"
    assert queue.paused().types == {}
