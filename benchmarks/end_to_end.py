"""Target 2, end to end: one worker process, handlers that do nothing, how many tasks a second go through it.

    python -m benchmarks.end_to_end [--quick] [--folder DIR]

All tasks wait before the worker starts; it counts its own tasks and tells the time from the first to the last.
Ours is ``taskspool work`` on a folder. The peers run with their usual worker, one process, one thread where they
have such a choice; each is optional.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.engine_vs_disk import opened, submit
from benchmarks.measuring import Ground, Options, Table, ground, rate, run
from benchmarks.peers import REDIS
from benchmarks.processes import end

PEERS = ("huey SQLite", "huey file", "huey Redis", "rq", "dramatiq", "celery Redis", "taskiq", "arq", "saq")
"""Names of ``benchmarks.workers``, which holds each one's app."""
WORKER_SECONDS = 60.0


def measure(options: Options) -> Table:
    table = Table("Target 2, end to end: one worker process, handlers that do nothing")
    count = options.size(2000, 20)
    with ground(options.folder) as place:
        for name in PEERS[:2] if options.is_quick else PEERS:
            try:
                with swept():
                    theirs = _peer(place, name, count)
            except Absent as error:
                table.skip(target="2", what=f"end to end, {name}", reason=str(error))
                continue
            ours = {durability: _ours(place, durability, count) for durability in ("fast", "strict")}
            _add(table, name, ours, theirs)
    return table


@contextmanager
def swept() -> Iterator[None]:
    """Whatever appears on the Redis used here within the block is taken away again after it."""
    if importlib.util.find_spec("redis") is None:
        yield  # the peers that need it will say so themselves
        return
    import redis

    client = redis.Redis.from_url(REDIS)
    try:
        before = set(client.scan_iter(count=1000))
    except redis.exceptions.RedisError:
        yield
        return
    try:
        yield
    finally:
        for key in set(client.scan_iter(count=1000)) - before:
            client.delete(key)


class Absent(Exception):
    """The peer cannot be measured here; the text says why."""


def _add(table: Table, name: str, ours: dict[str, float], theirs: float) -> None:
    for durability, mine in ours.items():
        bar = None if durability == "strict" and name == "huey SQLite" else 1.0
        note = "it deletes a task before it runs it" if name == "huey SQLite" else ""
        table.at_least(bar, mine / theirs, target="2", what=f"end to end, {durability}", ours=rate(mine),
                       other=f"{rate(theirs)} {name}", note=note)


def _ours(place: Ground, durability: str, count: int) -> float:
    root = place.fresh()
    queue = opened(root, "fast")
    submit(queue, count)
    queue.close()
    command = [sys.executable, "-m", "taskspool", "work", "--root", str(root), "--no-builtin", "--handlers",
               str(Path(__file__).with_name("counting_handlers.py"))]
    return _rate_of(command, root, count, {"TASKSPOOL_DURABILITY": durability})


def _peer(place: Ground, name: str, count: int) -> float:
    """Raises Absent."""
    root = place.fresh()
    environment = {"BENCHMARK_PEER": name, "BENCHMARK_FOLDER": str(root),
                   "BENCHMARK_QUEUE": f"benchmark-{uuid.uuid4().hex[:8]}"}
    filled = subprocess.run([sys.executable, "-m", "benchmarks.workers", "fill", str(count)], capture_output=True,
                            text=True, timeout=60, check=False, env={**os.environ, **environment})
    if filled.returncode != 0:
        raise Absent((filled.stderr.strip().splitlines() or ["it failed"])[-1])
    command = [sys.executable, "-m", "benchmarks.workers", "work", str(count)]
    return _rate_of(command, root, count, environment)


def _rate_of(command: list[str], root: Path, count: int, environment: dict[str, str]) -> float:
    """Run the worker until it has written how long it took; tasks a second."""
    told = root / "took.txt"
    with (root / "log.txt").open("wb") as log:
        worker = subprocess.Popen(command, stdout=log, stderr=log, env={
            **os.environ, **environment, "BENCHMARK_COUNT": str(count), "BENCHMARK_TOOK": str(told)})
        ends_at = time.monotonic() + WORKER_SECONDS
        try:
            while not told.exists():
                if time.monotonic() > ends_at or worker.poll() is not None:
                    raise Absent("its worker ended or hung: " + _last_line(root / "log.txt"))
                time.sleep(0.05)
        finally:
            end(worker, 3.0)
    return (count - 1) / float(told.read_text())


def _last_line(log: Path) -> str:
    with contextlib.suppress(OSError, IndexError):
        return log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1][-150:]
    return "it said nothing"


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
