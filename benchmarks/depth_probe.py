"""One process that fills, or opens and measures, a deep queue: ``python -m benchmarks.depth_probe ROOT WHAT DEPTH``.

``fill`` submits DEPTH tasks. ``start`` tells how soon the first task is claimed, and when all are in line; then, for
each line it reads, it measures a round of claims, pages and statistics. Every answer is a line of JSON.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measuring import WORK, median
from taskspool.engine.index_query import Filter
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import Claim, NewTask, Priority, State
from taskspool.settings import Settings

TYPES = ("noop", "review", "summary", "translate", "index")
READY = frozenset({State.READY})
CLAIMS = 300
PAGES = 15
FULL_SECONDS = 600.0


def main() -> int:
    root, what, depth = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if what == "fill":
        fill(root, depth)
    else:
        start(root, depth)
    return 0


def tell(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


def fill(root: Path, depth: int) -> None:
    queue = open_queue(Settings(root=root, durability="fast"))
    levels = list(Priority)
    try:
        for number in range(depth):
            queue.enqueue(NewTask(TYPES[number % len(TYPES)], WORK, priority=levels[number * 7 % len(levels)]))
    finally:
        queue.close()


def start(root: Path, depth: int) -> None:
    began = time.perf_counter()
    queue = open_queue(Settings(root=root, durability="fast"))
    sweeper = Sweeper(queue)
    sweeper.start()
    try:
        claims = queue.claim("w")
        while not claims:
            claims = queue.claim("w")
        first = time.perf_counter() - began
        queue.release(claims[0].task.id, claims[0].lease.token)
        while not is_full(queue, depth) and time.perf_counter() - began < FULL_SECONDS:
            time.sleep(0.05)
        tell({"first_claim_s": first, "full_s": time.perf_counter() - began, "peak_mib": memory("VmHWM"),
              "memory_mib": memory("VmRSS")})
        for _ in sys.stdin:
            tell(figures(queue, min(CLAIMS, depth // 2)))
    finally:
        sweeper.stop()
        queue.close()


def is_full(queue: Queue, depth: int) -> bool:
    """All tasks are in line, and the index tells of all of them."""
    counts = queue.counts().ready
    return counts >= depth and queue.store.index.statistics().is_complete


def figures(queue: Queue, claims: int) -> dict[str, Any]:
    """One round, in milliseconds but for the claims; what it claimed it gives back."""
    index = queue.store.index
    page = index.listing(Filter(states=READY), limit=50)
    assert page.total == queue.counts().ready, "the total of the page is true"
    held: list[Claim] = []
    claimed = typical(lambda: held.extend(queue.claim("w")), claims)
    found = {
        "claim_us": 1000 * claimed,
        "list_ms": typical(lambda: index.listing(Filter(states=READY), limit=50), PAGES),
        "list_type_ms": typical(lambda: index.listing(Filter(types=frozenset({"review"})), limit=50), PAGES),
        "list_priority_ms": typical(lambda: index.listing(sort="-priority", limit=50), PAGES),
        "deep_page_ms": typical(lambda: index.listing(Filter(states=READY), limit=50, cursor=page.cursor), PAGES),
        "waiting_ms": typical(lambda: queue.listing(limit=10, oldest=True), PAGES),
        "statistics_ms": typical(index.statistics, PAGES),
        "counts_ms": typical(queue.counts, PAGES),
    }
    for claim in held:
        queue.release(claim.task.id, claim.lease.token)
    return found


def typical(action: Callable[[], object], count: int) -> float:
    """Milliseconds, the median."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return 1000 * median(times)


def memory(field: str) -> float:
    """MiB of this process, as Linux tells them: VmHWM is the most there ever was, VmRSS what there is."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"{field}:\s+(\d+) kB", text)
    return 0.0 if found is None else int(found[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
