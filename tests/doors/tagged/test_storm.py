"""Many clients at once, while a worker works: nothing is refused, nothing is lost, and all counts agree."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from live_tagged import LiveTagged
from service import Services, services
from sqlalchemy import func, select
from waiting import eventually

from taskspool.engine.task import State
from taskspool.records.models.tagged import Tag, TaggedTask, TaskTag
from taskspool.settings import as_environment

CLIENTS = 16
REQUESTS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "480"))
SHARED = 4
"""Tasks that all clients change, each client another field of another one: so what is answered must stand."""
FIELDS = ("title", "description", "priority", "tags")
PRIORITIES = ("高", "中", "低")
FINAL = {"done", "failed", "cancelled"}


@dataclass
class Client:
    """One client, and what it was answered."""

    url: str
    number: int
    shared: list[int]
    mine: list[int] = field(default_factory=list)
    deleted: int = 0
    last: Any = None
    statuses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.random = random.Random(self.number)
        self.shared_id = self.shared[self.number // len(FIELDS)]
        self.field = FIELDS[self.number % len(FIELDS)]

    def ask(self, method: str, path: str, json: Any = None, **params: Any) -> requests.Response:
        reply = self.session.request(method, self.url + path, json=json, params=params, timeout=120)
        self.statuses[reply.status_code] += 1
        return reply

    def run(self, requests_: int) -> None:
        verbs: list[Callable[[], None]] = [self.create, self.look, self.list, self.change, self.change_mine,
                                           self.delete, self.tags]
        for _ in range(requests_):
            [verb] = self.random.choices(verbs, weights=[30, 20, 8, 20, 10, 10, 2])
            verb()
        self.session.close()

    def create(self) -> None:
        made = self.ask("POST", "/tasks", {"title": f"{self.number}", "priority": self.random.choice(PRIORITIES),
                                           "tags": self.some_tags(), "handler": self.random.choice(["noop", "fail"]),
                                           "retry_limit": 0})
        assert made.status_code == 201, made.text
        self.mine.append(made.json()["id"])

    def look(self) -> None:
        number = self.random.choice([*self.mine, *self.shared])
        assert self.ask("GET", f"/tasks/{number}").json()["id"] == number

    def list(self) -> None:
        status, tag = self.random.choice(["to_do", "done", "failed", "in_progress"]), self.random.choice("abcde")
        found = self.ask("GET", "/tasks", status=status, tag=tag, limit=50).json()
        assert all(task["status"] == status and tag in task["tags"] for task in found)

    def change(self) -> None:
        """Its own field of its shared task."""
        values: dict[str, Any] = {"title": str(self.random.random()), "description": str(self.random.random()),
                                  "priority": self.random.choice(PRIORITIES), "tags": self.some_tags()}
        self.last = values[self.field]
        reply = self.ask("PATCH", f"/tasks/{self.shared_id}", {self.field: self.last})
        assert reply.json()[self.field] == self.last

    def change_mine(self) -> None:
        if self.mine:
            self.ask("PATCH", f"/tasks/{self.random.choice(self.mine)}",
                     {"priority": self.random.choice(PRIORITIES), "tags": self.some_tags()})

    def delete(self) -> None:
        if self.mine:
            number = self.mine.pop(self.random.randrange(len(self.mine)))
            assert self.ask("DELETE", f"/tasks/{number}").status_code == 204
            self.deleted += 1

    def tags(self) -> None:
        self.ask("GET", "/tags")

    def some_tags(self) -> list[str]:
        return self.random.sample("abcde", self.random.randrange(4))


def start_worker(fresh: LiveTagged, started: Services) -> None:
    started.start("-m", "taskspool", "work", "--queue", "tagged", "--root", fresh.settings.root, "--concurrency", "2",
                  **as_environment(fresh.settings))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sixteen_clients_and_a_worker(fresh: LiveTagged, tmp_path: Path) -> None:
    """No answer but 2xx, no field that somebody else's change undid, and every count the same from four sides."""
    shared = [fresh.create(handler="sleep", payload={"seconds": 3600})["id"] for _ in range(SHARED)]
    for number in shared:
        fresh.queue.claim_one(fresh.get({"id": number})["queue_id"], "somebody", lease_seconds=86_400)
    clients = [Client(fresh.url, number, shared) for number in range(CLIENTS)]
    with services(tmp_path) as started, ThreadPoolExecutor(CLIENTS) as pool:
        start_worker(fresh, started)
        for done in [pool.submit(client.run, REQUESTS // CLIENTS) for client in clients]:
            done.result()
        live = {number for client in clients for number in client.mine}
        eventually(lambda: all(task["status"] in FINAL for task in fresh.list() if task["id"] in live), 300,
                   "all work is done")
    check_answers(clients)
    check_counts(fresh, clients, live | set(shared))


def check_answers(clients: list[Client]) -> None:
    """Everything was accepted, and what a client was answered last for its own field stands."""
    statuses = sum((client.statuses for client in clients), Counter())
    assert {status for status in statuses if status >= 400} == set(), statuses
    for client in clients:
        if client.last is not None:
            task = requests.get(f"{client.url}/tasks/{client.shared_id}", timeout=30).json()
            assert task[client.field] == client.last


def check_counts(fresh: LiveTagged, clients: list[Client], expected: set[int]) -> None:
    """The clients' own books, the list, the database and the engine agree."""
    listed = fresh.list()
    assert {task["id"] for task in listed} == expected
    for key in ("status", "priority"):
        for value, count in Counter(task[key] for task in listed).items():
            assert fresh.ask("GET", "/tasks", params={key: value, "limit": 1}).headers["X-Total-Count"] == str(count)
    counted = Counter(tag for task in listed for tag in task["tags"])
    assert {each["name"]: each["count"] for each in fresh.ask("GET", "/tags").json()} == dict(counted)
    with fresh.database.reading() as session:
        links = session.execute(select(Tag.name, func.count()).join(TaskTag).group_by(Tag.name)).all()
        assert session.scalar(select(func.count()).select_from(TaggedTask)) == len(expected)
        assert session.scalar(select(func.count()).select_from(TaggedTask).where(~TaggedTask.is_told)) == 0
    assert {link[0]: link[1] for link in links} == dict(counted)
    of_engine = {task["queue_id"]: fresh.queue.task(task["queue_id"]) for task in listed}
    states = Counter(one.state for one in of_engine.values())
    by_status = Counter(task["status"] for task in listed)
    assert (states[State.DONE], states[State.DEAD], states[State.CLAIMED]) == (
        by_status["done"], by_status["failed"], by_status["in_progress"])
    counts = fresh.queue.counts()
    assert counts.done + counts.dead + counts.cancelled + counts.claimed == (
        len(expected) + sum(client.deleted for client in clients))
    assert counts.ready == counts.scheduled == 0
    assert list(fresh.queue.store.problems()) == []
