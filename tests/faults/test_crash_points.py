"""kill -9 at every call that changes the disk, of every verb and of the recovery itself.

Everyday a sample; ``-m slow`` all of them, and a second kill during the recovery of each. The closing line is printed.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from faults.crashes import chain, closing_line, kill_and_judge, prepare, sample
from faults.forks import needs_fork
from faults.scenarios import SCENARIOS
from faults.stage import Scenario

pytestmark = needs_fork
EVERYDAY_KILLS = 4
PAIRS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "60"))
"""Kills followed by a second one, per verb, in the slow test."""
SEED = 20_261
total: Counter[str] = Counter()


def check_points(scenario: Scenario, folder: Path, size: int | None, pairs: int) -> None:
    prepared = prepare(scenario, folder)
    kills = [(kill, None) for kill in sample(prepared, size, SEED)] + list(chain(prepared, SEED, pairs))
    tally: Counter[str] = Counter()
    for (number, how), then in kills:
        verdict = kill_and_judge(prepared, folder, number, how, then)
        assert verdict.broken == []
        tally += verdict.tally
    total.update(tally)
    total["kills"] += len(kills)
    print(closing_line(scenario.name, len(kills), tally))
    print(closing_line("so far", total["kills"], total))


@pytest.mark.parametrize("scenario", SCENARIOS[::5], ids=lambda scenario: scenario.name)
def test_a_killed_process_loses_and_repeats_nothing(scenario: Scenario, scratch: Path) -> None:
    """A sample of the points: 0 lost, 0 finished twice, nothing torn is ever visible, recovered twice is once."""
    check_points(scenario, scratch, EVERYDAY_KILLS, pairs=1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_killed_process_loses_and_repeats_nothing_at_any_point(scenario: Scenario, scratch: Path) -> None:
    """Every point before, after and torn, and many pairs of a kill and a second kill during its recovery."""
    check_points(scenario, scratch, None, pairs=PAIRS)
