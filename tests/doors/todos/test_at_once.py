"""Many clients at once: nothing is lost, nothing breaks, and the numbers agree with who counts along."""

from __future__ import annotations

import os
import random
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from live_todos import BATCHES, TASKS, LiveTodos

ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "800"))
CLIENTS = 16
STATUSES = ("pending", "in_progress", "completed")


def test_changes_of_different_fields_meet_in_one_task(todos: LiveTodos) -> None:
    """Eight clients change a to-do at once, each its own field: every change is there in the end."""
    fields = {"title": "T", "description": "D", "priority": "high", "due_date": "2030-01-01T00:00:00Z"}
    for _ in range(2):
        path = f"{TASKS}/{todos.task()['id']}"
        bodies = [{name: value} for name, value in fields.items()] * 2
        with ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(requests.put, todos.url + path, json=body, timeout=30) for body in bodies]
        assert [one.result().status_code for one in asked] == [200] * 8
        task = todos.get(path).json()
        assert {name: task[name] for name in fields} == fields


def test_completed_at_agrees_with_the_status_whoever_wins(todos: LiveTodos, session_id: str) -> None:
    """Clients that complete and reopen one to-do at once leave it as one of them wanted it, never half of each."""
    path = f"{TASKS}/{todos.task(session_id=session_id)['id']}"
    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda number: requests.put(
            todos.url + path, json={"status": STATUSES[number % 3]}, timeout=30).json(), range(24)))
    seen.append(todos.get(path).json())
    assert [task for task in seen if (task["status"] == "completed") != (task["completed_at"] is not None)] == []
    last = max(seen[:-1], key=lambda task: task["updated_at"])
    assert seen[-1]["updated_at"] == last["updated_at"]


def test_a_reader_of_events_misses_none(todos: LiveTodos, session_id: str) -> None:
    """Who asks on from the last number it saw, while four others write, sees every change once, in order."""
    start = todos.get("/api/v1/events?limit=1&after=9000000000").json()["last"]

    def write(_: int) -> None:
        for _ in range(4):
            assert requests.post(todos.url + TASKS, json={"title": "t", "session_id": session_id}, timeout=30).ok

    seen: list[int] = []
    mine: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        written = [pool.submit(write, number) for number in range(4)]
        while True:
            is_last_look = all(one.done() for one in written)
            events = todos.get(f"/api/v1/events?after={seen[-1] if seen else start}&limit=1000").json()["events"]
            seen += [event["id"] for event in events]
            mine += [event["task_id"] for event in events if event["session_id"] == session_id]
            if is_last_look:
                break
        for one in written:
            one.result()
    assert seen == list(range(start + 1, start + 1 + len(seen)))
    assert len(set(mine)) == len(mine) == 16


class Client:
    """One client: asks at random, and notes what every answer promised. Its to-dos are its own."""

    def __init__(self, url: str, number: int) -> None:
        self._url = url
        self._random = random.Random(number)
        self.session_id = str(uuid.uuid4())
        self.known: dict[str, dict[str, Any]] = {}
        self.batches = 0
        self.statuses: Counter[int] = Counter()

    def work(self, number: int) -> None:
        """Ask ``number`` times, or a little more."""
        with requests.Session() as self._session:
            self._session.trust_env = False
            while self.statuses.total() < number:
                self._random.choices([self._create, self._batch, self._change, self._change_many, self._delete,
                                      self._delete_many, self._look], [25, 4, 30, 8, 8, 3, 22])[0]()

    def _ask(self, method: str, path: str, json: Any = None) -> Any:
        reply = self._session.request(method, self._url + path, json=json, timeout=60)
        self.statuses[reply.status_code] += 1
        return reply.json() if reply.content else None

    def _some(self, number: int) -> list[str]:
        return self._random.sample(sorted(self.known), min(number, len(self.known)))

    def _create(self) -> None:
        task = self._ask("POST", TASKS, {"title": "t", "session_id": self.session_id,
                                         "status": self._random.choice(STATUSES)})
        self.known[task["id"]] = task

    def _batch(self) -> None:
        batch = self._ask("POST", BATCHES, {"session_id": self.session_id, "tasks": [{"title": "b"}] * 5})
        self.batches += 1
        self.known |= {task["id"]: task for task in batch["tasks"]}

    def _change(self) -> None:
        for task_id in self._some(1):
            self.known[task_id] = self._ask("PUT", f"{TASKS}/{task_id}", {
                "status": self._random.choice(STATUSES), "description": str(self._random.random())})

    def _change_many(self) -> None:
        if ids := self._some(4):
            told = self._ask("PUT", f"{TASKS}/bulk", {"tasks": [
                {"id": task_id, "status": self._random.choice(STATUSES)} for task_id in [*ids, str(uuid.uuid4())]]})
            self.known |= {task["id"]: task for task in told["updated"]}

    def _delete(self) -> None:
        for task_id in self._some(1):
            del self.known[task_id]
            self._ask("DELETE", f"{TASKS}/{task_id}")
            self._ask("GET", f"{TASKS}/{task_id}")

    def _delete_many(self) -> None:
        if ids := self._some(3):
            told = self._ask("DELETE", f"{TASKS}/bulk", {"ids": [*ids, str(uuid.uuid4())]})
            assert told == {"deleted_count": len(ids)}
            for task_id in ids:
                del self.known[task_id]

    def _look(self) -> None:
        order = self._random.choice(["status", "due_date", "updated_at"])
        page = self._ask("GET", f"{TASKS}?session_id={self.session_id}&sort_by={order}")
        assert page["total"] == len(self.known)
        for task in page["items"]:
            assert task == self.known[task["id"]]
        self._ask("GET", f"/api/v1/batches?session_id={self.session_id}&page={self._random.randint(0, 2)}")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mixed_requests_by_sixteen_clients(empty: LiveTodos) -> None:
    """No 5xx, no lost update, every page true while others write; statistics and events agree with the clients' count.

    TASKSPOOL_TEST_ROUNDS: how many requests in all.
    """
    clients = [Client(empty.url, number) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(lambda client: client.work(ROUNDS // CLIENTS), clients))
    answered = sum((client.statuses for client in clients), Counter[int]())
    print(f"{answered.total()} requests by {CLIENTS} clients: {dict(answered)}")
    assert [status for status in answered if status >= 500] == []
    for client in clients:
        told = empty.get(f"/api/v1/stats?session_id={client.session_id}").json()
        counted = Counter(task["status"] for task in client.known.values())
        assert {status: told[status] for status in STATUSES} == {status: counted[status] for status in STATUSES}
        assert empty.get(f"{BATCHES}?session_id={client.session_id}").json()["total"] == client.batches
        assert _all_of(empty, client.session_id) == client.known
    _check_events(empty, sum(len(client.known) for client in clients))


def _all_of(todos: LiveTodos, session_id: str) -> dict[str, Any]:
    """Every to-do of a session, by id, page after page."""
    found: dict[str, Any] = {}
    page = {"has_next": True, "page": 0}
    while page["has_next"]:
        place = f"page_size=100&sort_by=created_at&page={page['page'] + 1}"
        page = todos.get(f"{TASKS}?session_id={session_id}&{place}").json()
        found |= {task["id"]: task for task in page["items"]}
    return found


def _check_events(todos: LiveTodos, tasks: int) -> None:
    kinds: Counter[str] = Counter()
    place = 0
    while events := todos.get(f"/api/v1/events?after={place}&limit=1000").json()["events"]:
        assert [event["id"] for event in events] == list(range(place + 1, place + 1 + len(events)))
        place = events[-1]["id"]
        kinds.update(event["kind"] for event in events)
    assert kinds["task_created"] - kinds["task_deleted"] == tasks
