"""What people do from outside: promote, revise, retry without new attempts, cancel at once; and the place in line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from contract.candidates import Candidate
from contract.states import bring, new, state_of
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import Lease, NewTask, Priority, State
from taskspool.errors import InvalidRequest, LeaseLost, TaskCancelled, TaskFinished
from waiting import eventually


def put(candidate: Candidate, queue: Queue, count: int, **fields: object) -> list[str]:
    """So many tasks, a second between them."""
    ids = []
    for _ in range(count):
        candidate.clock.advance(1)
        ids.append(queue.enqueue(new(**fields)).task_id)
    candidate.clock.advance(1)
    return ids


def line(queue: Queue, ids: list[str]) -> list[str]:
    """``ids`` in the order in which they are claimed, as the positions tell it."""
    places = {task_id: queue.store.position(task_id) or 0 for task_id in ids}
    assert sorted(places.values()) == list(range(1, len(ids) + 1))
    return sorted(ids, key=lambda task_id: places[task_id])


def in_every_process(candidate: Candidate, queue: Queue, other: Queue, wanted: list[str]) -> None:
    """``wanted`` is the order of claiming for who did it, for a process that hears of it, and after a restart."""
    assert line(queue, wanted) == wanted
    eventually(lambda: other.sweep() and line(other, wanted) == wanted, why="another process hears of it")
    queue.store.index.last_event_id()
    fresh = candidate.open()
    assert line(fresh, wanted) == wanted
    assert [one.task.id for one in fresh.listing(limit=99)] == wanted
    page = fresh.store.index.listing(sort="-priority", limit=99)
    assert [one.task.id for one in page.items if one.state is State.READY] == wanted
    assert [claim.task.id for claim in fresh.claim("w", max_tasks=99)] == wanted


def dead(queue: Queue, task_id: str) -> str:
    lease = queue.claim_one(task_id, "w").lease
    queue.fail(task_id, lease.token, Failure("no", retryable=False))
    return task_id


# -- the place in line -----------------------------------------------------------------------------------------------


def test_a_retried_task_is_the_last_of_its_priority(candidate: Candidate, queue: Queue) -> None:
    """Behind those that wait already, before a lower priority, and before what comes later; after a restart too."""
    ids, other = put(candidate, queue, 4), candidate.open()
    low = queue.enqueue(new(priority=Priority.LOW)).task_id
    queue.retry(dead(queue, ids[0]))
    queue.cancel(ids[1])
    candidate.clock.advance(1)
    queue.retry(ids[1])
    late = put(candidate, queue, 1)
    in_every_process(candidate, queue, other, [ids[2], ids[3], ids[0], ids[1], *late, low])


def test_a_promoted_task_is_the_last_of_its_priority(candidate: Candidate, queue: Queue) -> None:
    """Whoever waits already was there before it; one whose time comes by itself keeps the place of its creation."""
    [by_hand, by_clock] = put(candidate, queue, 2, delay_seconds=60.0)
    ids, other = put(candidate, queue, 2), candidate.open()
    queue.promote(by_hand)
    late = put(candidate, queue, 1)
    candidate.clock.advance(60)
    queue.sweep()
    in_every_process(candidate, queue, other, [by_clock, *ids, by_hand, *late])


def test_a_revised_priority_moves_the_task_among_its_like(candidate: Candidate, queue: Queue) -> None:
    """It stands among those of its new priority as it stood before: by when each came."""
    ids, other = put(candidate, queue, 5), candidate.open()
    queue.revise(ids[3], priority=Priority.HIGH)
    queue.revise(ids[1], priority=Priority.HIGH)
    queue.revise(ids[0], priority=Priority.LOW)
    in_every_process(candidate, queue, other, [ids[1], ids[3], ids[2], ids[4], ids[0]])


def test_a_revision_of_anything_else_keeps_the_place(candidate: Candidate, queue: Queue) -> None:
    """First come, first served inside a priority, however often it is touched."""
    ids, other = put(candidate, queue, 3), candidate.open()
    queue.revise(ids[1], percent=50, message="half", max_retries=4)
    queue.revise(ids[0], options={"tags": ("a",)})
    queue.revise(ids[0], priority=Priority.NORMAL)
    in_every_process(candidate, queue, other, ids)


def test_a_priority_given_while_it_waits_for_its_time_counts_when_that_comes(
        candidate: Candidate, queue: Queue) -> None:
    """Also one that was given while it was claimed, for its next attempt."""
    [later] = put(candidate, queue, 1, delay_seconds=60.0)
    [first, held, last] = put(candidate, queue, 3)
    lease = queue.claim_one(held, "w").lease
    queue.revise(later, priority=Priority.CRITICAL)
    queue.revise(held, priority=Priority.HIGH)
    queue.release(held, lease.token)
    candidate.clock.advance(60)
    queue.sweep()
    assert line(queue, [first, held, last, later]) == [later, held, first, last]


def test_the_place_is_kept_while_the_clock_is_set_back(candidate: Candidate, queue: Queue) -> None:
    """A revision reads no clock to find its place."""
    ids = put(candidate, queue, 3)
    candidate.clock.jump(-3600)
    queue.revise(ids[0], percent=1)
    assert line(queue, ids) == ids


# -- promote ---------------------------------------------------------------------------------------------------------


def test_a_promoted_task_is_ready_at_once_and_says_who_did_it(candidate: Candidate, queue: Queue) -> None:
    """Its story tells it, its wait is gone, and its attempts are as before."""
    [task_id] = put(candidate, queue, 1, delay_seconds=3600.0)
    task = queue.promote(task_id, by="ann", reason="now").task
    assert (task.not_before, task.delay_seconds, task.attempts) == (None, None, 0)
    told = [(step.verb, step.state, step.worker, step.reason) for step in queue.story(task_id)]
    assert told == [("enqueue", State.SCHEDULED, "http-client", None), ("promote", State.READY, "ann", "now")]
    assert queue.sweep().promoted == 0
    assert [claim.task.id for claim in candidate.open().claim("w")] == [task_id]


@pytest.mark.parametrize(("uses", "failures_left"), [(False, 2), (True, 1)])
def test_a_promotion_may_use_up_an_attempt(candidate: Candidate, queue: Queue, uses: bool, failures_left: int) -> None:
    """``uses_attempt``: one retry less is left; else the attempts are as they were."""
    task_id = queue.enqueue(new(max_retries=2)).task_id
    lease = queue.claim_one(task_id, "w").lease
    queue.fail(task_id, lease.token, Failure("no"))
    queue.promote(task_id, uses_attempt=uses)
    failures = 0
    while queue.task(task_id).state is not State.DEAD:
        lease = queue.claim_one(task_id, "w").lease
        queue.fail(task_id, lease.token, Failure("no", retry_after_seconds=1))
        failures += 1
        candidate.clock.advance(1)
        queue.sweep()
    assert failures == failures_left


# -- retry -----------------------------------------------------------------------------------------------------------


def test_a_retry_may_keep_the_attempts_that_are_used(candidate: Candidate, queue: Queue) -> None:
    """Its next failure is final, if no retry was left; crashes are forgiven."""
    task_id = queue.enqueue(new(max_retries=0)).task_id
    candidate.open(max_crashes=1).claim_one(task_id, "w", lease_seconds=5)
    queue.sweep()
    candidate.clock.advance(6)
    queue.sweep()
    lease = queue.claim_one(task_id, "w").lease
    queue.fail(task_id, lease.token, Failure("no"))
    task = queue.retry(task_id, keep_attempts=True).task
    assert (task.attempts, task.crashes, task.next_attempt) == (1, 0, 2)
    assert queue.fail(task_id, queue.claim_one(task_id, "w").lease.token, Failure("no")).state is State.DEAD
    assert queue.retry(task_id).task.attempts == 0


# -- revise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.SCHEDULED, State.READY, State.CLAIMED])
def test_what_is_revised_is_there_for_everybody_and_the_rest_as_before(
        candidate: Candidate, queue: Queue, state: State) -> None:
    """The task stays where it is; its history says what changed, and who did it."""
    lease = bring(candidate, queue, state)
    before = queue.task(lease.task_id).task
    queue.revise(lease.task_id, priority=Priority.HIGH, percent=12, message="so far", max_retries=9,
                 options={"group": "g", "timeout_seconds": 60.0}, by="ann")
    task = candidate.open().task(lease.task_id).task
    assert state_of(queue, lease.task_id) is state
    assert (task.priority, task.max_retries) == (Priority.HIGH, 9)
    assert task.options == Options(group="g", timeout_seconds=60.0)
    assert task.progress is not None
    assert (task.progress.percent, task.progress.message, task.progress.by) == (12, "so far", "ann")
    assert (task.data, task.created_at, task.not_before, task.attempts) == \
        (before.data, before.created_at, before.not_before, before.attempts)
    [*_, step] = task.history
    assert (step.verb, step.worker, step.state) == ("revise", "ann", state)
    assert step.reason == f"priority normal to high, retries {before.max_retries} to 9, group, timeout_seconds"


def test_progress_told_from_outside_lasts_until_the_worker_tells_its_own(candidate: Candidate, queue: Queue) -> None:
    """Through the claim, too; a percentage alone keeps the message; nothing of it fills the history."""
    task_id = queue.enqueue(new()).task_id
    queue.revise(task_id, percent=10, message="begun")
    queue.revise(task_id, percent=20)
    claim = queue.claim_one(task_id, "w")
    assert claim.task.progress is not None
    assert (claim.task.progress.percent, claim.task.progress.message) == (20, "begun")
    assert claim.task.history == ()
    queue.extend(task_id, claim.lease.token, percent=30)
    told = queue.task(task_id).task.progress
    assert told is not None
    assert (told.percent, told.message, told.by) == (30, None, None)


def test_a_revision_of_what_is_claimed_is_a_sign_of_life(candidate: Candidate, queue: Queue) -> None:
    """Its lease starts anew, though nobody showed a token; without one it runs out as ever."""
    task_id = queue.enqueue(new()).task_id
    queue.claim_one(task_id, "w", lease_seconds=60)
    for _ in range(3):
        queue.sweep()
        candidate.clock.advance(40)
        queue.revise(task_id, percent=5)
    queue.sweep()
    assert state_of(queue, task_id) is State.CLAIMED
    candidate.clock.advance(60)
    queue.sweep()
    assert state_of(queue, task_id) is State.READY


def test_a_deadline_may_be_given_and_taken_back(candidate: Candidate, queue: Queue) -> None:
    """``start_before`` counts from the revision on; taken back, the task waits on; in every process."""
    ids, other = put(candidate, queue, 2), candidate.open()
    soon = candidate.clock.now() + timedelta(seconds=10)
    for task_id in ids:
        queue.revise(task_id, options={"start_before": soon})
    queue.revise(ids[0], options={"start_before": None})
    candidate.clock.advance(20)
    for one in (queue, other):
        one.sweep()
    assert [state_of(queue, task_id) for task_id in ids] == [State.READY, State.DEAD]
    assert [claim.task.id for claim in other.claim("w", max_tasks=9)] == [ids[0]]


WRONG = {
    "progress": {"percent": 101}, "max_retries": {"max_retries": -1}, "by": {"by": ""},
    "options.unique_key": {"options": {"unique_key": "u"}}, "options.color": {"options": {"color": "red"}},
    "timeout": {"options": {"timeout_seconds": -1.0}}, "group": {"options": {"group": ""}},
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_revision_is_refused_and_changes_nothing(candidate: Candidate, queue: Queue, field: str) -> None:
    """The error names the field; the task is as it was."""
    task_id = queue.enqueue(new()).task_id
    before = queue.task(task_id)
    with pytest.raises(InvalidRequest) as caught:
        queue.revise(task_id, **WRONG[field])
    assert caught.value.details["field"] == field
    assert queue.task(task_id) == before


# -- cancel at once --------------------------------------------------------------------------------------------------


def held(queue: Queue, lease_seconds: int) -> Lease:
    return queue.claim_one(queue.enqueue(new(max_retries=3)).task_id, "w", lease_seconds=lease_seconds).lease


@pytest.mark.parametrize("lease_seconds", [0, 60])
@pytest.mark.parametrize("is_asked_before", [False, True])
def test_a_cancel_at_once_ends_the_task_whoever_holds_it(
        candidate: Candidate, queue: Queue, lease_seconds: int, is_asked_before: bool) -> None:
    """A lease or this very process; also when somebody asked for it before. Nothing the holder does is accepted."""
    lease = held(candidate.open(), lease_seconds)
    if is_asked_before:
        queue.cancel(lease.task_id, by="bob")
    assert queue.cancel(lease.task_id, by="ann", reason="enough", at_once=True).state is State.CANCELLED
    assert state_of(queue, lease.task_id) is State.CANCELLED
    result = queue.result(lease.task_id)
    assert (result.status, result.error_message, result.worker) == ("cancelled", "cancelled by ann: enough", "w")
    holder = candidate.open()
    for verb, error in ((holder.extend, LeaseLost), (holder.release, LeaseLost)):
        with pytest.raises(error):
            verb(lease.task_id, lease.token)
    with pytest.raises(TaskCancelled):
        holder.complete(lease.task_id, lease.token, {})
    with pytest.raises(TaskCancelled):
        holder.fail(lease.task_id, lease.token, Failure("no"))
    assert queue.claim("w") == []
    assert queue.cancel_request(lease.task_id) is None


def test_a_cancel_at_once_of_what_has_ended_changes_nothing(candidate: Candidate, queue: Queue) -> None:
    """Cancelled stays as it is, the first word counts; done is refused."""
    lease = held(queue, 60)
    queue.cancel(lease.task_id, by="ann", at_once=True)
    assert queue.cancel(lease.task_id, by="bob", at_once=True).state is State.CANCELLED
    assert queue.result(lease.task_id).error_message == "cancelled by ann"
    other = held(queue, 60)
    queue.complete(other.task_id, other.token, {})
    with pytest.raises(TaskFinished):
        queue.cancel(other.task_id, at_once=True)


# -- crashes that count ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("retries", "crashes"), [(0, 1), (2, 3), (5, 6)])
def test_crashes_may_use_up_retries(candidate: Candidate, retries: int, crashes: int) -> None:
    """``crashes_count``: dead after one run more than its retries, whatever the limit of crashes of the queue."""
    queue = candidate.open(max_crashes=3)
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=retries, options=Options(crashes_count=True))).task_id
    runs = 0
    while queue.task(task_id).state is not State.DEAD:
        queue.claim_one(task_id, "w", lease_seconds=5)
        runs += 1
        queue.sweep()
        candidate.clock.advance(6)
        queue.sweep()
    assert runs == crashes
    assert queue.result(task_id).status == "error"
