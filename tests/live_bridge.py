"""A bridge over a real socket, served in this process, and the two ways to call it: requests, and raw bytes."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import requests
from waiting import eventually

from taskspool.doors.bridge import create_app
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.settings import Settings
from taskspool.web.server import Serving


@dataclass
class Reply:
    """An answer read from a raw socket. ``headers``: lower-case name -> value."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class LiveBridge:
    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.queue = queue
        self.settings = settings
        self.serving = Serving(create_app(queue, settings), settings, port=0)
        self.port: int = self.serving.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self._thread = threading.Thread(target=self.serving.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        eventually(lambda: self.get("/health").ok, why="the bridge answers")

    def stop(self) -> None:
        self.session.close()
        self.serving.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=30, **options)

    def post(self, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.session.post(self.url + path, json=json, timeout=30, **options)

    def submit(self, task_type: str = "ping", data: dict[str, Any] | None = None, **more: Any) -> str:
        """The id of a new task."""
        reply = self.post("/api/tasks", {"task_type": task_type, "data": data or {}, **more})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["task_id"])

    def claim(self, worker: str = "w", **more: Any) -> Any:
        """The next task, or None."""
        return self.post("/api/tasks/next", {"worker_id": worker, **more}).json()["task"]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def raw(self, request: bytes) -> Reply:
        """The answer to exactly these bytes, on a connection of their own."""
        with self.connect() as connection:
            connection.sendall(request)
            return read_reply(connection)


def read_reply(connection: socket.socket, *, has_body: bool = True) -> Reply:
    """One answer. Raises ConnectionError when the connection ends before it is complete."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += _more(connection)
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", 0)) if has_body else 0
    while len(body) < length:
        body += _more(connection)
    return Reply(int(first.split()[1]), headers, body)


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(65_536)
    if not chunk:
        raise ConnectionError("the server closed the connection")
    return chunk


def request_bytes(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """A request as bytes; ``headers`` with _ for -. Host is localhost, and a body is JSON, unless said otherwise."""
    lines = {"host": "localhost:8091", **{name.replace("_", "-").lower(): value for name, value in headers.items()}}
    if body:
        lines = {"content-type": "application/json", "content-length": str(len(body)), **lines}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body


@contextmanager
def live_bridge(root: Path, **settings: Any) -> Iterator[LiveBridge]:
    """A bridge on ``root`` with its sweeper; fast durability unless said otherwise."""
    chosen = replace(Settings(root=root, durability="fast"), **settings)
    queue = open_queue(chosen)
    sweeper = Sweeper(queue, tick_seconds=0.1)
    bridge = LiveBridge(queue, chosen)
    sweeper.start()
    try:
        bridge.start()
        yield bridge
    finally:
        bridge.stop()
        sweeper.stop()
        queue.close()
