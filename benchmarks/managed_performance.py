"""The managed door beside what its document claims: 50 tasks at once, 100 tasks a second, answers in 50 ms, a task
begun within a second, 99.9 % of tasks done.

    python -m benchmarks.managed_performance [--quick] [--folder DIR]

A real server, real worker processes on its folder, clients in a process of their own. The claims are those of the
document of the original service (seed 004); the ratio is ours to the claim, or the claim to ours where less is better.
Durability is strict: what was accepted is on the disk.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import managed_load
from benchmarks.measuring import Ground, Options, Row, Table, ground, percentile, rate, run
from benchmarks.over_http import wait_until
from benchmarks.processes import cpu_seconds, end, free_port, get, running
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import Result
from taskspool.settings import Settings

AT_ONCE, PER_SECOND, ANSWER_MS, LATENCY_SECONDS, SHARE_DONE = 50, 100.0, 50.0, 1.0, 0.999
"""The claims."""
CLIENTS = 50
WORKERS = 2
HANDLERS = Path(__file__).with_name("managed_handlers.py")


@dataclass(slots=True)
class Door:
    """A running server and the workers on its folder."""

    port: int
    root: Path
    process_id: int
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_worker(self, concurrency: int) -> None:
        with (self.root / f"worker-{len(self.workers)}.txt").open("ab") as log:
            self.workers.append(subprocess.Popen(
                [sys.executable, "-m", "taskspool", "work", "--root", str(self.root), "--queue", "managed",
                 "--no-builtin", "--handlers", str(HANDLERS), "--name", f"w{len(self.workers)}",
                 "--concurrency", str(concurrency)], stdout=log, stderr=log))

    def stats(self) -> dict[str, Any]:
        return get(self.port, "/api/v1/stats/tasks", seconds=60.0)

    def submit(self, count: int, clients: int, pause: float = 0.0) -> dict[str, Any]:
        return managed_load.in_process(port=self.port, clients=clients, count=count, pause=pause)

    def wait_for_end(self, count: int, seconds: float = 180.0) -> None:
        wait_until(lambda: self._ended() >= count, seconds, 0.02)

    def wait_for_workers(self, count: int) -> None:
        wait_until(lambda: get(self.port, "/api/v1/stats/system")["active_workers"] >= count, 60.0, 0.05)

    def _ended(self) -> int:
        told = self.stats()
        return int(told["completed_tasks"] + told["failed_tasks"])

    @contextmanager
    def queue(self) -> Iterator[Queue]:
        """The folder itself, for what no address tells."""
        queue = open_queue(Settings(root=self.root, queue="managed"))
        try:
            yield queue
        finally:
            queue.close()

    def results(self, count: int) -> list[Result]:
        with self.queue() as queue:
            return queue.latest_results(count)


@contextmanager
def door(place: Ground, workers: int = 0, concurrency: int = 1) -> Iterator[Door]:
    root, port = place.fresh(), free_port()
    command = ["taskspool", "serve", "managed", "--port", str(port), "--root", str(root)]
    with ExitStack() as closing:
        server = closing.enter_context(running(command, port, root / "log.txt"))
        opened = Door(port, root, server.pid)
        closing.callback(lambda: [end(one, 5.0) for one in opened.workers])
        for _ in range(workers):
            opened.start_worker(concurrency)
        if workers:
            opened.wait_for_workers(workers)
        yield opened


def measure(options: Options) -> Table:
    table = Table("The managed door beside the claims of its document")
    with ground(options.folder) as place:
        _at_once(table, place, 0.3 if options.is_quick else 2.0)
        _throughput(table, place, options.size(3000, 60))
        _answers(table, place, 0.5 if options.is_quick else 8.0)
        _latency(table, place, options.size(400, 10))
        _faults(table, place, options.size(2000, 40), options.size(12, 1))
    return table


def _at_once(table: Table, place: Ground, seconds: float) -> None:
    """One worker that may do 50 at once, 50 tasks that take a while: how many of them ran at the same time."""
    with door(place, 1, AT_ONCE) as opened:
        opened.submit(AT_ONCE, 8, pause=seconds)
        opened.wait_for_end(AT_ONCE)
        spans = [result.data for result in opened.results(AT_ONCE)]
    moments = sorted([(span["began_at_ns"], 1) for span in spans] + [(span["ended_at_ns"], -1) for span in spans])
    most = now = 0
    for _, change in moments:
        now += change
        most = max(most, now)
    table.at_least(1.0, most / AT_ONCE, target="managed", what="tasks at once", ours=str(most),
                   other=f"{AT_ONCE} claimed")


def _throughput(table: Table, place: Ground, count: int) -> None:
    """From the first submit over HTTP to the last end, clients and workers at the same time."""
    with door(place, WORKERS, 4) as opened:
        began = time.perf_counter()
        sent = opened.submit(count, 8)
        opened.wait_for_end(count)
        per_second = count / (time.perf_counter() - began)
    table.at_least(1.0, per_second / PER_SECOND, target="managed", what="tasks done per second, end to end",
                   ours=rate(per_second), other=f"{PER_SECOND:g}/s claimed",
                   note=f"{count} tasks, submitted at {rate(sent['per_second'])}, {WORKERS} workers")


def _answers(table: Table, place: Ground, seconds: float) -> None:
    """What 50 clients wait for an answer, while workers do what they submit."""
    with door(place, WORKERS, 4) as opened:
        for pace_seconds, claim, how in ((0.2, ANSWER_MS, "5 requests a second each"),
                                         (0.0, None, "as fast as they are answered")):
            before = cpu_seconds(opened.process_id)
            seen = managed_load.in_process(port=opened.port, clients=CLIENTS, seconds=seconds,
                                           pace_seconds=pace_seconds)
            after = cpu_seconds(opened.process_id)
            cost = "" if before is None or after is None else (
                f", {(after - before) / seen['all']['count'] * 1000:.2f} ms of the server's processor each")
            kinds = ", ".join(f"{kind} {seen[kind]['p99_ms']:.0f}" for kind in managed_load.KINDS)
            table.rows.append(_less("managed", f"p99 of an answer, {CLIENTS} clients, {how}", seen["all"]["p99_ms"],
                                    claim, "ms", f"p50 {seen['all']['p50_ms']:.1f} ms, {seen['per_second']:.0f} "
                                                 f"req/s{cost}; p99 by kind: {kinds} ms"))


def _latency(table: Table, place: Ground, count: int) -> None:
    """From a task's creation to its start, workers idle before it."""
    with door(place, WORKERS, 4) as opened:
        for _ in range(count):
            opened_at = time.perf_counter()
            managed_load.main({"port": opened.port, "clients": 1, "count": 1})
            time.sleep(max(0.0, 0.01 - (time.perf_counter() - opened_at)))
        opened.wait_for_end(count)
        with opened.queue() as queue:
            waited = [(result.claimed_at - queue.task(result.task_id).task.created_at).total_seconds()
                      for result in queue.latest_results(count) if result.claimed_at is not None]
    figure = percentile(waited, 99)
    table.rows.append(_less("managed", "p99 from a task's creation to its start", figure * 1000, LATENCY_SECONDS * 1000,
                            "ms", f"p50 {percentile(waited, 50) * 1000:.1f} ms, worst {max(waited) * 1000:.1f} ms"))


def _faults(table: Table, place: Ground, count: int, kills: int) -> None:
    """Workers are killed (SIGKILL) one after the other while they work, and others started in their place."""
    with door(place, 3, 4) as opened:
        clients = threading.Thread(target=opened.submit, args=(count, 8, 0.05))
        clients.start()
        for number in range(kills):
            time.sleep(0.3)
            opened.workers[number].kill()
            opened.workers[number].wait(10)
            opened.start_worker(4)
        clients.join()
        opened.wait_for_end(count, 300.0)
        told = opened.stats()
        share = told["completed_tasks"] / told["total_tasks"]
        again = sum((result.attempt or 1) > 1 for result in opened.results(count))
    table.at_least(1.0, share / SHARE_DONE, target="managed", what=f"tasks done while {kills} workers are killed",
                   ours=f"{share:.2%}", other=f"{SHARE_DONE:.1%} claimed",
                   note=f"{count} tasks, {again} of them were held by a worker that was killed")


def _less(target: str, what: str, ours: float, claim: float | None, unit: str, note: str) -> Row:
    """A row for what should be small: the ratio is the claim to ours. None: for information."""
    if claim is None:
        return Row(target, what, f"{ours:.1f} {unit}", "", None, note=note)
    return Row(target, what, f"{ours:.1f} {unit}", f"{claim:g} {unit} claimed", claim / ours, ">= 1x", ours <= claim,
               note)


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
