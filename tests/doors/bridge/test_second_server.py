"""Two bridges on one folder: each task is handed out once, whichever bridge it came by, and both see everything."""

from __future__ import annotations

import threading
from pathlib import Path

from service import Services

import pytest
from collections.abc import Iterator
from dataclasses import dataclass

import requests


pytestmark = pytest.mark.slow


@dataclass
class Two:
    first: str
    second: str
    session: requests.Session


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """Two real servers, each a process of its own."""
    services = Services(tmp_path)
    try:
        ports = [services.bridge(tmp_path / "root", "--durability", "fast").port() for _ in range(2)]
        yield Two(*(f"http://127.0.0.1:{port}" for port in ports), requests.Session())
    finally:
        services.end_all()


def test_tasks_and_results_cross(two: Two) -> None:
    """A task submitted here is claimed there, its result sent there is read here, also by one who waits for it."""
    task_id = two.session.post(f"{two.first}/api/tasks", json={"task_type": "t"}, timeout=10).json()["task_id"]
    task = two.session.post(f"{two.second}/api/tasks/next", json={"wait": 10}, timeout=20).json()["task"]
    assert task["id"] == task_id
    answer: list[requests.Response] = []
    waiting = threading.Thread(target=lambda: answer.append(
        requests.get(f"{two.first}/api/tasks/{task_id}/result?wait=20", timeout=30)))
    waiting.start()
    sent = {"lease_token": task["lease"]["token"], "status": "success", "data": {"v": 1}}
    assert two.session.post(f"{two.second}/api/tasks/{task_id}/result", json=sent, timeout=10).status_code == 200
    waiting.join(20)
    assert answer[0].json()["data"] == {"v": 1}
    assert two.session.get(f"{two.first}/api/tasks/{task_id}", timeout=10).json()["status"] == "completed"


def test_waiting_there_for_a_task_from_here(two: Two) -> None:
    """A worker that waits at one bridge gets a task submitted at the other."""
    got: list[requests.Response] = []
    waiting = threading.Thread(target=lambda: got.append(
        requests.post(f"{two.second}/api/tasks/next", json={"wait": 20}, timeout=30)))
    waiting.start()
    task_id = two.session.post(f"{two.first}/api/tasks", json={"task_type": "t"}, timeout=10).json()["task_id"]
    waiting.join(20)
    assert got[0].json()["task"]["id"] == task_id


def test_heartbeats_and_tokens_cross(two: Two) -> None:
    """A lease taken at one bridge is kept alive, and fenced, at the other."""
    two.session.post(f"{two.first}/api/tasks", json={"task_type": "t"}, timeout=10)
    task = two.session.post(f"{two.first}/api/tasks/next", json={"wait": 5}, timeout=10).json()["task"]
    token = task["lease"]["token"]
    beat = two.session.post(f"{two.second}/api/tasks/{task['id']}/heartbeat", json={"lease_token": token}, timeout=10)
    assert beat.status_code == 200
    wrong = two.session.post(f"{two.second}/api/tasks/{task['id']}/heartbeat", json={"lease_token": "x"}, timeout=10)
    assert wrong.status_code == 409


def test_each_task_once(two: Two) -> None:
    """200 tasks, workers at both bridges: each task is handed out exactly once."""
    tasks = [{"task_type": "t", "data": {"n": n}} for n in range(200)]
    made = two.session.post(f"{two.first}/api/tasks/batch", json={"tasks": tasks}, timeout=30).json()["task_ids"]
    taken: list[str] = []

    def work(url: str) -> None:
        with requests.Session() as session:
            while True:
                task = session.post(f"{url}/api/tasks/next", json={"wait": 1}, timeout=20).json()["task"]
                if task is None:
                    return
                taken.append(task["id"])

    workers = [threading.Thread(target=work, args=(url,)) for url in (two.first, two.second) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(taken) == sorted(made)
