"""Target 6: four worker processes on one folder, beside one: no task run twice, and more done in all.

    python -m benchmarks.several_workers [--quick] [--folder DIR]

All tasks wait and the queue is paused until every worker is up; then it is resumed. Each result says when it was
made: the rate is that from the first to the last. The claims of the event stream are counted: one per task.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.engine_vs_disk import opened, submit
from benchmarks.measuring import Ground, Options, Table, ground, median, rate, run
from benchmarks.processes import end
from taskspool.engine.lifecycle import Queue

PROCESSES = 4
ROUNDS = 3
DRAIN_SECONDS = 120.0


def measure(options: Options) -> Table:
    table = Table("Target 6: four local worker processes on one folder")
    count = options.size(3000, 40)
    with ground(options.folder) as place:
        for durability in ("fast", "strict"):
            rounds = [(_drained(place, durability, PROCESSES, count), _drained(place, durability, 1, count))
                      for _ in range(options.size(ROUNDS, 1))]
            ratio = median([many / one for many, one in rounds])
            table.at_least(1.2, ratio, target="6", what=f"four workers, {durability}",
                           ours=rate(median([many for many, _ in rounds])),
                           other=f"{rate(median([one for _, one in rounds]))} one worker",
                           note="every task was claimed once")
    return table


def _drained(place: Ground, durability: str, processes: int, count: int) -> float:
    """Tasks a second that go through ``processes`` workers."""
    root = place.fresh()
    queue = opened(root, "fast")
    try:
        queue.pause()
        submit(queue, count)
        with contextlib.ExitStack() as stack:
            for number in range(processes):
                stack.callback(end, _worker(root, durability, number), 5.0)
            _wait(lambda: len(queue.store.index.asked("noop", since=queue.clock.now().replace(year=2000))) >= processes)
            queue.resume()
            _wait(lambda: queue.counts().done >= count)
        return _rate_of(queue, count)
    finally:
        queue.close()


def _worker(root: Path, durability: str, number: int) -> subprocess.Popen[bytes]:
    handlers = str(Path(__file__).with_name("noop_handlers.py"))
    with (root / f"log-{number}.txt").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "taskspool", "work", "--root", str(root), "--no-builtin", "--handlers", handlers,
             "--name", f"w{number}"], stdout=log, stderr=log, env={**os.environ, "TASKSPOOL_DURABILITY": durability})


def _wait(is_so: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DRAIN_SECONDS
    while not is_so():
        if time.monotonic() > ends_at:
            raise TimeoutError("the workers did not come, or did not end")
        time.sleep(0.05)


def _rate_of(queue: Queue, count: int) -> float:
    results = queue.latest_results(count)
    moments = [result.data["ran_at_ns"] for result in results]
    assert len(moments) == count, f"{len(moments)} results for {count} tasks"
    assert all(result.attempt == 1 for result in results), "a task was tried twice"
    assert _claims(queue) == count, "a task was handed out twice"
    return (count - 1) / ((max(moments) - min(moments)) / 1e9)


def _claims(queue: Queue) -> int:
    """How many the event stream tells of."""
    claims, events = 0, queue.store.index.events(limit=1000)
    while events:
        claims += sum(event.verb == "claim" for event in events)
        events = queue.store.index.events(events[-1].id, limit=1000)
    return claims


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
