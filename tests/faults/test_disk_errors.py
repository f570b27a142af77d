"""The disk refuses: at the Nth call of every verb, once or for a while, with every errno that disks have.

Never is something acknowledged that is lost; the error is 503 or 507; and the same process is sound again afterwards.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.crashes import Prepared, prepare
from faults.forks import needs_fork
from faults.scenarios import SCENARIOS
from faults.shim import Failing, shimmed
from faults.stage import Scenario, Stage
from faults.verdict import Verdict, queue_on
from taskspool.errors import StoreFull, StoreUnavailable

pytestmark = needs_fork
FULL = (errno.ENOSPC, errno.EDQUOT)
ERRORS = (*FULL, errno.EIO, errno.EMFILE, errno.EACCES, errno.EROFS, errno.ESTALE, errno.EINTR, Failing.SHORT)
TIMES = (1, 3, 10**9)
EVERYDAY_FAILURES = 5
ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "75"))
"""Failures per verb in the slow test; 0: all there are."""
SEED = 20_262
LIVE = [scenario for scenario in SCENARIOS if not scenario.kills_the_start_too]


def check_failure(prepared: Prepared, folder: Path, number: int, error: int, times: int) -> bool:
    """One refusal on a fresh copy of the stage; False when the act has no such point any more."""
    root = folder / "try"
    shutil.copytree(prepared.root, root)
    events = [list(event) for event in prepared.events]
    clock = FakeClock()
    queue = queue_on(root, clock)
    queue.start()
    stage = Stage(queue, clock, root / "task_queue", lambda *event: events.append(list(event)))
    failing = Failing(number, error, times)
    try:
        with shimmed(failing):
            refused = _refusal(lambda: prepared.scenario.act(stage, prepared.told))
        assert refused in (None, StoreFull if error in FULL else StoreUnavailable)
        if failing.failed:
            verdict = Verdict(prepared.scenario, root, events, clock).judge_alive(queue)
            where = f"{prepared.scenario.name}: {failing.failed[:3]} {number} failed with {_word(error)} x{times}"
            assert verdict.broken == [], where
            if "unlink" not in failing.failed:
                assert os.listdir(root / "task_queue" / "tmp") == [], f"{where}: left behind"
    finally:
        queue.close()
        shutil.rmtree(root)
    return bool(failing.failed)


def _word(error: int) -> str:
    return "a short write" if error == Failing.SHORT else os.strerror(error)


def _refusal(act: Callable[[], None]) -> type[StoreUnavailable] | None:
    """The class of what ``act`` was refused with; anything but 503 and 507 goes through."""
    try:
        act()
    except StoreUnavailable as refusal:
        return type(refusal)
    return None


@pytest.mark.parametrize("scenario", LIVE[::5], ids=lambda scenario: scenario.name)
def test_a_refused_call_loses_nothing_and_heals(scenario: Scenario, scratch: Path) -> None:
    """A sample of N, errno and length."""
    check_sample(prepare(scenario, scratch), scratch, EVERYDAY_FAILURES)


def check_sample(prepared: Prepared, folder: Path, size: int) -> None:
    dice = random.Random(f"{SEED} {prepared.scenario.name}")
    refused = sum(check_failure(prepared, folder, dice.randrange(2 * len(prepared.points)), dice.choice(ERRORS),
                                dice.choice(TIMES)) for _ in range(size))
    print(f"{prepared.scenario.name}: {refused} of {size} calls refused, 0 lost")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", LIVE, ids=lambda scenario: scenario.name)
def test_a_refused_call_loses_nothing_and_heals_at_every_point(scenario: Scenario, scratch: Path) -> None:
    """A larger sample, or every N until the verb succeeds, with each errno, once and for good."""
    prepared = prepare(scenario, scratch)
    if ROUNDS:
        check_sample(prepared, scratch, ROUNDS)
        return
    for error, times in itertools.product(ERRORS, (1, 10**9)):
        for number in itertools.count():
            if not check_failure(prepared, scratch, number, error, times):
                break
        assert number > 0
