"""One bit of one stored file turned over: it is seen, told, and everything else goes on.

Every file of ours bears a seal (``engine.seal``), so a flip is either seen, or has changed nothing that is read.
"""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.forks import Report, forked, needs_fork
from faults.scenarios import complete, fail
from faults.stage import Stage
from faults.verdict import queue_on
from faults.wreck import leave_everything
from taskspool.engine import documents
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask, State

pytestmark = needs_fork
SEED = 20_264
LIVE_FLIPS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "500"))
FOLDERS = {"tasks", "claimed", "done", "dead", "cancelled", "scheduled", "results", "keys", "batches", "cancelling",
           "meta"}
UNSEALED = ("locks", "quarantine", "tmp", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm")
"""Empty, explained by a sentence, thrown away, or a cache."""


def stage_everything(root: Path) -> list[str]:
    """Half-made moves of every kind, and tasks in every state. The names of all sealed files, below ``root``."""
    def act(report: Report) -> None:
        clock = FakeClock()
        queue = queue_on(root, clock)
        queue.start()
        stage = Stage(queue, clock, root / "task_queue", lambda *_: None)
        for n, verb in ((20, complete), (30, fail), (40, lambda *_: None)):
            ids = [stage.put(n, key=f"k{n}", max_retries=1), stage.put(n + 1)]
            verb(stage, {"ids": ids, "tokens": [stage.claim(task_id) for task_id in ids]})
        queue.cancel(ids[0], by="a person", reason="no use")
        queue.cancel(stage.put(51, delay_seconds=60), by="a person")
        stage.put(52, delay_seconds=86_400, options=Options(unique_key="u", group="g", tags=("t",)))
        queue.enqueue_batch([NewTask("ping", {"n": n}) for n in (53, 54)], name="ours")
        queue.pause(["nothing"], by="a person")
        stage.put(50)
        leave_everything(stage)

    forked(act)
    names = [path.relative_to(root) for path in root.rglob("*") if path.is_file() and path.stat().st_size]
    kept = sorted(str(name) for name in names if name.parts[1] not in UNSEALED and "ballast" not in name.name)
    assert {Path(name).parts[1] for name in kept} >= FOLDERS
    return kept


def flipped(content: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def read(name: str, content: bytes) -> object:
    """What the engine makes of the file; None when it refuses it."""
    try:
        if Path(name).parts[1] == "results":
            return documents.result_of(content, Path(name).stem, FakeClock().now())
        return documents._parse(content)
    except documents.Unreadable:
        return None


@pytest.mark.parametrize("flips", [3_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_flipped_bit_is_seen(scratch: Path, flips: int) -> None:
    """In every kind of stored file: it is refused, or says exactly what it said."""
    names = [name for name in stage_everything(scratch) if not name.endswith("epoch")]
    contents = [(name, (scratch / name).read_bytes()) for name in names]
    wholes = {name: read(name, content) for name, content in contents}
    assert None not in wholes.values()
    dice, told = random.Random(SEED), Counter[str]()
    for number in range(flips):
        name, content = contents[number % len(contents)]
        found = read(name, flipped(content, dice))
        assert found is None or found == wholes[name], name
        told["seen" if found is None else "without effect"] += 1
    print(f"{flips} bits flipped in {len(names)} files: {dict(told)}")


@pytest.mark.slow
@pytest.mark.parametrize("flips", [25, LIVE_FLIPS])
@pytest.mark.timeout(900)
def test_a_flipped_bit_stops_nobody(scratch: Path, flips: int) -> None:
    """No exception at the start, in a sweep, in a claim or in any way of looking, and no task becomes another one.
    What was damaged is put aside with the reason, or named by the queue as damaged, or has served its time."""
    names = stage_everything(scratch / "stage")
    known = _tasks_in(scratch / "stage")
    dice, told = random.Random(SEED), Counter[str]()
    for number in range(flips):
        name = names[number % len(names)]
        shutil.copytree(scratch / "stage", scratch / "try")
        path = scratch / "try" / name
        path.write_bytes(flipped(path.read_bytes(), dice))
        told[_live_with_it(scratch / "try", name, known)] += 1
        shutil.rmtree(scratch / "try")
    print(f"{flips} bits flipped in {len(names)} files, one at a time: {dict(told)}, 0 crash loops")


def _tasks_in(root: Path) -> dict[str, object]:
    """The data of every task, by id, as the undamaged folder has it."""
    shutil.copytree(root, root.parent / "whole")
    queue = queue_on(root.parent / "whole", FakeClock())
    queue.start()
    queue.sweep()
    known = {one.task.id: one.task.data for state in State for one in queue.listing(state, limit=1000)}
    queue.close()
    return known


def _live_with_it(root: Path, name: str, known: dict[str, object]) -> str:
    """Two lives of a queue on the folder; what has become of the damage."""
    clock = FakeClock()
    says: list[str] = []
    for _ in range(2):
        queue = queue_on(root, clock)
        queue.start()
        try:
            for _ in range(3):
                queue.sweep()
                for claim in queue.claim("w", max_tasks=99):
                    assert known.get(claim.task.id, claim.task.data) == claim.task.data, "it became another task"
                    queue.complete(claim.task.id, claim.lease.token, {})
                clock.advance(3600)
            says = list(queue.store.problems())
            _look_everywhere(queue)
            mine = queue.enqueue(NewTask("ping", {}), key=f"new {clock.monotonic()}").task_id
            queue.sweep()
            assert mine in [claim.task.id for claim in queue.claim("w", max_tasks=99)]
        finally:
            queue.close()
    return _fate(root, name, says)


def _look_everywhere(queue: Queue) -> None:
    queue.counts()
    queue.latest_results(99)
    queue.batches(99)
    queue.paused()
    queue.leases()
    for state in State:
        queue.listing(state, limit=99)
    for key in ("k20", "k30", "k40", "k3"):
        queue.enqueue(NewTask("ping", {"of": key}), key=f"other {key}")
    queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u")))


def _fate(root: Path, name: str, says: list[str]) -> str:
    folder, file = Path(name).parts[1], Path(name).name
    aside = [path.name for path in (root / "task_queue" / "quarantine").iterdir()]
    if any(one.endswith(file) for one in aside):
        assert any(one.endswith(f"{file}.reason.txt") for one in aside)
        return "put aside"
    task_id = file[:36]
    if any(task_id in one for one in says):
        return "named"
    path = root / name
    assert not path.exists() or read(name, path.read_bytes()) is not None or folder in ("keys", "meta"), \
        f"{name} is damaged, and nobody says so"
    return "served its time"
