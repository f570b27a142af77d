"""Explanations, sentence by sentence, from facts made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taskspool.engine.explain import Explanation, Facts, at, explain, span
from taskspool.engine.history import SELF, story_of
from taskspool.engine.options import Options
from taskspool.engine.task import CancelRequest, Lease, Pauses, Progress, Result, Snapshot, State, Step, Task

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
TASK = Task("00000000-0000-4000-8000-000000000000", "report", {}, "ann", NOW - timedelta(minutes=5), max_retries=3)
LEASE = Lease(TASK.id, "bob", 2, "token", 60, NOW - timedelta(seconds=30))
FACTS = Facts(NOW, position=3, askers=("bob",))


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def said(snapshot: Snapshot, facts: Facts = FACTS) -> Explanation:
    return explain(snapshot, story_of(snapshot, facts.result), facts)


def all_of(told: Explanation) -> str:
    return " ".join((told.summary, *told.sentences, told.next))


def test_in_line() -> None:
    """A task in line: its place, who asked for its type, and what happens next."""
    told = said(Snapshot(TASK, State.READY, NOW))
    assert "at place 3 of the line" in told.summary
    assert "bob asked for tasks of its type" in all_of(told)
    assert "submitted by ann at 11:55:00 UTC" in told.sentences[0]


@pytest.mark.parametrize(("askers", "words"), [
    ((), "no worker has asked for tasks of type 'report' in the last minute"),
    (None, "It waits at place 3 of the line for a worker."),
    (("a", "b", "c", "d", "e"), "a, b, c and 2 more asked"),
])
def test_who_asked(askers: tuple[str, ...] | None, words: str) -> None:
    """Nobody, nobody knows, or many: each is said as it is."""
    assert words in all_of(said(Snapshot(TASK, State.READY, NOW), replace(FACTS, askers=askers)))


def test_paused() -> None:
    """Who paused the queue or the type, since when and why; of both, the queue is what must be resumed."""
    note = CancelRequest("ann", "night", NOW)
    by_type = said(Snapshot(TASK, State.READY, NOW), replace(FACTS, pauses=Pauses(None, {"report": note})))
    assert "the type 'report' is paused" in by_type.summary
    assert by_type.next.endswith("taskspool resume report.")
    whole = said(Snapshot(TASK, State.READY, NOW), replace(FACTS, pauses=Pauses(note, {"report": note})))
    assert "the queue is paused" in whole.summary
    assert whole.next.endswith("taskspool resume.")
    assert "The queue is paused by ann since 12:00:00 UTC (night)." in whole.sentences


@pytest.mark.parametrize(("step", "words"), [
    (None, "It is scheduled for 12:02:10 UTC."),
    (Step("fail", NOW, State.SCHEDULED, "bob", 1, NOW, "disk full"), "attempt 2 of 4"),
    (Step("expire", NOW, State.SCHEDULED, "bob", 1, NOW, "too slow"), "Attempt 1 ended at 12:00:00 UTC: too slow"),
    (Step("release", NOW, State.SCHEDULED, "bob", 1, NOW, "later"), "given back by bob"),
])
def test_waiting_for_its_time(step: Step | None, words: str) -> None:
    """When it joins the line, and why it does not stand there yet."""
    is_failed = step is not None and step.verb != "release"
    task = replace(TASK, not_before=later(130), attempts=int(is_failed), history=() if step is None else (step,))
    told = said(Snapshot(task, State.SCHEDULED, NOW))
    assert words in all_of(told)
    assert "in 2 min 10 s" in told.next
    assert told.next_at == later(130)


def test_given_up_when() -> None:
    """A deadline that waits for it is told, and how many workers it has taken with it."""
    task = replace(TASK, crashes=2, options=Options(total_timeout_seconds=600))
    words = all_of(said(Snapshot(task, State.READY, NOW)))
    assert "given up if it still waits at 12:05:00 UTC" in words
    assert "2 of at most 3 workers died" in words


def test_leased() -> None:
    """By whom, until when, the last sign of life, how far, and the limits of the attempt."""
    task = replace(TASK, progress=Progress(40, "page 4", NOW),
                   options=Options(timeout_seconds=100, total_timeout_seconds=600))
    held = Snapshot(task, State.CLAIMED, LEASE.claimed_at, "bob", LEASE, later(-10))
    told = said(held, replace(FACTS, seen_at=later(-10)))
    words = all_of(told)
    assert told.summary == "bob works on it since 11:59:30 UTC."
    assert "leased to bob until 12:00:50 UTC, its last sign of life came at 11:59:50 UTC" in words
    assert "40 percent 'page 4'" in words
    assert "may take until 12:01:10 UTC" in words
    assert "given up altogether at 12:05:00 UTC" in words
    assert told.next_at == later(50)


def test_held_by_a_process_here() -> None:
    """A worker of this machine holds it for as long as its process lives."""
    held = Snapshot(TASK, State.CLAIMED, NOW, "bob", replace(LEASE, lease_seconds=0))
    assert "a process on this machine (bob)" in all_of(said(held))


def test_popped_by_an_old_program() -> None:
    """An old program that took the file in its place has no lease to show."""
    assert "shows no lease" in all_of(said(Snapshot(TASK, State.CLAIMED, NOW, "old")))


def test_to_be_cancelled() -> None:
    """By whom, why, and until when its worker may let go."""
    facts = replace(FACTS, cancel=CancelRequest("ann", "enough", later(-5)), cancel_grace_seconds=30)
    told = said(Snapshot(TASK, State.CLAIMED, NOW, "bob", LEASE), facts)
    assert "ann cancelled it at 11:59:55 UTC (enough)" in told.summary
    assert told.next_at == later(25)


def test_finished() -> None:
    """Done: by whom, and how long it took. Nothing comes after it."""
    result = Result(TASK.id, "bob", "success", {}, NOW, attempt=1, claimed_at=later(-90))
    told = said(Snapshot(TASK, State.DONE, NOW, "bob"), replace(FACTS, result=result))
    assert told.summary == "bob finished it at 12:00:00 UTC."
    assert "took 1 min 30 s" in all_of(told)


@pytest.mark.parametrize(("state", "worker", "words"), [
    (State.DEAD, "bob", "It is dead since 12:00:00 UTC in the hands of bob: it broke."),
    (State.DEAD, SELF, "It is dead since 12:00:00 UTC: it broke."),
    (State.CANCELLED, "ann", "It was cancelled at 12:00:00 UTC: it broke."),
])
def test_ended_badly(state: State, worker: str, words: str) -> None:
    """Dead or cancelled: why, and how to try it anew."""
    task = replace(TASK, attempts=4, crashes=1)
    status = "error" if state is State.DEAD else "cancelled"
    result = Result(TASK.id, worker, status, None, NOW, "it  broke")
    told = said(Snapshot(task, state, NOW, worker), replace(FACTS, result=result))
    assert told.summary == words
    assert told.next == f"It can be tried anew: taskspool retry {TASK.id}."


def test_a_long_error_is_cut() -> None:
    """What is too long for a sentence is cut."""
    result = Result(TASK.id, "bob", "error", None, NOW, "x" * 5000)
    assert len(said(Snapshot(TASK, State.DEAD, NOW, "bob"), replace(FACTS, result=result)).summary) < 400


def test_times_in_words() -> None:
    """Another day is told with its date; spans in the largest words that fit."""
    assert at(later(86_400), NOW) == "2026-05-05 12:00:00 UTC"
    assert [span(later(seconds), NOW) for seconds in (-1, 2.5, 90, 90_000)] == [
        "now", "in 2.5 s", "in 1 min 30 s", "in 1 d 1 h"]


def test_what_people_did_to_it_is_told() -> None:
    """Who promoted it, and who changed what; a revision hides nothing of what came before."""
    failed = Step("fail", NOW, State.SCHEDULED, "bob", 1, NOW, "no disk")
    revised = Step("revise", later(1), State.SCHEDULED, "ann", reason="priority normal to high")
    waits = replace(TASK, attempts=1, not_before=later(60), history=(failed, revised))
    told = said(Snapshot(waits, State.SCHEDULED, NOW))
    assert "It failed, and is tried again" in told.summary
    assert "no disk" in all_of(told)
    assert "ann changed it at 12:00:01 UTC: priority normal to high." in told.sentences
    promoted = replace(TASK, history=(Step("promote", NOW, State.READY, "ann", reason="now"),))
    told = said(Snapshot(promoted, State.READY, NOW))
    assert "ann had it start without its wait at 12:00:00 UTC: now." in told.sentences


def test_crashes_that_count_are_told_as_attempts() -> None:
    """Of so many as its retries allow, whatever the limit of the queue."""
    task = replace(TASK, crashes=2, max_retries=5, options=Options(crashes_count=True))
    told = said(Snapshot(task, State.READY, NOW))
    assert "2 of at most 6 workers died or fell silent while running it." in told.sentences
