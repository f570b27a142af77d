"""The real server, killed at the entry of a system call while clients submit, claim and complete.

strace counts the calls of one kind and kills at the Nth: in the middle of a start, of a repair, of any verb.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from faults.server_load import Clients, Server, judge, work_off
from faults.traced_server import LATEST, Blow, TracedServer, has_strace
from waiting import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="strace")
KILLS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "300"))
LANES = 2
SEED = 20_264
PATIENCE_SECONDS = 8.0
"""A blow that has not fallen by then falls from outside, and counts as ``nowhere``."""


@dataclass
class Kills:
    """What became of the server: the calls it died at, how often it was up by then, what it said that it must not."""

    died_at: Counter[str] = field(default_factory=Counter)
    times_up: int = 0
    complaints: list[str] = field(default_factory=list)


def blows(seed: int, number: int) -> Iterator[Blow]:
    """``number`` of them: a third early, while it starts and repairs, the rest anywhere."""
    dice = random.Random(seed)
    for _ in range(number):
        kind = dice.choice(list(LATEST))
        yield Blow(kind, dice.randint(1, 5 if dice.random() < 1 / 3 else LATEST[kind]))


def kill_often(server: TracedServer, clients: Clients, seed: int, number: int) -> Kills:
    """Start it ``number`` times, each time to its death."""
    kills = Kills()
    for blow in blows(seed, number):
        server.start(blow)
        with suppress(AssertionError):
            eventually(lambda: server.is_dead() or clients.errors, seconds=PATIENCE_SECONDS)
        kills.died_at[server.last_call() if server.is_dead() else "nowhere"] += 1
        kills.times_up += server.was_up
        if "Traceback" in server.said():
            kills.complaints.append(f"{blow}: {server.said()[-2000:]}")
    return kills


def one_lane(root: Path, seed: int, number: int) -> tuple[Kills, Clients]:
    """A folder, its clients, its server killed ``number`` times, and then one that lives and works everything off."""
    root.mkdir()
    traced, last = TracedServer(root), Server(root / "out")
    clients = Clients(traced)
    clients.start()
    try:
        kills = kill_often(traced, clients, seed, number)
        traced.end()
        last.start()
        clients.server = last
        work_off(clients, last)
    finally:
        clients.end()
        traced.end()
        exit_code = last.stop()
    assert (clients.errors, kills.complaints, exit_code) == ([], [], 0)
    return kills, clients


@pytest.mark.parametrize(("lanes", "number"), [
    pytest.param(1, 3, marks=pytest.mark.slow), pytest.param(LANES, KILLS // LANES, marks=pytest.mark.slow),
])
@pytest.mark.timeout(1_800)
def test_killed_at_any_system_call_it_loses_nothing(tmp_path: Path, lanes: int, number: int) -> None:
    """Nothing acknowledged is lost or done twice, clients see no 500, and the folder is sound."""
    if not has_strace():
        pytest.skip("there is no strace here that may attach to a process")
    began = time.monotonic()
    with ThreadPoolExecutor(lanes) as pool:
        stories = list(pool.map(lambda lane: one_lane(tmp_path / f"lane-{lane}", SEED + lane, number), range(lanes)))
    for lane, (kills, clients) in enumerate(stories):
        judge(clients, tmp_path / f"lane-{lane}" / "out", f"{number} kills at system calls, seed {SEED + lane}")
        print(f"  up by then {kills.times_up}; died at {dict(kills.died_at.most_common())}")
        assert kills.died_at["nowhere"] <= number / 20
        assert clients.submitted
    print(f"  {lanes * number} kills in {time.monotonic() - began:.0f} s")
