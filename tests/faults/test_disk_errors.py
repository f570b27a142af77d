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
from faults.scenarios import SCENARIOS, Scenario, Stage
from faults.shim import Failing, shimmed
from faults.verdict import Verdict, queue_on
from taskspool.errors import StoreFull, StoreUnavailable

pytestmark = needs_fork
ERRORS = (errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EACCES, errno.EROFS)
TIMES = (1, 3, 10**9)
EVERYDAY_FAILURES = 10
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
        assert refused in (None, StoreFull if error == errno.ENOSPC else StoreUnavailable)
        if failing.failed:
            verdict = Verdict(prepared.scenario, root, events, clock).judge_alive(queue)
            where = f"{prepared.scenario.name}: {failing.failed[:3]} {number} failed with {os.strerror(error)} x{times}"
            assert verdict.broken == [], where
            if "unlink" not in failing.failed:
                assert os.listdir(root / "task_queue" / "tmp") == [], f"{where}: left behind"
    finally:
        queue.close()
        shutil.rmtree(root)
    return bool(failing.failed)


def _refusal(act: Callable[[], None]) -> type[StoreUnavailable] | None:
    """The class of what ``act`` was refused with; anything but 503 and 507 goes through."""
    try:
        act()
    except StoreUnavailable as refusal:
        return type(refusal)
    return None


@pytest.mark.parametrize("scenario", LIVE, ids=lambda scenario: scenario.name)
def test_a_refused_call_loses_nothing_and_heals(scenario: Scenario, scratch: Path) -> None:
    """A sample of N, errno and length."""
    prepared = prepare(scenario, scratch)
    dice = random.Random(SEED)
    upto = 2 * len(prepared.points)
    for _ in range(EVERYDAY_FAILURES):
        check_failure(prepared, scratch, dice.randrange(upto), dice.choice(ERRORS), dice.choice(TIMES))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("scenario", LIVE, ids=lambda scenario: scenario.name)
def test_a_refused_call_loses_nothing_and_heals_at_every_point(scenario: Scenario, scratch: Path) -> None:
    """Every N until the verb succeeds, with each errno, once and for good."""
    prepared = prepare(scenario, scratch)
    for error, times in itertools.product(ERRORS, (1, 10**9)):
        for number in itertools.count():
            if not check_failure(prepared, scratch, number, error, times):
                break
        assert number > 0
