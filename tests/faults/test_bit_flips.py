"""One bit of one stored file turned over: the queue starts, sweeps, and goes on working with everything else."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.forks import Report, forked, needs_fork
from faults.scenarios import Stage, complete, fail
from faults.verdict import queue_on
from faults.wreck import leave_everything
from taskspool.engine.task import NewTask

pytestmark = needs_fork
SEED = 20_264


def stage_everything(root: Path) -> None:
    """Half-made moves of every kind, and tasks in every state."""
    def act(report: Report) -> None:
        clock = FakeClock()
        queue = queue_on(root, clock)
        queue.start()
        stage = Stage(queue, clock, root / "task_queue", lambda *_: None)
        for n, verb in ((20, complete), (30, fail), (40, lambda *_: None)):
            ids = [stage.put(n, key=f"k{n}", max_retries=1), stage.put(n + 1)]
            verb(stage, {"ids": ids, "tokens": [stage.claim(task_id) for task_id in ids]})
        stage.put(50)
        leave_everything(stage)

    forked(act)


@pytest.mark.parametrize("flips", [80, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
def test_a_flipped_bit_stops_nobody(scratch: Path, flips: int) -> None:
    """No exception at the start, in a sweep, in a claim or in any way of looking; no endless crash loop."""
    stage_everything(scratch / "stage")
    dice = random.Random(SEED)
    names = sorted(str(path.relative_to(scratch / "stage")) for path in (scratch / "stage").rglob("*")
                   if path.is_file() and path.stat().st_size)
    folders = {name.split("/")[1] for name in names}
    assert {"tasks", "claimed", "done", "dead", "scheduled", "results", "keys", "meta"} <= folders
    for number in range(flips):
        shutil.copytree(scratch / "stage", scratch / "try")
        path = scratch / "try" / names[number % len(names)]
        content = bytearray(path.read_bytes())
        position = dice.randrange(len(content))
        content[position] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        _live_with_it(scratch / "try")
        shutil.rmtree(scratch / "try")
    print(f"{flips} bits flipped in {len(names)} files: 0 crash loops")


def _live_with_it(root: Path) -> None:
    clock = FakeClock()
    for _ in range(2):
        queue = queue_on(root, clock)
        queue.start()
        try:
            for _ in range(3):
                queue.sweep()
                for claim in queue.claim("w", max_tasks=99):
                    queue.complete(claim.task.id, claim.lease.token, {})
                clock.advance(3600)
            list(queue.store.problems())
            queue.counts()
            queue.latest_results(99)
            mine = queue.enqueue(NewTask("ping", {}), key=f"new {clock.monotonic()}").task_id
            for key in ("k20", "k30", "k40", "k3"):
                queue.enqueue(NewTask("ping", {"of": key}), key=f"other {key}")
            queue.sweep()
            assert mine in [claim.task.id for claim in queue.claim("w", max_tasks=99)]
        finally:
            queue.close()


