"""A cheap load generator: raw sockets, prebuilt bytes, one thread, in a process of its own.

    python -m benchmarks.load '{"port": 8091, "script": "cycle", "connections": 8, "seconds": 2}'

prints one JSON object: ``{requests, seconds, latencies_ms: {...}, rounds}``. It speaks to 127.0.0.1 only, and ends by
itself: after ``seconds``, or when every connection has done ``rounds`` rounds of its script.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from benchmarks.measuring import WORK, median, percentile

Answer = tuple[int, bytes]
Script = Generator[bytes, Answer, None]
"""Yields one request after the other and is sent the answer to each; ends when it has nothing more to ask."""

LAST_ANSWER_SECONDS = 30.0
"""How long the last answers may take after the time is up."""


def request(method: str, path: str, body: object = None) -> bytes:
    content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


SUBMIT = request("POST", "/api/tasks", {"task_type": "noop", "data": WORK, "requester": "benchmark"})
NEXT = request("POST", "/api/tasks/next", {"worker_id": "w"})
RESULT_BODY = {"worker_id": "w", "status": "success", "data": {"message": "pong"}}


def between(text: bytes, before: bytes, after: bytes = b'"') -> bytes:
    """The text between ``before`` and ``after``; what costs a JSON parser 5 us costs this a tenth."""
    start = text.index(before) + len(before)
    return text[start: text.index(after, start)]


def task_id_of(body: bytes) -> str:
    """The id in the answer to a submit or a claim, whatever spaces the server writes."""
    key = b'"task_id"' if b'"task_id"' in body else b'"id"'
    rest = body[body.index(key) + len(key):]
    return between(rest, b'"').decode()


def cycle(is_running: Callable[[], bool]) -> Script:
    """submit, next, result, get result: the whole life of a task as its two sides see it."""
    while is_running():
        _expect(201, (yield SUBMIT))
        status, body = yield NEXT
        _expect(200, (status, body))
        path = f"/api/tasks/{task_id_of(body)}/result"
        _expect(200, (yield request("POST", path, RESULT_BODY)))
        _expect(200, (yield request("GET", path)))


def old_cycle(is_running: Callable[[], bool]) -> Script:
    """The same for the original service, which with many clients hands some tasks out twice or not at all."""
    while is_running():
        yield SUBMIT
        _, body = yield NEXT
        if b'"id"' in body:
            path = f"/api/tasks/{task_id_of(body)}/result"
            yield request("POST", path, RESULT_BODY)
            yield request("GET", path)


def empty(is_running: Callable[[], bool]) -> Script:
    """The empty route of ``empty_server``, with the body of a submit."""
    asked = request("POST", "/empty", {"task_type": "noop", "data": WORK, "requester": "benchmark"})
    while is_running():
        _expect(200, (yield asked))


def health(is_running: Callable[[], bool]) -> Script:
    asked = request("GET", "/health")
    while is_running():
        _expect(200, (yield asked))


def wait(is_running: Callable[[], bool]) -> Script:
    """A worker that waits, once, for a type that never comes."""
    if is_running():
        asked = {"worker_id": "w", "types": ["never"], "wait": 12}
        _expect(200, (yield request("POST", "/api/tasks/next", asked)))


SCRIPTS: dict[str, Callable[[Callable[[], bool]], Script]] = {
    "cycle": cycle, "old_cycle": old_cycle, "empty": empty, "health": health, "wait": wait,
}


def _expect(status: int, answer: Answer) -> None:
    if answer[0] != status:
        raise RuntimeError(f"the server answered {answer[0]} instead of {status}: {answer[1][:300]!r}")


class Connection:
    """One keep-alive connection that follows its script; a new one for each question to a server that closes it."""

    def __init__(self, port: int, script: Script) -> None:
        self.latencies: list[float] = []
        self._port = port
        self.socket = self._connect()
        self._script = script
        self._buffer = b""
        self._asked_at = 0.0

    def begin(self) -> bool:
        return self._ask(lambda: next(self._script))

    def go_on(self) -> bool:
        """Read what came; if that completes an answer, ask the next question. False when there is no next."""
        chunk = self.socket.recv(262_144)
        if not chunk:
            raise ConnectionError("the server closed the connection")
        self._buffer += chunk
        answer = whole(self._buffer)
        if answer is None:
            return True
        is_closing = b"\nconnection: close" in self._buffer[:self._buffer.index(b"\r\n\r\n")].lower()
        self._buffer = b""
        self.latencies.append(time.perf_counter() - self._asked_at)
        return self._ask(lambda: self._script.send(answer), is_closing)

    def _ask(self, asked: Callable[[], bytes], on_a_new_connection: bool = False) -> bool:
        try:
            content = asked()
        except StopIteration:
            return False
        self._asked_at = time.perf_counter()
        if on_a_new_connection:
            self.socket.close()
            self.socket = self._connect()
        self.socket.sendall(content)
        return True

    def _connect(self) -> socket.socket:
        connected = socket.create_connection(("127.0.0.1", self._port), timeout=30)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


def whole(buffer: bytes) -> Answer | None:
    """Status and body, once the answer is complete. Servers here always tell the length."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    status = int(buffer[9:12])
    if status in (204, 304):
        return status, b""
    head = buffer[:end].lower() + b"\r\n"
    length = int(between(head, b"content-length:", b"\r\n"))
    body = buffer[end + 4:]
    return (status, body) if len(body) >= length else None


def drive(port: int, scripts: list[Script], end_by: float) -> list[float]:
    """Follow all ``scripts``, each on its own connection; the seconds each answer took.

    Raises TimeoutError when answers are missing at ``end_by``.
    """
    connections = [Connection(port, script) for script in scripts]
    with selectors.DefaultSelector() as selector:
        for one in connections:
            if one.begin():
                selector.register(one.socket, selectors.EVENT_READ, one)
        while selector.get_map():
            if time.perf_counter() > end_by:
                raise TimeoutError("answers are missing")
            for key, _ in selector.select(1.0):
                _follow(selector, key)
    for one in connections:
        one.socket.close()
    return [latency for one in connections for latency in one.latencies]


def _follow(selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    connection: Connection = key.data
    before, descriptor = connection.socket, key.fd
    if not connection.go_on():
        selector.unregister(before)
    elif connection.socket is not before:
        selector.unregister(descriptor)
        selector.register(connection.socket, selectors.EVENT_READ, connection)


def generate(port: int, script: str, connections: int, seconds: float = 2.0, rounds: int = 0,
             patience: float = LAST_ANSWER_SECONDS) -> dict[str, Any]:
    began = time.perf_counter()
    end_by = began + seconds
    left = [rounds * connections or 1 << 60]

    def is_running() -> bool:
        left[0] -= 1
        return left[0] >= 0 and time.perf_counter() < end_by

    latencies = drive(port, [SCRIPTS[script](is_running) for _ in range(connections)], end_by + patience)
    took = time.perf_counter() - began
    return {"requests": len(latencies), "seconds": took, "per_second": len(latencies) / took,
            "p50_ms": median(latencies) * 1000, "p99_ms": percentile(latencies, 99) * 1000}


def loaded(port: int, script: str, connections: int, seconds: float = 2.0, rounds: int = 0,
           patience: float = LAST_ANSWER_SECONDS) -> dict[str, Any]:
    """``generate`` in a process of its own. Raises RuntimeError with its last words."""
    asked = {"port": port, "script": script, "connections": connections, "seconds": seconds, "rounds": rounds,
             "patience": patience}
    done = subprocess.run([sys.executable, "-m", "benchmarks.load", json.dumps(asked)], capture_output=True, text=True,
                          timeout=seconds + patience + 30, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    told: dict[str, Any] = json.loads(done.stdout)
    return told


if __name__ == "__main__":
    print(json.dumps(generate(**json.loads(sys.argv[1]))))
