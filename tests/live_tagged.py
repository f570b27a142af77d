"""The door of tagged tasks over a real socket, on a queue and a database of its own; work on it step by step, or by a
real worker."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from databases import open_fresh
from waiting import eventually

from taskspool.doors.tagged import create_app
from taskspool.doors.tagged.projection import Projection
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import Claim
from taskspool.records.database import Database
from taskspool.settings import Settings, as_environment
from taskspool.web.server import Serving
from taskspool.worker.handlers import load_handlers
from taskspool.worker.loop import run_folder_worker

QUEUE = "tagged"
JOBS = "taskspool.jobs.tagged"
_numbers = itertools.count()


class LiveTagged:
    def __init__(self, queue: Queue, database: Database, settings: Settings) -> None:
        self.queue, self.database, self.settings = queue, database, settings
        self.projection = Projection(queue, database, tick_seconds=0.1)
        self.serving = Serving(create_app(queue, database, settings), settings, port=0)
        self.url = f"http://127.0.0.1:{self.serving.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self._thread = threading.Thread(target=self.serving.run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        eventually(lambda: self.ask("GET", "/health").ok, why="the door answers")

    def stop(self) -> None:
        self.session.close()
        self.serving.stop()
        self._thread.join(10)
        assert not self._thread.is_alive()

    # -- as a client ---------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, json: Any = None, **options: Any) -> requests.Response:
        return self.session.request(method, self.url + path, json=json, timeout=60, allow_redirects=False, **options)

    def create(self, **fields: Any) -> dict[str, Any]:
        """A new task."""
        reply = self.ask("POST", "/tasks", {"title": "t", **fields})
        assert reply.status_code == 201, reply.text
        return dict(reply.json())

    def get(self, task: dict[str, Any]) -> dict[str, Any]:
        """The task as it is now."""
        reply = self.ask("GET", f"/tasks/{task['id']}")
        assert reply.status_code == 200, reply.text
        return dict(reply.json())

    def list(self, **query: Any) -> Any:
        reply = self.ask("GET", "/tasks", params=query)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def ids(self, **query: Any) -> list[int]:
        return [task["id"] for task in self.list(**query)]

    # -- as a worker, a step at a time ---------------------------------------------------------------------------

    def claim(self, task: dict[str, Any]) -> Claim:
        return self.queue.claim_one(self.get(task)["queue_id"], "w")

    def complete(self, claim: Claim, result: Any = None) -> None:
        self.queue.complete(claim.task.id, claim.lease.token, result)

    def fail(self, claim: Claim, **how: Any) -> None:
        """Comes back at once, if it comes back."""
        self.queue.fail(claim.task.id, claim.lease.token, Failure("broken", **{"retry_after_seconds": 0.0, **how}))
        self.queue.sweep()

    # -- real work -----------------------------------------------------------------------------------------------

    def work(self, monkeypatch: pytest.MonkeyPatch, modules: Sequence[str] = (), **options: Any) -> None:
        """A worker, in this thread, until nothing is left to do."""
        self.move_in(monkeypatch)
        run_folder_worker(self.settings, handlers=load_handlers([JOBS, *modules]), name="w", until_idle=True, **options)

    def move_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Jobs in this process learn where they work."""
        for name, value in as_environment(self.settings).items():
            monkeypatch.setenv(name, value)


def new_tag() -> str:
    """A tag no other test uses."""
    return f"tag-{next(_numbers)}"


@contextmanager
def live_tagged(kind: str, folder: Path) -> Iterator[LiveTagged]:
    """The door over a fresh database of ``kind``; fast durability."""
    with open_fresh(kind, folder) as database:
        url = database.url.render_as_string(hide_password=False)
        settings = Settings(root=folder / "root", queue=QUEUE, durability="fast", database_url=url)
        queue = open_queue(settings)
        sweeper = Sweeper(queue, tick_seconds=0.1)
        tagged = LiveTagged(queue, database, settings)
        sweeper.start()
        tagged.projection.start()
        try:
            tagged.start()
            yield tagged
        finally:
            tagged.stop()
            tagged.projection.stop()
            sweeper.stop()
            queue.close()
