"""Target 1: the engine against the disk. How much of what bare file calls can do is left when the queue does it.

    python -m benchmarks.engine_vs_disk [--quick] [--folder DIR]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from benchmarks import bare, traced
from benchmarks.bare import all_at_once
from benchmarks.measuring import WORK, Ground, Options, Pair, Table, ground, per_second, rate, run, side_by_side
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import NewTask
from taskspool.settings import Settings

CALLERS = 16
TASK = b"t" * 480
"""As many bytes as the file of a task with ``WORK``."""
REPLY = b"r" * 330


def opened(root: Path, durability: Literal["strict", "fast"]) -> Queue:
    return open_queue(Settings(root=root, durability=durability))


def submit(queue: Queue, count: int) -> None:
    for _ in range(count):
        queue.enqueue(NewTask("noop", WORK))


def work_off(queue: Queue, count: int) -> None:
    for _ in range(count):
        claim = queue.claim("w", max_tasks=1)[0]
        queue.complete(claim.task.id, claim.lease.token, {"message": "pong"})


def measure(options: Options) -> Table:
    table = Table("Target 1: the engine against bare file calls on the same disk, in turns")
    with ground(options.folder) as place:
        _fast(table, place, options.size(24, 1), options.size(800, 50))
        _durable(table, place, options.size(12, 1), options.size(120, 10))
        table.rows += traced.compared(place.fresh())
    return table


def _fast(table: Table, place: Ground, rounds: int, count: int) -> None:
    _add(table, "submit, fast", 0.6, side_by_side(
        place, rounds,
        _ours("fast", lambda queue: None, lambda queue: submit(queue, count), count),
        _bare(lambda root: None, lambda root: bare.submit(root, count, TASK), count)), "create + rename")
    _add(table, "claim + complete, fast", 0.5, side_by_side(
        place, rounds,
        _ours("fast", lambda queue: submit(queue, count), lambda queue: work_off(queue, count), count),
        _bare(lambda root: bare.submit(root, count, TASK), lambda root: bare.claim_and_complete(root, count, REPLY),
              count)), "the same calls, bare")


def _durable(table: Table, place: Ground, rounds: int, count: int) -> None:
    _add(table, "submit, durable, 1 caller", 0.8, side_by_side(
        place, rounds,
        _ours("strict", lambda queue: None, lambda queue: submit(queue, count), count),
        _bare(lambda root: None, lambda root: bare.submit_durably(root, range(count), TASK), count)),
        "create + fsync + rename + fsync(folder)")
    each = max(1, count // 3)
    _add(table, f"submit, durable, {CALLERS} callers", 0.7, side_by_side(
        place, rounds,
        _ours("strict", lambda queue: None,
              lambda queue: all_at_once(CALLERS, lambda _: submit(queue, each)), each * CALLERS),
        _bare(lambda root: None,
              lambda root: all_at_once(CALLERS, lambda caller: bare.submit_durably(
                  root, range(caller * each, (caller + 1) * each), TASK)), each * CALLERS)),
        f"the same in {CALLERS} bare threads")


def _ours(durability: Literal["strict", "fast"], prepare: Callable[[Queue], None], action: Callable[[Queue], None],
          count: int) -> Callable[[Path], float]:
    def measured(root: Path) -> float:
        queue = opened(root, durability)
        try:
            prepare(queue)
            return per_second(count, lambda: action(queue))
        finally:
            queue.close()

    return measured


def _bare(prepare: Callable[[Path], None], action: Callable[[Path], None], count: int) -> Callable[[Path], float]:
    def measured(root: Path) -> float:
        bare.folders(root)
        prepare(root)
        return per_second(count, lambda: action(root))

    return measured


def _add(table: Table, what: str, bar: float, pair: Pair, other: str) -> None:
    table.at_least(bar, pair.ratio, target="1", what=what, ours=rate(pair.ours), other=f"{rate(pair.other)} ({other})")


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
