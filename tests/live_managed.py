"""The door of managed tasks over a real socket, with the worker protocol beside it, served in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import requests
from live_bridge import LiveBridge

from taskspool.cli.doors import PROTOCOL_PATHS
from taskspool.clock import Clock
from taskspool.doors import bridge, managed
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import Claim
from taskspool.settings import Settings
from taskspool.web.mount import Mount
from taskspool.web.server import Serving

TASKS = "/api/v1/tasks"


def at(text: str) -> datetime:
    """The instant a task tells: its texts leave out zeros, and do not sort."""
    return datetime.fromisoformat(text)


class LiveManaged(LiveBridge):
    """What is submitted is told as JSON; ``work`` does what a worker on this folder would."""

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.queue = queue
        self.settings = settings
        app = Mount(managed.create_app(queue, settings),
                    dict.fromkeys(PROTOCOL_PATHS, bridge.create_app(queue, settings)))
        self.serving = Serving(app, settings, port=0)
        self.port: int = self.serving.port
        self.url = f"http://127.0.0.1:{self.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self._thread = threading.Thread(target=self.serving.run, daemon=True)

    def put(self, path: str, **options: Any) -> requests.Response:
        return self.session.put(self.url + path, timeout=30, **options)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.url + path, timeout=30)

    def new(self, **wishes: Any) -> dict[str, Any]:
        """A new task, as the answer tells it; a health check of ``kb`` unless it says otherwise."""
        reply = self.post(TASKS, {"task_type": "health_check", "kb_id": "kb", "payload": {}, **wishes})
        assert reply.status_code == 201, reply.text
        told: dict[str, Any] = reply.json()
        return told

    def told(self, task_id: str) -> dict[str, Any]:
        reply = self.get(f"{TASKS}/{task_id}")
        assert reply.status_code == 200, reply.text
        told: dict[str, Any] = reply.json()
        return told

    def listed(self, **query: Any) -> list[dict[str, Any]]:
        reply = self.get(TASKS, params=query)
        assert reply.status_code == 200, reply.text
        tasks: list[dict[str, Any]] = reply.json()["tasks"]
        return tasks

    def hold(self, task_id: str, worker: str = "worker_001") -> Claim:
        return self.queue.claim_one(task_id, worker)

    def work(self, task_id: str, data: Any = None, worker: str = "worker_001") -> None:
        """Hold the task, and complete it."""
        self.queue.complete(task_id, self.hold(task_id, worker).lease.token, data)

    def fail(self, task_id: str, message: str = "broken", *, is_final: bool = False) -> None:
        """Hold the task, and fail it; ``is_final``: no other try."""
        token = self.hold(task_id).lease.token
        self.queue.fail(task_id, token, Failure(message, retryable=not is_final))


@contextmanager
def live_managed(root: Path, *, clock: Clock | None = None, **settings: Any) -> Iterator[LiveManaged]:
    """The door on ``root`` with its sweeper; with a ``clock`` of its own nothing happens but when the test sweeps."""
    chosen = replace(Settings(root=root, queue="managed", durability="fast"), **settings)
    queue = open_queue(chosen, clock=clock)
    sweeper = None if clock is not None else Sweeper(queue, tick_seconds=0.1)
    door = LiveManaged(queue, chosen)
    if sweeper is not None:
        sweeper.start()
    try:
        door.start()
        yield door
    finally:
        door.stop()
        if sweeper is not None:
            sweeper.stop()
        queue.close()
