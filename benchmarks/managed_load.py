"""Clients of the managed door, in a process of their own: raw sockets, one thread (see ``benchmarks.load``).

    python -m benchmarks.managed_load '{"port": 8084, "clients": 50, "seconds": 5, "pace_seconds": 0.1}'

Each client goes round: submit a task, look at it, list what is queued, ask for the statistics of its knowledge base.
``pace_seconds``: how often each client asks, whatever the answers take; 0: the next question follows the answer.
Prints one JSON object: for each kind of request, and for ``all``, how many, p50 and p99 in milliseconds.
"""

from __future__ import annotations

import heapq
import json
import selectors
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import load
from benchmarks.measuring import median, percentile

KINDS = ("submit", "look", "list", "statistics")
PATIENCE_SECONDS = 30.0


def body(number: int, pause: float = 0.0) -> dict[str, Any]:
    return {"task_type": "url_download_processing", "kb_id": f"kb_{number % 20}", "priority": "normal",
            "payload": {"pause": pause, "text": "x" * 180}}


def round_of(number: int, is_running: Callable[[], bool]) -> load.Script:
    """The four requests of one client, again and again."""
    submit = load.request("POST", "/api/v1/tasks", body(number))
    listing = load.request("GET", "/api/v1/tasks?status=queued&page=1&page_size=20")
    figures = load.request("GET", f"/api/v1/stats/tasks?kb_id=kb_{number % 20}")
    while is_running():
        answer = yield submit
        _expect(201, answer)
        _expect(200, (yield load.request("GET", f"/api/v1/tasks/{load.task_id_of(answer[1])}")))
        _expect(200, (yield listing))
        _expect(200, (yield figures))


def submits(count: int, clients: int, pause: float) -> list[load.Script]:
    """``count`` tasks, by all clients together."""
    left = [count]

    def one(number: int) -> load.Script:
        while left[0] > 0:
            left[0] -= 1
            _expect(201, (yield load.request("POST", "/api/v1/tasks", body(number, pause))))

    return [one(number) for number in range(clients)]


def _expect(status: int, answer: load.Answer) -> None:
    if answer[0] != status:
        raise RuntimeError(f"the door answered {answer[0]} instead of {status}: {answer[1][:300]!r}")


class Paced(load.Connection):
    """Asks at its own times. What is late counts: a request's time runs from when it was due."""

    def __init__(self, port: int, script: load.Script, first_at: float, pace_seconds: float) -> None:
        super().__init__(port, script)
        self.due_at = first_at
        self._pace_seconds = pace_seconds
        self._answer: load.Answer | None = None

    def ask(self) -> bool:
        """The question that is due now; False when there is no next."""
        try:
            content = next(self._script) if self._answer is None else self._script.send(self._answer)
        except StopIteration:
            return False
        self._asked_at = self.due_at
        self.due_at += self._pace_seconds
        self.socket.sendall(content)
        return True

    def read(self) -> bool:
        """Whether the answer is whole."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._buffer += chunk
        self._answer = load.whole(self._buffer)
        if self._answer is None:
            return False
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._asked_at)
        return True


def paced(port: int, scripts: list[load.Script], pace_seconds: float, end_by: float) -> list[float]:
    """Follow all ``scripts``, their clients spread over the pace; the seconds each answer took."""
    began = time.perf_counter()
    clients = [Paced(port, script, began + pace_seconds * number / len(scripts), pace_seconds)
               for number, script in enumerate(scripts)]
    due = [(client.due_at, number) for number, client in enumerate(clients)]
    heapq.heapify(due)
    asked = 0
    with selectors.DefaultSelector() as selector:
        for number, client in enumerate(clients):
            selector.register(client.socket, selectors.EVENT_READ, number)
        while due or asked:
            now = time.perf_counter()
            if now > end_by + PATIENCE_SECONDS:
                raise TimeoutError("answers are missing")
            while due and due[0][0] <= now:
                asked += clients[heapq.heappop(due)[1]].ask()
            for key, _ in selector.select(max(0.0, due[0][0] - now) if due else 1.0):
                if clients[key.data].read():
                    asked -= 1
                    heapq.heappush(due, (clients[key.data].due_at, key.data))
    for client in clients:
        client.socket.close()
    return [latency for client in clients for latency in client.latencies]


def measured(port: int, clients: int, seconds: float, pace_seconds: float = 0.0) -> dict[str, Any]:
    """What clients that go round see."""
    began = time.perf_counter()
    end_by = began + seconds
    scripts = [round_of(number, lambda: time.perf_counter() < end_by) for number in range(clients)]
    if pace_seconds:
        latencies = paced(port, scripts, pace_seconds, end_by)
    else:
        latencies = load.drive(port, scripts, end_by + PATIENCE_SECONDS)
    took = time.perf_counter() - began
    told = {kind: _told(latencies[number::len(KINDS)]) for number, kind in enumerate(KINDS)}
    return {**told, "all": _told(latencies), "per_second": len(latencies) / took}


def _told(latencies: list[float]) -> dict[str, float]:
    return {"count": len(latencies), "p50_ms": median(latencies) * 1000, "p99_ms": percentile(latencies, 99) * 1000}


def in_process(**asked: Any) -> dict[str, Any]:
    """``measured``, or with ``count`` only submits, in a process of its own. Raises RuntimeError: its last words."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.managed_load", json.dumps(asked)], capture_output=True,
                          text=True, timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def main(asked: dict[str, Any]) -> dict[str, Any]:
    if "count" not in asked:
        return measured(**asked)
    began = time.perf_counter()
    scripts = submits(asked["count"], asked["clients"], asked.get("pause", 0.0))
    latencies = load.drive(asked["port"], scripts, began + 300)
    return {**_told(latencies), "per_second": len(latencies) / (time.perf_counter() - began)}


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
