"""Killing a process at a chosen point of a scenario, and judging what it left."""

from __future__ import annotations

import itertools
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from faults.forks import Ending, Report, forked
from faults.shim import Counter as PointCounter
from faults.shim import Killer, ShimmedOs, shimmed
from faults.stage import Scenario, Stage
from faults.verdict import Verdict, queue_on
from taskspool.engine import files


@dataclass(frozen=True)
class Prepared:
    """A scenario with its stage set: ``root`` is copied for every kill."""

    scenario: Scenario
    root: Path
    told: dict[str, Any]
    events: list[list[Any]]
    points: tuple[str, ...]

    def kills(self) -> Iterator[tuple[int, str]]:
        """Every (point, how): before and after each call, and in the middle of each write."""
        for number, name in enumerate(self.points):
            yield number, "before"
            yield number, "after"
            if name == "write":
                yield number, "torn"


def prepare(scenario: Scenario, folder: Path) -> Prepared:
    """Set the stage in a process that ends without tidying up, and count the points of the act."""
    root = folder / "stage"

    def set_stage(report: Report) -> None:
        clock = FakeClock()
        queue = queue_on(root, clock)
        queue.start()
        report("told", scenario.prepare(Stage(queue, clock, root / "task_queue", report)))

    root.mkdir(parents=True)
    ending = forked(set_stage)
    told = next(rest[0] for kind, *rest in ending.events if kind == "told")
    events = [event for event in ending.events if event[0] != "told"]

    copy = folder / "count"
    shutil.copytree(root, copy)
    counter = PointCounter()

    def count(report: Report) -> None:
        _act(scenario, copy, told, counter, lambda *_: None)
        report("points", [name for name, _ in counter.points])

    points = forked(count).events[-1][1]
    shutil.rmtree(copy)
    return Prepared(scenario, root, told, events, tuple(points))


def _act(scenario: Scenario, root: Path, told: dict[str, Any], shim: ShimmedOs, report: Report) -> None:
    clock = FakeClock()
    queue = queue_on(root, clock)
    stage = Stage(queue, clock, root / "task_queue", report)
    if not scenario.kills_the_start_too:
        queue.start()
    with shimmed(shim):
        if scenario.kills_the_start_too:
            queue.start()
        scenario.act(stage, told)
        files.touch(str(root / "task_queue" / "tmp"))  # a point after the last acknowledgement, that changes nothing


def killed(prepared: Prepared, root: Path, number: int, how: str) -> Ending:
    """The act on the folder ``root``, killed at one point."""
    return forked(lambda report: _act(prepared.scenario, root, prepared.told, Killer(number, how), report))


def killed_while_recovering(root: Path, number: int, how: str) -> bool:
    """A start and a sweep on what was left, killed at one point; False when it got through before that."""

    def recover(report: Report) -> None:
        with shimmed(Killer(number, how)):
            queue = queue_on(root, FakeClock())
            queue.start()
            queue.sweep()

    return forked(recover).died


def kill_and_judge(prepared: Prepared, folder: Path, number: int, how: str,
                   then: tuple[int, str] | None = None) -> Verdict:
    """One kill (and a second one during the recovery) on a fresh copy of the stage."""
    root = folder / "try"
    shutil.copytree(prepared.root, root)
    try:
        ending = killed(prepared, root, number, how)
        assert ending.died, f"{prepared.scenario.name} has no point {number}"
        spoil_index(root / "task_queue" / "index.sqlite", random.Random(f"{number} {how}"))
        if then is not None:
            killed_while_recovering(root, *then)
        verdict = Verdict(prepared.scenario, root, prepared.events + ending.events).judge()
    finally:
        shutil.rmtree(root)
    where = f"{prepared.scenario.name}, killed {how} {prepared.points[number]} {number}, then {then}"
    verdict.broken = [f"{where}: {sentence}" for sentence in verdict.broken]
    return verdict


def spoil_index(path: Path, dice: random.Random) -> None:
    """The index is a cache: gone, cut off, rubbish or as the crash left it, the queue is the same."""
    if not path.exists():
        return
    what = dice.choice(["leave", "remove", "cut", "rubbish"])
    if what == "remove":
        path.unlink()
    elif what == "cut":
        os.truncate(path, path.stat().st_size // 2)
    elif what == "rubbish":
        path.write_bytes(dice.randbytes(5_000))


def sample(prepared: Prepared, size: int | None, seed: int) -> list[tuple[int, str]]:
    """All kills, or ``size`` of them chosen by ``seed``."""
    kills = list(prepared.kills())
    return kills if size is None or size >= len(kills) else random.Random(seed).sample(kills, size)


def closing_line(what: str, points: int, tally: Counter[str]) -> str:
    """``attempt / acknowledged / ok / lost / unexpected / duplicated / recovered``, as Jepsen's total-queue has it."""
    words = ("attempt", "acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered")
    return f"{what}: {points} kills; " + " / ".join(f"{word} {tally[word]}" for word in words)


def chain(prepared: Prepared, seed: int, size: int) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    """``size`` pairs of a kill and a second one during its recovery."""
    dice = random.Random(seed)
    for first in itertools.islice(iter(lambda: dice.choice(list(prepared.kills())), None), size):
        yield first, (dice.randrange(40), dice.choice(["before", "after", "torn"]))
