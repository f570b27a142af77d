"""Every verb from every state: what left, what arrived, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from contract.candidates import BACKOFF_SECONDS, Candidate
from contract.states import STATES, bring, everything, new, plant, state_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import TRANSITIONS, Lease, Priority, State, Task
from taskspool.errors import (
    LeaseLost, NotRetryable, TaskCancelled, TaskFinished, TaskNotClaimable, TaskNotFound, TaskspoolError,
)

Act = Callable[[Candidate, Queue, Lease], object]
ELSEWHERE = {
    ("adopt", None, State.READY): "a door only the file store has: tests/engine/test_intake.py",
    ("enqueue", None, State.READY): "below, and test_keys.py",
    ("enqueue", None, State.SCHEDULED): "below",
    ("expire", State.CLAIMED, State.DEAD): "test_time.py",
    ("expire", State.CLAIMED, State.SCHEDULED): "test_deadlines.py",
    ("expire", State.READY, State.DEAD): "test_deadlines.py",
    ("expire", State.SCHEDULED, State.DEAD): "test_deadlines.py",
}


def fall_silent(candidate: Candidate, queue: Queue, lease: Lease) -> None:
    queue.sweep()
    candidate.clock.advance(60)
    queue.sweep()


def grow_due(candidate: Candidate, queue: Queue, lease: Lease) -> None:
    candidate.clock.advance(BACKOFF_SECONDS)
    queue.sweep()


def cancel_held(candidate: Candidate, queue: Queue, lease: Lease) -> None:
    queue.cancel(lease.task_id)
    queue.sweep()
    candidate.clock.advance(30)
    queue.sweep()


ACTS: dict[str, Act] = {
    "promote": grow_due,
    "promote, by a person": lambda candidate, queue, lease: queue.promote(lease.task_id),
    "revise": lambda candidate, queue, lease: queue.revise(lease.task_id, priority=Priority.HIGH, percent=5),
    "claim": lambda candidate, queue, lease: queue.claim_one(lease.task_id, "w2"),
    "extend": lambda candidate, queue, lease: queue.extend(lease.task_id, lease.token),
    "complete": lambda candidate, queue, lease: queue.complete(lease.task_id, lease.token, {"n": 2}),
    "fail": lambda candidate, queue, lease: queue.fail(lease.task_id, lease.token, Failure("no")),
    "fail, to be tried later": lambda candidate, queue, lease: queue.store.requeue(
        lease, Task(lease.task_id, "ping", {}, "test", candidate.clock.now(), attempts=1,
                    not_before=candidate.clock.now() + timedelta(seconds=BACKOFF_SECONDS))),
    "release": lambda candidate, queue, lease: queue.release(lease.task_id, lease.token),
    "release, later": lambda candidate, queue, lease: queue.release(
        lease.task_id, lease.token, delay_seconds=BACKOFF_SECONDS),
    "expire": fall_silent,
    "cancel": lambda candidate, queue, lease: queue.cancel(lease.task_id),
    "cancel, and its worker does not heed it": cancel_held,
    "cancel, at once": lambda candidate, queue, lease: queue.cancel(lease.task_id, at_once=True),
    "retry": lambda candidate, queue, lease: queue.retry(lease.task_id),
    "retry, without new attempts": lambda candidate, queue, lease: queue.retry(lease.task_id, keep_attempts=True),
    "prune": lambda candidate, queue, lease: queue.store.prune(candidate.clock.now() + timedelta(seconds=1)),
}
"""A verb, and after a comma the circumstance in which it makes one of its other moves."""

MOVES: list[tuple[str, State, State | None]] = [
    ("promote", State.SCHEDULED, State.READY),
    ("promote, by a person", State.SCHEDULED, State.READY),
    ("revise", State.SCHEDULED, State.SCHEDULED),
    ("revise", State.READY, State.READY),
    ("revise", State.CLAIMED, State.CLAIMED),
    ("claim", State.READY, State.CLAIMED),
    ("extend", State.CLAIMED, State.CLAIMED),
    ("complete", State.CLAIMED, State.DONE),
    ("fail", State.CLAIMED, State.DEAD),
    ("fail, to be tried later", State.CLAIMED, State.SCHEDULED),
    ("release", State.CLAIMED, State.READY),
    ("release, later", State.CLAIMED, State.SCHEDULED),
    ("expire", State.CLAIMED, State.READY),
    ("cancel", State.SCHEDULED, State.CANCELLED),
    ("cancel", State.READY, State.CANCELLED),
    ("cancel, and its worker does not heed it", State.CLAIMED, State.CANCELLED),
    ("cancel, at once", State.SCHEDULED, State.CANCELLED),
    ("cancel, at once", State.READY, State.CANCELLED),
    ("cancel, at once", State.CLAIMED, State.CANCELLED),
    ("retry", State.DEAD, State.READY),
    ("retry", State.CANCELLED, State.READY),
    ("retry, without new attempts", State.DEAD, State.READY),
    ("retry, without new attempts", State.CANCELLED, State.READY),
    ("prune", State.DONE, None),
    ("prune", State.DEAD, None),
    ("prune", State.CANCELLED, None),
]


def test_the_exam_makes_every_move_of_the_table() -> None:
    """A move added to TRANSITIONS must be added here, or say where else it is proved."""
    table = {(verb, source, target) for verb, moves in TRANSITIONS.items() for source, target in moves}
    made = {(verb.partition(",")[0], source, target) for verb, source, target in MOVES}
    assert made | ELSEWHERE.keys() == table
    assert not made & ELSEWHERE.keys()


@pytest.mark.parametrize(("verb", "source", "target"), MOVES)
def test_a_legal_move_leaves_one_state_and_arrives_in_the_other(
        candidate: Candidate, queue: Queue, verb: str, source: State, target: State | None) -> None:
    """After a legal verb the task is in the target state, in no other, and the counts say the same."""
    lease = bring(candidate, queue, source)
    assert state_of(queue, lease.task_id) is source
    ACTS[verb](candidate, queue, lease)
    assert state_of(queue, lease.task_id) is target
    counts = queue.counts()
    assert [counts.scheduled, counts.ready, counts.claimed, counts.done, counts.dead, counts.cancelled] == [
        int(target is state) for state in State]
    assert counts.results == int(target is not None and target.is_final)


REFUSALS: dict[str, type[TaskspoolError]] = {
    "claim": TaskNotClaimable, "cancel": TaskFinished, "retry": NotRetryable, "promote": NotRetryable,
    "revise": TaskFinished,
}


def refusal(verb: str, source: State | None) -> type[TaskspoolError] | None:
    """What a verb is answered from a state it may not start from. None: it finds nothing to do."""
    if verb in ("promote", "expire", "prune") or (verb.startswith("cancel") and source is State.CANCELLED):
        return None
    if source is None:
        return LeaseLost if verb.startswith("fail,") else TaskNotFound
    if verb in ("complete", "fail") and source is State.CANCELLED:
        return TaskCancelled
    return REFUSALS.get(verb.partition(",")[0], LeaseLost)


OTHER_WAYS = ("fail, to be tried later", "cancel, and its worker does not heed it")
REFUSED = [
    (verb, source) for verb in ACTS if verb not in OTHER_WAYS for source in (None, *STATES)
    if source not in {move[1] for move in MOVES if move[0] == verb}
    and not (verb in ("complete", "fail") and source in (State.DONE, State.DEAD))   # the holder's own replay
    and not (verb == "promote" and source is State.CLAIMED)
    and not (verb == "cancel" and source is State.CLAIMED)      # it is marked: test_cancel.py
]


@pytest.mark.parametrize(("verb", "source"), REFUSED)
def test_an_illegal_move_is_refused_and_changes_nothing(
        candidate: Candidate, queue: Queue, verb: str, source: State | None) -> None:
    """A verb from a state it may not start from raises its own error, and everything is as it was."""
    lease = bring(candidate, queue, source)
    before = everything(queue, lease.task_id)
    expected = refusal(verb, source)
    if expected is None:
        ACTS[verb](candidate, queue, lease)
    else:
        with pytest.raises(expected) as caught:
            ACTS[verb](candidate, queue, lease)
        assert type(caught.value) is expected
    assert everything(queue, lease.task_id) == before
    assert state_of(queue, lease.task_id) is source


def test_enqueue_brings_a_task_from_nowhere_to_ready(candidate: Candidate, queue: Queue) -> None:
    """What enqueue acknowledged is ready, with everything that was asked for."""
    enqueued = queue.enqueue(new("sum", requester="me", max_retries=3))
    assert enqueued.created
    snapshot = queue.task(enqueued.task_id)
    assert state_of(queue, enqueued.task_id) is State.READY
    assert (snapshot.task.type, snapshot.task.requester, snapshot.task.max_retries) == ("sum", "me", 3)
    assert snapshot.task.created_at == candidate.clock.now()


def test_a_task_with_a_time_is_put_into_scheduled(candidate: Candidate, queue: Queue) -> None:
    """``put`` with ``not_before`` leads to scheduled, and the task is not handed out."""
    task = plant(queue, candidate, 30)
    assert state_of(queue, task.id) is State.SCHEDULED
    assert queue.claim() == []
    candidate.clock.advance(30)
    assert queue.sweep().promoted == 1
    assert [claim.task.id for claim in queue.claim()] == [task.id]
