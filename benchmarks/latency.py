"""Target 5: how long who waits still waits, and what it costs that many wait.

    python -m benchmarks.latency [--quick] [--folder DIR]

Times are counted from the moment the submitter (or the finishing worker) had its answer to the moment the waiting
side had its own. Nobody polls: both long polls and the folder worker are woken.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import load
from benchmarks.engine_vs_disk import opened
from benchmarks.measuring import WORK, Ground, Options, Table, ground, percentile, run
from benchmarks.over_http import wait_until
from benchmarks.processes import bridge, end, free_port, resident_mb, running
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask
from taskspool.errors import ResultPending

P50_MS, P99_MS = 10.0, 50.0
SETTLE_SECONDS = 0.005
"""Given to a question to reach its seat before the thing it waits for happens."""


class Asker:
    """A connection that asks one question at a time and tells when the answer was whole."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def send(self, question: bytes) -> None:
        self.socket.sendall(question)

    def read(self) -> load.Answer | None:
        """What came, if it is a whole answer now."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._buffer += chunk
        answer = load.whole(self._buffer)
        if answer is not None:
            self._buffer = b""
        return answer

    def ask(self, question: bytes) -> load.Answer:
        self.send(question)
        while True:
            answer = self.read()
            if answer is not None:
                return answer


def both(acting: Asker, waiting: Asker) -> tuple[float, load.Answer, load.Answer]:
    """Seconds from the answer to ``acting`` to the answer to ``waiting`` (0 when that was first), and both answers."""
    done: dict[Asker, tuple[float, load.Answer]] = {}
    with selectors.DefaultSelector() as selector:
        for one in (acting, waiting):
            selector.register(one.socket, selectors.EVENT_READ, one)
        while len(done) < 2:
            ready = selector.select(30)
            if not ready:
                raise TimeoutError("an answer is missing")
            for key, _ in ready:
                answer = key.data.read()
                if answer is not None:
                    done[key.data] = (time.perf_counter(), answer)
                    selector.unregister(key.fileobj)
    return max(0.0, done[waiting][0] - done[acting][0]), done[acting][1], done[waiting][1]


def measure(options: Options) -> Table:
    table = Table("Target 5: latency")
    rounds, seconds = options.size(200, 5), options.size(4, 1)
    with ground(options.folder) as place:
        for durability in ("fast", "strict"):
            with server(place, durability) as (port, _):
                _hand_overs(table, port, durability, rounds)
                _many_clients(table, port, durability, 50, seconds)
        with server(place, "fast") as (port, process_id):
            _many_waiting(table, port, process_id, options.size(1000, 50), seconds)
        _folder_worker(table, place, rounds)
    return table


@contextmanager
def server(place: Ground, durability: str) -> Iterator[tuple[int, int]]:
    root, port = place.fresh(), free_port()
    with running(bridge(root, durability, port), port, root / "log.txt") as process:
        yield port, process.pid


def _hand_overs(table: Table, port: int, durability: str, rounds: int) -> None:
    worker, client = Asker(port), Asker(port)
    question = load.request("POST", "/api/tasks/next", {"worker_id": "w", "types": ["noop"], "wait": 20})
    tasks, results = [], []
    for _ in range(rounds):
        worker.send(question)
        time.sleep(SETTLE_SECONDS)
        client.send(load.SUBMIT)
        took, _, claimed = both(client, worker)
        tasks.append(took * 1000)
        path = f"/api/tasks/{load.task_id_of(claimed[1])}/result"
        client.send(load.request("GET", f"{path}?wait=20"))
        time.sleep(SETTLE_SECONDS)
        worker.send(load.request("POST", path, load.RESULT_BODY))
        took, _, answer = both(worker, client)
        if answer[0] != 200:
            raise RuntimeError(f"the waiting client was answered {answer[0]}")
        results.append(took * 1000)
    _add(table, f"a new task to a waiting worker, {durability}", tasks)
    _add(table, f"a result to a waiting client, {durability}", results)


def _add(table: Table, what: str, milliseconds: list[float]) -> None:
    for percent, bar in ((50, P50_MS), (99, P99_MS)):
        figure = percentile(milliseconds, percent)
        table.at_most(bar, figure, target="5", what=f"{what}, p{percent}", ours=f"{figure:.2f} ms", unit="ms")


def _many_clients(table: Table, port: int, durability: str, clients: int, seconds: float) -> None:
    seen = load.loaded(port, "cycle", clients, seconds)
    table.at_most(50, seen["p99_ms"], target="5", what=f"{clients} clients at once, cycles, {durability}, p99",
                  ours=f"{seen['p99_ms']:.1f} ms", other=f"p50 {seen['p50_ms']:.1f} ms, {seen['per_second']:.0f} req/s",
                  unit="ms")


def _many_waiting(table: Table, port: int, process_id: int, waiting: int, seconds: float) -> None:
    """Workers that wait for a type that never comes: what they cost in memory, and what others notice."""
    before_mb = resident_mb(process_id)
    alone = load.loaded(port, "cycle", 4, seconds)
    asked = {"port": port, "script": "wait", "connections": waiting, "seconds": 1.0, "rounds": 1}
    holders = subprocess.Popen([sys.executable, "-m", "benchmarks.load", json.dumps(asked)], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    try:
        time.sleep(min(3.0, 0.5 + waiting / 500))
        beside = load.loaded(port, "cycle", 4, seconds)
        with_mb = resident_mb(process_id)
    finally:
        end(holders)
    if before_mb is not None and with_mb is not None:
        table.at_most(300, with_mb, target="5", what=f"memory of the server with {waiting} waiting workers",
                      ours=f"{with_mb:.0f} MB", other=f"{before_mb:.0f} MB at the start", unit="MB")
    table.at_most(None, beside["p50_ms"] / alone["p50_ms"], target="5", what="p50 of others' requests meanwhile",
                  ours=f"{beside['p50_ms']:.2f} ms", other=f"{alone['p50_ms']:.2f} ms with nobody waiting")
    table.at_most(1.5, beside["p99_ms"] / alone["p99_ms"], target="5", what="p99 of others' requests meanwhile",
                  ours=f"{beside['p99_ms']:.2f} ms", other=f"{alone['p99_ms']:.2f} ms with nobody waiting",
                  note="the bar is ours: performance.md says 'do not slow others'")


def _folder_worker(table: Table, place: Ground, rounds: int) -> None:
    """From the return of ``enqueue`` in this process to the handler's first line in the worker's."""
    root = place.fresh()
    queue = opened(root, "fast")
    with (root / "log.txt").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-m", "taskspool", "work", "--root", str(root), "--no-builtin",
                                   "--handlers", str(Path(__file__).with_name("noop_handlers.py"))],
                                  stdout=log, stderr=log)
    try:
        _one_by_worker(queue)  # it has started
        milliseconds = [_one_by_worker(queue) * 1000 for _ in range(rounds)]
    finally:
        end(worker)
        queue.close()
    _add(table, "a new task to a waiting folder worker", milliseconds)


def _one_by_worker(queue: Queue) -> float:
    time.sleep(SETTLE_SECONDS)
    task_id = queue.enqueue(NewTask("noop", WORK)).task_id
    returned_at_ns = time.time_ns()
    wait_until(lambda: _has_result(queue, task_id), 30.0, 0.001)
    ran_at_ns: int = queue.result(task_id).data["ran_at_ns"]
    return max(0.0, (ran_at_ns - returned_at_ns) / 1e9)


def _has_result(queue: Queue, task_id: str) -> bool:
    try:
        queue.result(task_id)
    except ResultPending:
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
