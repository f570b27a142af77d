"""Several queues behind one bridge: each below /queues/<name>/, with the same API, and apart from the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from live_bridge import LiveBridge, request_bytes
from service import services
from waiting import eventually

from taskspool.doors.bridge import named_queues
from taskspool.doors.bridge.named_queues import NamedQueues
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Sweeper, Ticker
from taskspool.settings import Settings
from taskspool.web.server import Serving


@dataclass
class Many:
    bridge: LiveBridge
    root: Path
    queues: NamedQueues

    def submit(self, name: str, kind: str = "t", **more: Any) -> str:
        reply = self.bridge.post(f"/queues/{name}/api/tasks", {"task_type": kind, **more})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["task_id"])

    def code(self, method: str, path: str, **options: Any) -> tuple[int, str]:
        reply = self.bridge.session.request(method, self.bridge.url + path, timeout=10, **options)
        return reply.status_code, reply.json().get("code", "")


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Many]:
    settings = Settings(root=tmp_path, durability="fast")
    queue = open_queue(settings)

    def tickers_of(queue: Queue) -> list[Ticker]:
        return [Sweeper(queue, tick_seconds=0.1)]

    queues = NamedQueues(queue, settings, tickers_of)
    bridge = LiveBridge(queue, settings)
    for one in bridge.serving.sockets:
        one.close()
    bridge.serving = Serving(queues, settings, is_quick=queues.is_quick, port=0)
    bridge.port = bridge.serving.port
    bridge.url = f"http://127.0.0.1:{bridge.port}"
    bridge._thread = threading.Thread(target=bridge.serving.run, daemon=True)
    try:
        bridge.start()
        yield Many(bridge, tmp_path, queues)
    finally:
        bridge.stop()
        queues.close()
        queue.close()


def test_a_queue_of_its_own(many: Many) -> None:
    """A first submit makes the queue; a task goes its whole way in it, and the default one knows nothing of it."""
    reply = many.bridge.post("/queues/reports/api/tasks", {"task_type": "t"})
    task_id = reply.json()["task_id"]
    assert reply.headers["Location"] == f"/queues/reports/api/tasks/{task_id}"
    assert (many.root / "reports" / "tasks" / f"{task_id}.json").exists()
    assert many.bridge.get(f"/api/tasks/{task_id}").status_code == 404
    assert many.bridge.claim() is None
    task = many.bridge.post("/queues/reports/api/tasks/next", {"worker_id": "w"}).json()["task"]
    body = {"lease_token": task["lease"]["token"], "data": 7}
    assert many.bridge.post(f"/queues/reports/api/tasks/{task_id}/complete", body).status_code == 200
    assert many.bridge.get(f"/queues/reports/api/tasks/{task_id}/result").json()["data"] == 7
    assert many.bridge.get("/queues/reports/health").json()["queue"] == "reports"


def test_unknown_until_a_submit(many: Many) -> None:
    """Asking for a queue that is not there makes none."""
    assert many.code("GET", "/queues/nowhere/api/tasks") == (404, "QUEUE_NOT_FOUND")
    assert many.code("POST", "/queues/nowhere/api/tasks/next", json={}) == (404, "QUEUE_NOT_FOUND")
    assert not (many.root / "nowhere").exists()


@pytest.mark.parametrize(("path", "body"), [
    ("tasks", {}), ("tasks", {"task_type": "t", "data": 5}), ("tasks", {"task_type": "a\nb"}),
    ("tasks", {"task_type": "t", "delay": 1, "run_at": "2030-01-01T00:00:00Z"}),
    ("tasks", {"task_type": "t", "data": {"x": "x" * 1_048_576}}), ("tasks", {"task_type": "t", "on_conflict": "no"}),
    ("tasks/create", {"data": {}}), ("enqueue", {"type": ""}), ("tasks/batch", {"tasks": []}),
    ("tasks/batch", {"tasks": [{"task_type": "t"}, {"task_type": ""}]}),
    ("batches", {"name": "a\nb", "tasks": [{"task_type": "t"}]}),
])
def test_a_refused_submit_makes_none(many: Many, path: str, body: dict[str, Any]) -> None:
    """It is told what it is told everywhere, and no folder is left of it."""
    told = many.code("POST", f"/queues/nowhere/api/{path}", json=body)
    assert told == many.code("POST", f"/api/{path}", json=body)
    assert told[0] in (400, 413)
    assert not (many.root / "nowhere").exists()


def test_which_there_are(many: Many) -> None:
    """Every queue below the root with what lies in it, whether it is served yet or not."""
    open_queue(Settings(root=many.root, queue="old", durability="fast")).close()
    many.submit("reports")
    told = many.bridge.get("/queues").json()
    assert (told["queue"], told["count"]) == ("task_queue", 3)
    assert {one["name"]: one["counts"]["ready"] for one in told["queues"]} == {"old": 0, "reports": 1, "task_queue": 0}
    assert many.bridge.get("/queues/reports/queues").json()["queue"] == "reports"


def test_one_that_is_there_is_opened(many: Many) -> None:
    """A queue another program made is served at its first use, without a submit."""
    other = open_queue(Settings(root=many.root, queue="old", durability="fast"))
    other.close()
    assert many.bridge.get("/queues/old/api/tasks").json()["count"] == 0


def test_long_polls_and_streams(many: Many) -> None:
    """Waiting for a task, and listening to events, work there as everywhere."""
    many.submit("b", "first")
    many.bridge.post("/queues/b/api/tasks/next", {})
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(requests.post(
        f"{many.bridge.url}/queues/b/api/tasks/next", json={"wait": 10}, timeout=20).json()["task"]))
    waiting.start()
    stream = requests.get(f"{many.bridge.url}/queues/b/api/events?after=0", stream=True, timeout=10)
    assert next(stream.iter_lines()).startswith(b":")
    stream.close()
    task_id = many.submit("b")
    waiting.join(15)
    assert got[0]["id"] == task_id


def test_what_goes_on_without_a_caller(many: Many) -> None:
    """The sweeper works in it too: what was put off comes when it is due."""
    task_id = many.submit("later", delay=0.3)
    eventually(lambda: many.bridge.post("/queues/later/api/tasks/next", {}).json()["task"], 10, "its time comes")
    assert many.bridge.get(f"/queues/later/api/tasks/{task_id}").json()["status"] == "in_progress"


def test_the_default_queue_by_its_name(many: Many) -> None:
    """The default queue is the same one below its name: nothing is opened twice."""
    task_id = many.submit("task_queue")
    assert many.bridge.get(f"/api/tasks/{task_id}").status_code == 200
    assert list(many.queues._open) == ["task_queue"]


@pytest.mark.parametrize("name", ["..", "a.b", "%2e%2e", "a%2Fb", "x" * 65, "%FF", "con:"])
def test_names_that_cannot_be(many: Many, name: str) -> None:
    """What is no name of a queue is refused, and leaves nothing behind."""
    before = {path.name for path in many.root.iterdir()}
    reply = many.bridge.raw(request_bytes("POST", f"/queues/{name}/api/tasks", b'{"task_type":"t"}'))
    assert reply.status in (400, 404)
    assert {path.name for path in many.root.iterdir()} == before


def test_a_page_of_another_site_makes_none(many: Many) -> None:
    """The gates stand before the opening: what a foreign page asks makes no folder."""
    headers = {"Origin": "https://evil.example"}
    assert many.code("POST", "/queues/evil/api/tasks", json={"task_type": "t"}, headers=headers)[0] == 403
    assert many.code("POST", "/queues/evil/api/tasks", data=b"{}", headers={"Content-Type": "text/plain"})[0] == 400
    assert not (many.root / "evil").exists()


def test_not_more_than_may_be_open(many: Many, monkeypatch: pytest.MonkeyPatch) -> None:
    """One queue too many is refused; those that are open go on."""
    monkeypatch.setattr(named_queues, "MAX_OPEN", 2)
    many.submit("one")
    assert many.code("POST", "/queues/two/api/tasks", json={"task_type": "t"}) == (503, "TOO_MANY_QUEUES")
    many.submit("one")


@pytest.mark.slow
def test_the_real_command(tmp_path: Path) -> None:
    """taskspool serve serves them, and lets go of all of them when it ends."""
    with services(tmp_path) as running:
        service = running.bridge(tmp_path / "root", "--durability", "fast")
        url = f"http://127.0.0.1:{service.port()}/queues/reports"
        assert requests.post(f"{url}/api/tasks", json={"task_type": "t"}, timeout=10).status_code == 201
        assert requests.get(f"{url}/api/tasks", timeout=10).json()["count"] == 1
        assert service.end() == 0
