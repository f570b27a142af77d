"""Everybody at once: clients that submit, cancel, retry and report at random, and workers, on the same few tasks."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from pathlib import Path

import pytest
import requests
from live_managed import TASKS, LiveManaged, live_managed
from waiting import eventually

from taskspool.engine.lifecycle import Failure
from taskspool.errors import Conflict, NotFound

ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "150"))
CLIENTS, WORKERS, SHARED = 4, 2, 20


def client(door: LiveManaged, ids: list[str], seed: int, found: Counter[tuple[str, int]]) -> None:
    """Random requests; ``found`` counts what each verb was answered."""
    chance, session = random.Random(seed), requests.Session()
    session.trust_env = False
    for number in range(ROUNDS):
        task = f"{door.url}{TASKS}/{chance.choice(ids)}"
        body = {"task_type": "health_check", "kb_id": "kb", "payload": {"n": number}}
        method, url, options = chance.choice([
            ("POST", door.url + TASKS, {"json": body}),
            ("GET", task, {}), ("DELETE", task, {}), ("POST", f"{task}/retry", {}),
            ("PUT", f"{task}/progress", {"data": {"progress": chance.randrange(101), "message": "m"}}),
            ("GET", door.url + TASKS, {"params": {"status": chance.choice(["queued", "processing", "retrying"])}}),
        ])
        reply = session.request(method, url, timeout=60, **options)
        found[method, reply.status_code] += 1
        if reply.status_code == 201:
            ids.append(reply.json()["id"])
    session.close()


def worker(door: LiveManaged, name: str, stop: threading.Event) -> None:
    """Takes what comes; every third try fails, and one in ten for good."""
    chance = random.Random(name)
    while not stop.wait(0.002):
        for claim in door.queue.claim(name):
            try:
                if chance.random() < 0.33:
                    door.queue.fail(claim.task.id, claim.lease.token, Failure("no", retryable=chance.random() < 0.7))
                else:
                    door.queue.complete(claim.task.id, claim.lease.token, {"by": name})
            except (Conflict, NotFound):  # it was canceled meanwhile
                continue


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_breaks_under_a_rush(tmp_path: Path) -> None:
    """Only documented answers; in the end every task is in one place, and all numbers agree with the list."""
    with live_managed(tmp_path) as door:
        ids, found, stop = [door.new()["id"] for _ in range(SHARED)], Counter[tuple[str, int]](), threading.Event()
        clients = [threading.Thread(target=client, args=(door, ids, seed, found)) for seed in range(CLIENTS)]
        workers = [threading.Thread(target=worker, args=(door, f"w{number}", stop)) for number in range(WORKERS)]
        for thread in (*clients, *workers):
            thread.start()
        for thread in clients:
            thread.join(200)
        eventually(lambda: not any(door.listed(status=word) for word in ("queued", "retrying", "processing")), 90,
                   "all is done")
        stop.set()
        for thread in workers:
            thread.join(20)
        assert not any(thread.is_alive() for thread in (*clients, *workers))
        assert {status for _, status in found} <= {200, 201, 409}, found
        told = door.get("/api/v1/stats/tasks").json()
        listed = Counter(door.told(task_id)["status"] for task_id in ids)
        assert told["status_breakdown"] == dict(listed)
        assert told["total_tasks"] == len(ids) == door.get(TASKS).json()["pagination"]["total"]
        assert set(listed) <= {"completed", "failed", "canceled"}
        assert list(door.queue.store.problems()) == []


def test_batches_at_once_stay_within_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is being written counts too: of eight batches of two at the same time five are taken where ten may wait."""
    with live_managed(tmp_path, managed_max_waiting=10) as door:
        together, real = threading.Barrier(8), door.queue.enqueue_many
        beside = threading.Event()

        def slowly(*news: object) -> object:
            beside.wait(0.2)  # a disk that takes its time: all who ask meanwhile must be told of these
            return real(*news)  # type: ignore[arg-type]

        monkeypatch.setattr(door.queue, "enqueue_many", slowly)
        statuses: list[int] = []

        def submit() -> None:
            together.wait(10)
            body = [{"task_type": "health_check", "kb_id": "kb", "payload": {}}] * 2
            statuses.append(requests.post(f"{door.url}{TASKS}/batch", json=body, timeout=30).status_code)

        clients = [threading.Thread(target=submit) for _ in range(8)]
        for one in clients:
            one.start()
        for one in clients:
            one.join()
        assert Counter(statuses) == {201: 5, 503: 3}
        assert door.get("/api/v1/queues/info").json()["queue_size"] == 10
