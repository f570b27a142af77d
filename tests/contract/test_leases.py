"""Who may finish a task: the holder of the one token that stands, once, and nobody else."""

from __future__ import annotations

import pytest

from contract.candidates import Candidate
from contract.states import bring, everything, new, state_of
from taskspool.engine.history import ANONYMOUS
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import Lease, Result, State
from taskspool.errors import LeaseLost, TaskNotClaimable, TaskNotFound


def lost_by_silence(candidate: Candidate, queue: Queue) -> tuple[Lease, Lease]:
    """A lease that ran out, and the one that took its place."""
    old = bring(candidate, queue, State.CLAIMED)
    queue.sweep()
    candidate.clock.advance(60)
    assert queue.sweep().expired == 1
    return old, queue.claim_one(old.task_id, "w2").lease


@pytest.mark.parametrize("verb", ["extend", "complete", "fail", "release"])
def test_a_fenced_off_worker_changes_nothing(candidate: Candidate, queue: Queue, verb: str) -> None:
    """After expiry and a new claim every verb with the old token raises LeaseLost; the new holder notices nothing."""
    old, held = lost_by_silence(candidate, queue)
    before = everything(queue, old.task_id)
    arguments = {"complete": ({},), "fail": (Failure("late"),)}.get(verb, ())
    with pytest.raises(LeaseLost):
        getattr(queue, verb)(old.task_id, old.token, *arguments)
    assert everything(queue, old.task_id) == before
    assert queue.complete(held.task_id, held.token, {"by": "w2"}).worker == "w2"


@pytest.mark.parametrize("verb", ["extend", "finish", "requeue"])
def test_the_store_checks_the_lease_itself(candidate: Candidate, queue: Queue, verb: str) -> None:
    """A stale Lease value handed straight to the store raises LeaseLost: nobody above has to check first."""
    old, held = lost_by_silence(candidate, queue)
    with pytest.raises(LeaseLost):
        if verb == "extend":
            queue.store.extend(old, None)
        elif verb == "requeue":
            queue.store.requeue(old, None)
        else:
            queue.store.finish(old, None, _result(candidate, old))
    assert queue.lease_of(old.task_id) == held
    assert queue.store.result(old.task_id) is None


def _result(candidate: Candidate, lease: Lease) -> Result:
    return Result(lease.task_id, lease.worker, "success", {}, candidate.clock.now(), None, lease.attempt, lease.token)


@pytest.mark.parametrize("token", ["", "x", "1-1-3c-0-0000000000000000", "../../x", "\x00"])
def test_a_made_up_token_is_worth_nothing(candidate: Candidate, queue: Queue, token: str) -> None:
    """Only the exact token counts; an empty one is none."""
    lease = bring(candidate, queue, State.CLAIMED)
    for verb in (lambda: queue.extend(lease.task_id, token), lambda: queue.complete(lease.task_id, token, {}),
                 lambda: queue.release(lease.task_id, token)):
        with pytest.raises(LeaseLost):
            verb()
    assert queue.lease_of(lease.task_id) == lease


def test_a_lease_that_ran_out_unnoticed_still_counts(candidate: Candidate, queue: Queue) -> None:
    """Until a sweep took the task back nobody else wants it: a late complete, or a late beat, is accepted."""
    lease = bring(candidate, queue, State.CLAIMED)
    queue.sweep()
    candidate.clock.advance(600)
    queue.extend(lease.task_id, lease.token)
    assert queue.sweep().expired == 0
    assert queue.complete(lease.task_id, lease.token, {}).is_success


def test_complete_is_answered_the_same_when_it_is_repeated(candidate: Candidate, queue: Queue) -> None:
    """A reply that got lost is harmless: the same token gets the result that stands, whatever it sends now."""
    lease = bring(candidate, queue, State.CLAIMED)
    first = queue.complete(lease.task_id, lease.token, {"n": 1})
    candidate.clock.advance(5)
    assert queue.complete(lease.task_id, lease.token, {"n": 2}) == first
    assert queue.fail(lease.task_id, lease.token, Failure("no, it failed")) == first
    assert queue.result(lease.task_id) == first
    assert state_of(queue, lease.task_id) is State.DONE


def test_fail_is_answered_the_same_when_it_is_repeated(candidate: Candidate, queue: Queue) -> None:
    """The last failure, reported again by the same token, gives the error result that stands."""
    lease = bring(candidate, queue, State.CLAIMED)
    first = queue.fail(lease.task_id, lease.token, Failure("broken", data={"why": 1}))
    assert first is not None
    assert (first.status, first.error_message, first.data) == ("error", "broken", {"why": 1})
    assert queue.fail(lease.task_id, lease.token, Failure("again")) == first


def test_a_repeated_finish_is_seen_by_another_process_too(candidate: Candidate, queue: Queue) -> None:
    """The replay is answered from the store, not from memory."""
    lease = bring(candidate, queue, State.CLAIMED)
    first = queue.complete(lease.task_id, lease.token, {"n": 1})
    assert candidate.open().complete(lease.task_id, lease.token, {"n": 2}) == first


def test_a_lease_is_known_to_every_process(candidate: Candidate, queue: Queue) -> None:
    """What one process handed out, another may extend, release and complete with the token."""
    other = candidate.open()
    lease = bring(candidate, queue, State.CLAIMED)
    assert other.extend(lease.task_id, lease.token) == lease
    assert other.lease_of(lease.task_id) == lease
    other.release(lease.task_id, lease.token)
    with pytest.raises(LeaseLost):
        queue.complete(lease.task_id, lease.token, {})
    again = other.claim_one(lease.task_id, "w2").lease
    assert queue.complete(again.task_id, again.token, {}).worker == "w2"


def test_the_result_tells_who_did_it_and_for_how_long(candidate: Candidate, queue: Queue) -> None:
    """A result carries worker, attempt, token and the time from claim to completion."""
    lease = bring(candidate, queue, State.CLAIMED)
    candidate.clock.advance(7)
    queue.complete(lease.task_id, lease.token, {"n": "ä"})
    result = queue.result(lease.task_id)
    assert (result.worker, result.attempt, result.token, result.data) == ("w1", 1, lease.token, {"n": "ä"})
    assert result.duration_seconds == pytest.approx(7, abs=0.002)
    assert result.completed_at == candidate.clock.now()


class TestWithoutToken:
    """Clients of seed 002 know no lease tokens: they are believed when nobody is wronged by it."""

    def test_a_waiting_task_is_claimed_for_the_caller_first(self, candidate: Candidate, queue: Queue) -> None:
        """A result for a task nobody held finishes it."""
        lease = bring(candidate, queue, State.READY)
        result = queue.finish_without_token(lease.task_id, "old", {"n": 1})
        assert result is not None
        assert (result.worker, result.data) == ("old", {"n": 1})
        assert state_of(queue, lease.task_id) is State.DONE

    def test_the_holder_is_known_by_its_name(self, candidate: Candidate, queue: Queue) -> None:
        """The worker that claimed may finish without the token; so may a caller without any name."""
        for name in ("w1", None):
            lease = bring(candidate, queue, State.CLAIMED)
            result = queue.finish_without_token(lease.task_id, name, {})
            assert result is not None
            assert result.worker == "w1"

    def test_another_name_is_refused(self, candidate: Candidate, queue: Queue) -> None:
        """A task that w1 holds is not finished by w2."""
        lease = bring(candidate, queue, State.CLAIMED)
        with pytest.raises(LeaseLost):
            queue.finish_without_token(lease.task_id, "w2", {})
        assert queue.lease_of(lease.task_id) == lease

    def test_a_claim_without_name_may_be_finished_by_anybody(self, candidate: Candidate, queue: Queue) -> None:
        """Who claimed without giving a name may give one with the result."""
        task_id = queue.enqueue(new()).task_id
        queue.claim_one(task_id, ANONYMOUS)
        assert queue.finish_without_token(task_id, "w9", {}) is not None

    def test_a_finished_task_answers_with_the_result_that_stands(self, candidate: Candidate, queue: Queue) -> None:
        """The same worker, or a nameless one, gets the result again; another name gets LeaseLost."""
        lease = bring(candidate, queue, State.DONE)
        standing = queue.result(lease.task_id)
        assert queue.finish_without_token(lease.task_id, "w1", {"n": 9}) == standing
        assert queue.finish_without_token(lease.task_id, None, {"n": 9}) == standing
        with pytest.raises(LeaseLost):
            queue.finish_without_token(lease.task_id, "w2", {"n": 9})
        assert queue.result(lease.task_id) == standing

    def test_an_error_counts_as_a_failed_attempt(self, candidate: Candidate, queue: Queue) -> None:
        """A failure without token is retried like any other while retries are left."""
        task_id = queue.enqueue(new(max_retries=1)).task_id
        assert queue.finish_without_token(task_id, "old", None, Failure("no")) is None
        assert state_of(queue, task_id) is State.SCHEDULED

    def test_unknown_and_scheduled_tasks_are_refused(self, candidate: Candidate, queue: Queue) -> None:
        """There is nothing to finish where nothing waits."""
        with pytest.raises(TaskNotFound):
            queue.finish_without_token(bring(candidate, queue, None).task_id, None, {})
        with pytest.raises(TaskNotClaimable):
            queue.finish_without_token(bring(candidate, queue, State.SCHEDULED).task_id, None, {})
