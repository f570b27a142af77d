"""The whole of it as its users have it: a bridge, a worker on the folder, each a process of its own."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from live_bridge import Reply, read_reply
from service import Service, services, taskspool

TIMEOUT = 30


@dataclass
class System:
    """A bridge at ``url`` on ``folder``; ``session`` asks it."""

    bridge: Service
    port: int
    root: Path
    session: requests.Session

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return self.root / "task_queue"

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.session.get(self.url + path, headers=headers, timeout=TIMEOUT)

    def post(self, path: str, body: Any = None, **headers: str) -> requests.Response:
        return self.session.post(self.url + path, json=body, headers=headers, timeout=TIMEOUT)

    def submit(self, task_type: str, data: dict[str, Any] | None = None) -> str:
        """The id of a new task, asked for in dialect A."""
        reply = self.post("/api/tasks", {"task_type": task_type, "data": data or {}})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["task_id"])

    def result(self, task_id: str) -> Any:
        """The result, waited for as long as one question may."""
        reply = self.get(f"/api/tasks/{task_id}/result?wait=20")
        assert reply.status_code == 200, reply.text
        return reply.json()

    def raw(self, request: bytes) -> Reply:
        """The answer to exactly these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT) as connection:
            connection.sendall(request)
            return read_reply(connection)

    def problems(self) -> str:
        """What ``taskspool doctor`` says; empty when the folder is sound."""
        done = taskspool("doctor", "--root", self.root)
        return "" if done.returncode == 0 else done.stdout


@contextmanager
def system(folder: Path, *, has_worker: bool) -> Iterator[System]:
    root = folder / "outputs"
    with services(folder) as made, requests.Session() as session:
        session.trust_env = False
        bridge = made.bridge(root)
        found = System(bridge, bridge.port(), root, session)
        if has_worker:
            made.worker("--root", root, "--name", "our-worker")
        yield found


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A bridge and a worker for the built-in types; tests that want a task untouched choose another type."""
    with system(tmp_path_factory.mktemp("office"), has_worker=True) as found:
        yield found


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[System]:
    """A bridge nobody works for, for clients that take whatever waits."""
    with system(tmp_path, has_worker=False) as found:
        yield found
