"""Workers of every kind side by side on the managed door: ours, anybody's by the protocol, and list pollers."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import requests
from live_managed import LiveManaged
from service import services
from waiting import eventually

API = "/api/v1/tasks"
POLLED = {"task_type": "document_processing", "page": 1, "page_size": 10}


def protocol_claim(url: str, worker: str, *types: str) -> Any:
    """The next task of ``types`` by the worker protocol, or None."""
    reply = requests.post(f"{url}/api/tasks/next", json={"worker_id": worker, "types": [*types]}, timeout=20)
    assert reply.status_code == 200, reply.text
    return reply.json()["task"]


def protocol_complete(url: str, task: Any, data: dict[str, Any]) -> None:
    body = {"lease_token": task["lease"]["token"], "data": data}
    reply = requests.post(f"{url}/api/tasks/{task['task_id']}/complete", json=body, timeout=20)
    assert reply.status_code == 200, reply.text


def polled(url: str, status: str) -> list[dict[str, Any]]:
    reply = requests.get(url + API, params={**POLLED, "status": status}, timeout=20)
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["tasks"]
    return found


def report(url: str, task_id: str, progress: int, message: str) -> requests.Response:
    """As the poller in the field does: a form, not JSON."""
    return requests.put(f"{url}{API}/{task_id}/progress", data={"progress": progress, "message": message}, timeout=20)


def test_a_protocol_worker_is_seen_in_this_doors_words(fresh: LiveManaged) -> None:
    """What it holds is processing with its name and percent, what it completed is completed at 100 with its result."""
    made = fresh.new(task_type="embedding_generation", payload={"text": "hello", "model": None})
    task = protocol_claim(fresh.url, "foreign-1", "embedding_generation")
    assert (task["task_id"], task["data"]) == (made["id"], {"text": "hello", "model": None})
    beat = {"lease_token": task["lease"]["token"], "progress": 40, "message": "half way"}
    assert fresh.post(f"/api/tasks/{made['id']}/heartbeat", beat).status_code == 200
    held = fresh.told(made["id"])
    assert (held["status"], held["worker_id"], held["progress"]) == ("processing", "foreign-1", 40)
    assert held["started_at"] is not None
    protocol_complete(fresh.url, task, {"vectors": 3})
    done = fresh.told(made["id"])
    assert (done["status"], done["worker_id"], done["progress"], done["result"]) == (
        "completed", "foreign-1", 100, {"vectors": 3})


def test_a_protocol_worker_that_fails_makes_it_retrying(fresh: LiveManaged) -> None:
    """A failure with retries left is retrying with the count, the reason and no worker."""
    made = fresh.new(task_type="embedding_generation", max_retries=2)
    task = protocol_claim(fresh.url, "foreign-1", "embedding_generation")
    body = {"lease_token": task["lease"]["token"], "error_message": "no model"}
    assert fresh.post(f"/api/tasks/{made['id']}/fail", body).status_code == 200
    told = fresh.told(made["id"])
    assert (told["status"], told["retry_count"], told["worker_id"]) == ("retrying", 1, "")
    assert "no model" in told["error_message"]


def test_a_poller_lists_and_reports(fresh: LiveManaged) -> None:
    """It finds what waits, reports by form, and its report is told; the task still waits for whoever takes it."""
    made = fresh.new(task_type="document_processing")
    [found] = polled(fresh.url, "queued")
    assert (found["id"], found["worker_id"]) == (made["id"], "")
    assert found["updated_at"].endswith("Z")
    assert report(fresh.url, made["id"], 30, "reading").status_code in (200, 204)
    told = fresh.told(made["id"])
    assert (told["status"], told["progress"]) == ("queued", 30)
    task = protocol_claim(fresh.url, "taker", "document_processing")
    assert [one["worker_id"] for one in polled(fresh.url, "processing")] == ["taker"]
    assert report(fresh.url, made["id"], 60, "further").status_code in (200, 204)
    assert fresh.told(made["id"])["progress"] == 60
    protocol_complete(fresh.url, task, {})
    assert fresh.told(made["id"])["status"] == "completed"


def test_what_was_canceled_is_told_to_its_worker(fresh: LiveManaged) -> None:
    """A worker whose task was canceled here is refused at its next word, and the task stays canceled."""
    made = fresh.new(task_type="vector_storage")
    task = protocol_claim(fresh.url, "slow", "vector_storage")
    assert fresh.delete(f"{API}/{made['id']}").status_code == 200
    body = {"lease_token": task["lease"]["token"], "data": {}}
    assert fresh.post(f"/api/tasks/{made['id']}/complete", body).status_code == 409
    assert fresh.told(made["id"])["status"] == "canceled"


JOBS = """
from pathlib import Path
from taskspool.worker.handlers import handler

def done(data):
    with Path(__file__).with_name("done.txt").open("a") as log:
        log.write(data["number"] + "\\n")
    return {"number": data["number"]}

for kind in ("embedding_generation", "document_processing"):  # vector_storage is left to the other kind
    handler(kind)(done)
"""


class Others:
    """A worker of the protocol and a poller of the list, both not ours, until ``over`` is set."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.over = threading.Event()
        self.done: list[str] = []
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=each) for each in (self._work, self._poll)]

    def __enter__(self) -> Others:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(30)

    def _work(self) -> None:
        while not self.over.is_set():
            task = protocol_claim(self.url, "foreign", "vector_storage", "document_processing")
            if task is None:
                self.over.wait(0.05)
            else:
                self.done.append(task["data"]["number"])
                protocol_complete(self.url, task, {"number": task["data"]["number"]})

    def _poll(self) -> None:
        while not self.over.is_set():
            for task in [*polled(self.url, "queued"), *polled(self.url, "processing")]:
                reply = report(self.url, task["id"], 50, "seen")
                if reply.status_code not in (200, 204):
                    self.refused.append(reply.text)
            self.over.wait(0.02)


@pytest.mark.slow
def test_all_kinds_live_side_by_side(tmp_path: Path) -> None:
    """Each of 120 tasks is done once, by whom it says, while pollers list and report on the same tasks."""
    (tmp_path / "jobs.py").write_text(JOBS)
    count, types = 120, ("embedding_generation", "vector_storage", "document_processing")
    with services(tmp_path) as started:
        server = started.start("-m", "taskspool", "serve", "managed", "--port", "0", "--root", tmp_path / "root")
        url = f"http://127.0.0.1:{server.port()}"
        ids = [submitted(url, types[number % 3], str(number)) for number in range(count)]
        for name in ("ours-1", "ours-2"):
            started.worker("--url", url, "--name", name, "--no-builtin", "--handlers", tmp_path / "jobs.py")
        with Others(url) as others:
            eventually(lambda: statuses(url) == {"completed": count}, 90, "all are done")
        told = [requests.get(f"{url}{API}/{task_id}", timeout=20).json() for task_id in ids]
    ours, done = (tmp_path / "done.txt").read_text().split(), others.done
    assert Counter([*ours, *done]) == Counter(map(str, range(count))), "each once"
    assert min(len(ours), len(done)) >= count // 3, "both kinds worked"
    assert others.refused == []
    assert {(task["status"], task["progress"]) for task in told} == {("completed", 100)}
    assert [task["result"]["number"] for task in told] == list(map(str, range(count)))
    assert {task["worker_id"] for task in told} <= {"foreign", "ours-1", "ours-2"}
    assert all((task["worker_id"] == "foreign") == (task["result"]["number"] in done) for task in told)


def submitted(url: str, task_type: str, number: str) -> str:
    body = {"task_type": task_type, "kb_id": "kb", "payload": {"number": number}}
    reply = requests.post(url + API, json=body, timeout=20)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


def statuses(url: str) -> dict[str, int]:
    told: dict[str, int] = requests.get(f"{url}/api/v1/stats/tasks", timeout=20).json()["status_breakdown"]
    return told
