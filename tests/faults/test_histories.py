"""What many processes are told at once, while some are killed and some sleep past their leases, is one story.

Every call and its answer is written down; afterwards an order of events is searched that explains all of them, task by
task (``linearizability``), and the tasks are counted in the words of Jepsen's total-queue.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from faults.forks import needs_fork
from faults.linearizability import Call, World, unexplained
from faults.linearizability_history import judge, play

pytestmark = needs_fork
SEED = 20_267
ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "50"))
CALLS_EACH = 200 if ROUNDS <= 50 else 500


def check_histories(scratch: Path, rounds: int, calls_each: int, first_seed: int) -> None:
    tally, calls, kills, stops = Counter(), 0, 0, 0
    for seed in range(first_seed, first_seed + rounds):
        folder = scratch / str(seed)
        folder.mkdir()
        history = play(seed, folder, calls_each)
        judgement = judge(history)
        assert not judgement.anomalies, f"the record is in {folder}\n" + "\n".join(judgement.anomalies[:3])
        tally += judgement.tally
        calls += judgement.calls
        kills += sum(name.endswith("'") for name in history.dead)
        stops += history.stops
    counts = " / ".join(f"{word} {tally[word]}" for word in
                        ("attempt", "acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered"))
    print(f"histories from seed {first_seed}: {rounds} of 8 processes, {calls} calls, {kills} kills, {stops} stops, "
          f"0 anomalies; {counts}")
    assert tally["lost"] + tally["unexpected"] + tally["duplicated"] == 0


@pytest.mark.slow
def test_every_answer_fits_one_order_of_events(scratch: Path) -> None:
    """Two histories, everyday: 0 anomalies, 0 lost, 0 finished twice."""
    check_histories(scratch, 2, 100, SEED)


@pytest.mark.slow
@pytest.mark.timeout(max(600, ROUNDS * 20))
def test_every_answer_fits_one_order_of_events_in_many_histories(scratch: Path) -> None:
    """Fifty of 200 calls a process, or as many as TASKSPOOL_TEST_ROUNDS says, then of 500."""
    check_histories(scratch, ROUNDS, CALLS_EACH, SEED + 100)


# -- the search itself: what it must refuse, and what it must not ------------------------------------------------------

ID = "01936f5e-0000-7000-8000-000000000001"


def call(verb: str, began: float, answer: list[object] | None, actor: str = "a", **asked: object) -> Call:
    asked = {"put": {"max_retries": 1}, "claim": {"lease_seconds": 10.0}}.get(verb, {}) | asked
    return Call(actor, verb, ID, began, began + 1, asked, answer)


PUT = call("put", 0, [ID])
CLAIM = call("claim", 2, ["claimed", "t1", 1])
AGAIN = call("claim", 20, ["claimed", "t2", 2], "b")
DONE = call("complete", 4, ["success", "x"], token="t1", data="x")
WRONG: dict[str, list[Call]] = {
    "claimed by two": [PUT, CLAIM, call("claim", 3, ["claimed", "t2", 1], "b")],
    "expired early": [PUT, CLAIM, call("claim", 8, ["claimed", "t2", 2], "b")],
    "expired although its process lives": [PUT, call("claim", 2, ["claimed", "t1", 1], lease_seconds=0.0), AGAIN],
    "a beat that did not count": [PUT, CLAIM, call("extend", 15, ["ok"], token="t1"), AGAIN],
    "a zombie's result": [PUT, CLAIM, AGAIN, call("complete", 22, ["success", "x"], token="t1", data="x")],
    "the holder is refused": [PUT, CLAIM, call("complete", 4, ["LeaseLost"], token="t1", data="x")],
    "acknowledged and lost": [PUT, CLAIM, DONE, call("find", 6, ["claimed", "t1"])],
    "handed out after its end": [PUT, CLAIM, DONE, AGAIN],
    "another result than before": [PUT, CLAIM, DONE, call("result", 6, ["success", "y"])],
    "a put that is not found": [PUT, call("find", 2, ["TaskNotFound"])],
    "a task nobody put": [CLAIM],
    "an attempt that was not counted": [PUT, CLAIM, call("claim", 20, ["claimed", "t2", 1], "b")],
    "an attempt too many": [PUT, call("claim", 2, ["claimed", "t1", 2])],
    "back before its time": [PUT, CLAIM, call("release", 4, ["ok"], token="t1", wait=30.0),
                             call("claim", 8, ["claimed", "t2", 1], "b")],
    "one retry too many": [call("put", 0, [ID], max_retries=0), CLAIM,
                           call("fail", 4, ["waits"], token="t1", data="x", wait=0.0, retryable=True)],
}
RIGHT: dict[str, list[Call]] = {
    "expired in time": [PUT, CLAIM, AGAIN],
    "the same token again": [PUT, CLAIM, DONE, call("complete", 6, ["success", "x"], token="t1", data="y")],
    "killed before it was told": [PUT, CLAIM, call("complete", 4, None, token="t1", data="x"),
                                  call("result", 9, ["success", "x"])],
    "killed, and not done": [PUT, CLAIM, call("complete", 4, None, token="t1", data="x"), AGAIN],
    "claimed and nobody told": [PUT, call("claim", 2, None), AGAIN],
    "at the same time": [PUT, CLAIM, DONE, call("find", 3.5, ["claimed", "t1"]), call("find", 4.5, ["done"])],
}


@pytest.mark.parametrize("story", WRONG)
def test_the_search_refuses_what_cannot_have_happened(story: str) -> None:
    """A history with one false answer is explained by no order of events."""
    assert unexplained(WRONG[story], World())


@pytest.mark.parametrize("story", RIGHT)
def test_the_search_explains_what_may_have_happened(story: str) -> None:
    """A history that is in order is explained, also when calls were never answered."""
    assert unexplained(RIGHT[story], World()) == ""
