"""Every verb from every state, against a dictionary: a long seeded walk, and short ones that Hypothesis shortens."""

from __future__ import annotations

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from contract.candidates import FileCandidate
from faults.model_verbs import VERBS, WEIGHTS
from faults.model_walk import Walk

SEED = 20_268
ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "0"))
LONG = max(2_000, ROUNDS)


def walk_of(seed: int, folder: Path, verbs: int) -> Counter[str]:
    """So many verbs, chosen by ``seed``; how often each was made."""
    candidate, dice = FileCandidate(folder, "fast"), random.Random(seed)
    walk = Walk(candidate, folder / "task_queue", dice)
    weights = [WEIGHTS.get(verb, 2) for verb in VERBS]
    made = dice.choices(list(VERBS), weights, k=verbs)
    try:
        for number, verb in enumerate(made):
            walk.step(verb, VERBS[verb])
            if number % 100 == 99:
                walk.step("compare all", Walk.compare_all)
        walk.step("compare all", Walk.compare_all)
    finally:
        candidate.end()
    return Counter(made)


@pytest.mark.parametrize("verbs", [400, pytest.param(LONG, marks=pytest.mark.slow)])
@pytest.mark.timeout(max(300, LONG // 10))
def test_a_walk_of_two_thousand_verbs_agrees_with_the_model(scratch: Path, verbs: int) -> None:
    """Two processes, every verb from every state, in an order chosen by a seed: every answer and every place."""
    made = walk_of(SEED, scratch, verbs)
    print(f"walk of {made.total()} verbs from seed {SEED}: {dict(made)}")
    assert made.keys() == VERBS.keys()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEED + 1, SEED + 4))
def test_other_walks_agree_with_the_model_too(scratch: Path, seed: int) -> None:
    """Three more of them."""
    assert walk_of(seed, scratch, 2_000).total() == 2_000


class Machine(RuleBasedStateMachine):
    """The same table, for Hypothesis: it looks for a short walk that disagrees."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        self._candidate: FileCandidate | None = None

    @precondition(lambda machine: machine._candidate is None)
    @rule(dice=st.randoms(use_true_random=False))
    def begin(self, dice: random.Random) -> None:
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        self._candidate = FileCandidate(folder, "fast")
        self._walk = Walk(self._candidate, folder / "task_queue", dice)

    @precondition(lambda machine: machine._candidate is not None)
    @rule(verb=st.sampled_from(sorted(VERBS)))
    def step(self, verb: str) -> None:
        self._walk.step(verb, VERBS[verb])

    def teardown(self) -> None:
        if self._candidate is None:
            return
        try:
            self._walk.step("compare all", Walk.compare_all)
        finally:  # also when Hypothesis ends this walk by an exception of its own
            self._candidate.end()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_short_walk_disagrees_with_the_model(scratch: Path) -> None:
    """Hypothesis makes walks of up to 60 verbs, and the shortest it can when one disagrees."""
    machine = type("Machine", (Machine,), {"folder": scratch})
    run_state_machine_as_test(machine, settings=settings(
        max_examples=max(100, ROUNDS), stateful_step_count=60, deadline=None, database=None,
        suppress_health_check=list(HealthCheck)))
