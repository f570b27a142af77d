"""kill -9, again and again, of the door and of its workers in the middle of work.

In the end every row tells how its task really ended, and no task was begun more often than it may be.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from databases import open_fresh
from service import Service, Services, services
from sqlalchemy import select
from waiting import eventually

from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.records.database import Database
from taskspool.records.models.tagged import TaggedTask, TaggedTombstone
from taskspool.records.tagged_standing import look
from taskspool.settings import Settings, as_environment

KILLS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "4"))
BUSINESS = Path(__file__).parent / "business.py"
FINAL = {"done", "failed"}


class House:
    """The door and two workers, as processes; whoever is killed is started anew."""

    def __init__(self, started: Services, environ: dict[str, str]) -> None:
        self._started = started
        self._environ = environ
        self.all: dict[str, Service] = {name: self._start(name) for name in ("door", "one", "other")}
        self.url = self._url()

    def _start(self, name: str) -> Service:
        if name == "door":
            return self._started.start("-m", "taskspool", "serve", "tagged", "--port", "0", **self._environ)
        return self._started.start("-m", "taskspool", "work", "--queue", "tagged", "--handlers", BUSINESS, "--name",
                                   name, "--concurrency", "2", **self._environ)

    def _url(self) -> str:
        return f"http://127.0.0.1:{self.all['door'].port()}"

    def kill(self, name: str) -> None:
        """And start it anew: when this returns, the door answers."""
        self.all[name].process.kill()
        self.all[name].process.wait(10)
        self.all[name] = self._start(name)
        if name == "door":
            self.url = self._url()


class Client(threading.Thread):
    """Creates, changes and deletes as long as it is let; whether the door had taken what it did not answer, nobody
    knows."""

    def __init__(self, house: House, folder: Path) -> None:
        super().__init__(daemon=True)
        self._house = house
        self._folder = folder
        self._random = random.Random(7)
        self.is_enough = threading.Event()
        self.answered: dict[int, dict[str, Any]] = {}
        self.deleted: set[int] = set()
        self.strange: list[str] = []

    def run(self) -> None:
        number = 0
        while not self.is_enough.wait(0.05):
            number += 1
            with suppress(requests.ConnectionError):
                self._step(number)

    def _step(self, number: int) -> None:
        made = self._ask("POST", "/tasks", {
            "title": "t", "handler": "note", "retry_limit": self._random.randrange(4), "tags": ["a", f"b{number % 3}"],
            "payload": {"file": str(self._folder / "runs"), "name": f"n{number}",
                        "fails": self._random.choice([0, 0, 1, 5]), "seconds": self._random.random() / 5}})
        self.answered[made["id"]] = made
        if number % 5 == 0:
            self._ask("PATCH", f"/tasks/{made['id']}", {"priority": "高"})
        if number % 7 == 0:
            self.deleted.add(made["id"])
            self._ask("DELETE", f"/tasks/{made['id']}")

    def _ask(self, method: str, path: str, json: Any = None) -> Any:
        reply = requests.request(method, self._house.url + path, json=json, timeout=30)
        if reply.status_code >= 300:
            self.strange.append(f"{method} {path}: {reply.status_code} {reply.text}")
        return reply.json() if reply.content else None


@contextmanager
def stores(kind: str, folder: Path) -> Iterator[tuple[Database, Settings]]:
    with open_fresh(kind, folder) as database:
        url = database.url.render_as_string(hide_password=False)
        yield database, Settings(root=folder / "root", queue="tagged", database_url=url, durability="fast")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_killed_in_the_middle_of_work(kind: str, tmp_path: Path) -> None:
    """Every row ends done or failed, as the engine says and as it happened; none ran more than retry_limit + 1 times.

    TASKSPOOL_TEST_ROUNDS is the number of kills.
    """
    chance = random.Random(11)
    with stores(kind, tmp_path) as (database, settings), services(tmp_path) as started:
        house = House(started, as_environment(settings))
        client = Client(house, tmp_path)
        client.start()
        for _ in range(KILLS):
            enough = len(client.answered) + chance.randrange(1, 6)
            eventually(lambda: len(client.answered) >= enough, 60, "tasks are taken")  # noqa: B023  # called at once
            house.kill(chance.choice(list(house.all)))
        client.is_enough.set()
        client.join(60)
        eventually(lambda: all(row.status in FINAL for row in rows(database)), 180, "every row is final")
        eventually(lambda: not tombstones(database), 30, "nothing is left to be cancelled")
        told = {task["id"]: task for task in requests.get(f"{house.url}/tasks", timeout=60).json()}
        started.end_all()
        check(database, settings, client, told, Counter((tmp_path / "runs").read_text().split()))


def check(database: Database, settings: Settings, client: Client, told: dict[int, dict[str, Any]],
          runs: Counter[str]) -> None:
    assert client.strange == []
    assert {number for number in client.answered if number not in client.deleted} <= told.keys()
    queue = open_queue(settings)
    try:
        for row in rows(database):
            check_row(row, told[row.id], runs[row.payload["name"]], queue)
        assert list(queue.store.problems()) == []
        kept = {row.queue_id for row in rows(database)}
        live = [one for one in queue.store.index.listing(limit=1000).items if not one.state.is_final]
        assert [one.task.id for one in live if one.task.id in kept or one.task.type == "execute_task"] == []
    finally:
        queue.close()


def check_row(row: TaggedTask, told: dict[str, Any], runs: int, queue: Queue) -> None:
    standing = look(queue.store, row)
    assert standing is not None
    assert standing.is_in(row), (standing, row.status)
    assert (told["status"], told["current_retry_count"]) == (row.status, row.current_retry_count)
    assert runs <= row.retry_limit + 1, f"task {row.id} was begun {runs} times"
    assert row.current_retry_count <= row.retry_limit
    if row.status == "done":
        assert runs >= 1
        assert row.result["attempt"] == row.current_retry_count + 1 > row.payload["fails"]
        assert row.completed_at is not None
    else:
        assert row.current_retry_count == row.retry_limit, "given up although it might be tried again"
        assert row.error
    assert row.is_told


def rows(database: Database) -> list[TaggedTask]:
    with database.reading() as session:
        return list(session.scalars(select(TaggedTask).order_by(TaggedTask.id)))


def tombstones(database: Database) -> list[TaggedTombstone]:
    with database.reading() as session:
        return list(session.scalars(select(TaggedTombstone)))
