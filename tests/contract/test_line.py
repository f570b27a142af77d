"""Which task comes next, who may have it, and what looking says."""

from __future__ import annotations

from collections import Counter

import pytest

from contract.candidates import Candidate
from contract.states import bring, new, state_of
from contract.threads import together
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Priority, State
from taskspool.errors import InvalidRequest, TaskNotClaimable


def put(queue: Queue, *kinds: str, priority: Priority = Priority.NORMAL) -> list[str]:
    return [queue.enqueue(new(kind, priority=priority)).task_id for kind in kinds]


def taken(queue: Queue, **asked: object) -> list[str]:
    return [claim.task.id for claim in queue.claim("w", **asked)]  # type: ignore[arg-type]


def test_higher_priority_first_then_first_come_first_served(candidate: Candidate, queue: Queue) -> None:
    """Priorities are strict, and inside a level the order is the order of arrival."""
    levels = [Priority.LOW, Priority.HIGH, Priority.NORMAL, Priority.CRITICAL, Priority.HIGH, Priority.LOW]
    came = []
    for level in levels * 3:
        came.append((level, put(queue, "ping", priority=level)[0]))
        candidate.clock.advance(0.001)
    expected = [task_id for level in sorted(Priority, reverse=True) for came_as, task_id in came if came_as is level]
    assert [one.task.id for one in queue.listing(limit=100)] == expected
    assert [one.task.id for one in queue.listing(limit=4, oldest=True)] == [task_id for _, task_id in came[:4]]
    assert [queue.store.position(task_id) for task_id in expected] == list(range(1, 19))
    assert taken(queue, max_tasks=5) == expected[:5]
    assert [taken(queue)[0] for _ in range(13)] == expected[5:]
    assert taken(queue) == []


def test_the_order_holds_while_the_clock_stands_still(candidate: Candidate, queue: Queue) -> None:
    """Tasks of one instant come in the order they were put, and their positions say so."""
    ids = put(queue, *["ping"] * 20)
    ids += [one.task_id for one in queue.enqueue_many([new()] * 5)]
    assert [queue.store.position(task_id) for task_id in ids] == list(range(1, 26))
    assert taken(queue, max_tasks=25) == ids


def test_a_place_in_the_middle_of_the_line_is_the_order_of_claiming(candidate: Candidate, queue: Queue) -> None:
    """After puts, takes, revised priorities and retries of two processes, each of them tells every place right."""
    other = candidate.open()
    ids = put(queue, *["ping"] * 6) + put(other, *["ping"] * 6, priority=Priority.HIGH)
    for number in range(12):
        mine = (queue, other)[number % 2]
        for one in (queue, other):
            candidate.clock.advance(3)
            one.sweep()
            wanted = [snapshot.task.id for snapshot in one.listing(limit=100)]
            assert [one.store.position(task_id) for task_id in wanted] == list(range(1, len(wanted) + 1))
            assert len(wanted) == 12
        claim = mine.claim("w")[0]
        mine.fail(claim.task.id, claim.lease.token, Failure("no luck", retryable=False))
        mine.retry(claim.task.id)
        mine.revise(ids[number], priority=(Priority.CRITICAL, Priority.LOW)[number % 2])


def test_a_task_that_comes_back_keeps_its_place(candidate: Candidate, queue: Queue) -> None:
    """Released, it is in front of those that came after it."""
    first, second = put(queue, "ping", "ping")
    claim = queue.claim("w")[0]
    queue.release(first, claim.lease.token)
    assert taken(queue, max_tasks=2) == [first, second]


def test_only_the_types_that_were_asked_for(candidate: Candidate, queue: Queue) -> None:
    """A worker is never handed a type it did not name; no types at all means none."""
    a1, b1, a2, c1 = put(queue, "a", "b", "a", "c")
    assert taken(queue, types=["nothing"]) == []
    assert taken(queue, types=[], max_tasks=9) == []
    assert taken(queue, types=["c", "b"], max_tasks=9) == [b1, c1]
    assert taken(queue, types=["a"]) == [a1]
    assert taken(queue) == [a2]


def test_a_claim_names_the_exact_task(candidate: Candidate, queue: Queue) -> None:
    """claim_one takes the one it was asked for, out of turn, and only once."""
    first, second, third = put(queue, "ping", "ping", "ping")
    assert queue.claim_one(second, "w").task.id == second
    with pytest.raises(TaskNotClaimable) as caught:
        queue.claim_one(second, "w")
    assert caught.value.details["state"] == "claimed"
    assert taken(queue, max_tasks=9) == [first, third]


def test_each_task_is_handed_out_once(candidate: Candidate, queue: Queue) -> None:
    """Eight threads over two processes share 200 tasks without one task going to two."""
    other = candidate.open()
    ids = put(queue, *["ping"] * 200)
    other.sweep()
    handed = together(8, lambda number: [
        task_id for _ in range(60) for task_id in taken((queue, other)[number % 2], max_tasks=1 + number % 3)])
    counted = Counter(task_id for one in handed for task_id in one)
    assert counted == Counter(ids)


def test_one_exact_task_has_one_winner(candidate: Candidate, queue: Queue) -> None:
    """Of eight who ask for the same id at once, one gets it, the others TaskNotClaimable."""
    for _ in range(5):
        task_id = put(queue, "ping")[0]

        def ask(number: int, task_id: str = task_id) -> bool:
            try:
                return queue.claim_one(task_id, f"w{number}").task.id == task_id
            except TaskNotClaimable:
                return False

        assert sum(together(8, ask)) == 1


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 129, "\ud800", 7])
def test_a_name_that_is_none_is_refused_and_takes_nothing(candidate: Candidate, queue: Queue, name: str) -> None:
    """A bad worker name is InvalidRequest, and the task stays the next in line."""
    task_id = put(queue, "ping")[0]
    for _ in range(3):
        with pytest.raises(InvalidRequest):
            queue.claim(name)
        with pytest.raises(InvalidRequest):
            queue.claim_one(task_id, name)
    assert taken(queue) == [task_id]


@pytest.mark.parametrize("name", [
    "봇-7", "CON", "..", "a/b\\c", "a:b*c?", "%41", ".hidden.", "x" * 128, "김" * 128, " a "])
def test_any_name_a_person_may_have_works_or_is_refused_without_harm(
        candidate: Candidate, queue: Queue, name: str) -> None:
    """The name comes back as it was given, or is refused and the task is still the next in line."""
    task_id = put(queue, "ping")[0]
    for _ in range(3):  # nothing will make the store look at its folder anew: what drops out of line stays out
        candidate.clock.advance(3)
        queue.sweep()
    try:
        claim = queue.claim(name)[0]
    except InvalidRequest:
        assert len(name) > 100
        assert taken(queue) == [task_id]
        return
    assert candidate.open().lease_of(task_id) == claim.lease
    assert queue.task(task_id).worker == name
    assert queue.complete(task_id, claim.lease.token, {}).worker == name


def test_counts_are_true(candidate: Candidate, queue: Queue) -> None:
    """Every state is counted, by priority too, with the mean time from claim to completion."""
    put(queue, "ping", priority=Priority.HIGH)
    put(queue, "ping", "ping", priority=Priority.LOW)
    for state in (State.SCHEDULED, State.CLAIMED, State.DEAD):
        bring(candidate, queue, state)
    for seconds in (2, 4):
        lease = queue.claim_one(put(queue, "ping")[0], "w").lease
        candidate.clock.advance(seconds)
        queue.complete(lease.task_id, lease.token, {})
    for counts in (queue.counts(), candidate.open().counts()):
        assert (counts.scheduled, counts.ready, counts.claimed, counts.done, counts.dead) == (1, 3, 1, 2, 1)
        assert (counts.results, counts.cancelled, counts.quarantined) == (3, 0, 0)
        assert counts.ready_by_priority == {
            Priority.CRITICAL: 0, Priority.HIGH: 1, Priority.NORMAL: 0, Priority.LOW: 2}
        assert counts.mean_duration_seconds == pytest.approx(2.0, abs=0.01)


def test_listing_and_latest_results_are_in_order(candidate: Candidate, queue: Queue) -> None:
    """Results newest first, finished tasks newest last, leases longest held first; types and limit hold."""
    ids = put(queue, "a", "b", "a", "b", "a")
    for task_id in reversed(ids[1:]):
        candidate.clock.advance(1)
        lease = queue.claim_one(task_id, "w").lease
        if task_id != ids[1]:
            queue.complete(task_id, lease.token, {})
    candidate.clock.advance(1)
    queue.claim_one(ids[0], "w2")
    assert [result.task_id for result in queue.latest_results(2)] == [ids[2], ids[3]]
    assert [result.task_id for result in candidate.open().latest_results(9)] == [ids[2], ids[3], ids[4]]
    assert [one.task.id for one in queue.listing(State.DONE, limit=2)] == ids[3:]
    assert [one.task.id for one in queue.listing(State.DONE, types=["a"], limit=9)] == [ids[2], ids[4]]
    assert [one.task.id for one in queue.listing(State.DONE, types=["a"], limit=1)] == [ids[4]]
    assert [one.task.id for one in queue.listing(State.CLAIMED, types=["b"])] == [ids[1]]
    assert [lease.task_id for _, lease in queue.leases()] == [ids[1], ids[0]]


def test_prune_removes_only_what_was_finished_before(candidate: Candidate, queue: Queue) -> None:
    """Finished tasks older than the instant are gone with their results; everything else is untouched."""
    old = [bring(candidate, queue, state).task_id for state in (State.DONE, State.DEAD)]
    candidate.clock.advance(10)
    instant = candidate.clock.now()
    kept = {state: bring(candidate, queue, state).task_id
            for state in (State.SCHEDULED, State.READY, State.CLAIMED, State.DONE, State.DEAD)}
    assert queue.store.prune(instant) == 2
    assert queue.store.prune(instant) == 0
    assert [state_of(queue, task_id) for task_id in old] == [None, None]
    assert {state: state_of(queue, task_id) for state, task_id in kept.items()} == {state: state for state in kept}


def test_what_was_found_is_the_whole_task(candidate: Candidate, queue: Queue) -> None:
    """A task read by another process is the same value, through every state."""
    task_id = queue.enqueue(new("ping", max_retries=2, priority=Priority.HIGH, requester="나")).task_id
    other = candidate.open()
    assert other.task(task_id) == queue.task(task_id)
    lease = other.claim_one(task_id, "w").lease
    assert other.task(task_id) == queue.task(task_id)
    queue.fail(task_id, lease.token, Failure("ä" * 100))
    assert other.task(task_id) == queue.task(task_id)
    assert other.task(task_id).task.last_error == "ä" * 100
