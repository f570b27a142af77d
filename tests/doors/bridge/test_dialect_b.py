"""Dialect B, the older server on the same port: each call as its clients make it."""

from __future__ import annotations

import pytest
from live_bridge import LiveBridge

from taskspool.engine.task import Priority

BOTH_DIALECTS = {"task_id", "status", "success", "worker", "data", "error", "error_message", "submitted_at",
                 "completed_at"}


def test_create(fresh: LiveBridge) -> None:
    """POST /api/tasks/create answers 200 with task_id, message, priority and the true place in line."""
    first = fresh.post("/api/tasks/create?priority=normal", {"type": "ping", "data": {}})
    urgent = fresh.post("/api/tasks/create?priority=urgent", {"task_type": "ping", "data": {}})
    assert first.status_code == urgent.status_code == 200
    assert (first.json()["priority"], first.json()["queue_position"]) == ("normal", 1)
    assert (urgent.json()["priority"], urgent.json()["queue_position"]) == ("urgent", 1)
    assert fresh.post("/api/tasks/create", {"type": "ping"}).json()["queue_position"] == 3
    assert first.json()["message"]
    assert fresh.queue.task(urgent.json()["task_id"]).task.priority is Priority.CRITICAL


@pytest.mark.parametrize(("word", "priority"), [
    ("urgent", Priority.CRITICAL), ("critical", Priority.CRITICAL), ("high", Priority.HIGH),
    ("normal", Priority.NORMAL), ("low", Priority.LOW), ("whatever", Priority.NORMAL), ("", Priority.NORMAL),
])
def test_priorities(bridge: LiveBridge, word: str, priority: Priority) -> None:
    """Each word of priority means what it says; an unknown one counts as normal."""
    made = bridge.post(f"/api/tasks/create?priority={word}", {"type": "ping", "data": {}}).json()
    assert bridge.queue.task(made["task_id"]).task.priority is priority


@pytest.mark.parametrize("body", [
    {"task_type": "ping", "params": {"a": 1}, "priority": "low"}, {"type": "ping", "data": {"a": 1}, "priority": "low"},
])
def test_enqueue(bridge: LiveBridge, body: dict[str, object]) -> None:
    """POST /api/enqueue takes task_type or type, params or data, and priority in the body."""
    reply = bridge.post("/api/enqueue", body)
    task = bridge.queue.task(reply.json()["task_id"]).task
    assert reply.status_code == 200
    assert (task.type, task.data, task.priority) == ("ping", {"a": 1}, Priority.LOW)
    assert reply.json()["priority"] == "low"


def test_next_by_get(fresh: LiveBridge) -> None:
    """GET /api/tasks/next gives the bare task at top level, to the worker of X-Worker-Name; empty is task null."""
    assert fresh.get("/api/tasks/next").json()["task"] is None
    task_id = fresh.submit("ping", {"a": 1}, priority="urgent")
    body = fresh.get("/api/tasks/next", headers={"X-Worker-Name": "gina"}).json()
    assert "task" not in body
    assert "tasks" not in body
    assert (body["task_id"], body["type"], body["data"], body["priority"]) == (task_id, "ping", {"a": 1}, "urgent")
    assert body["created_at"]
    assert fresh.queue.task(task_id).worker == "gina"


def test_head_takes_nothing(fresh: LiveBridge) -> None:
    """HEAD on an address whose GET takes a task is refused, and the task stays."""
    task_id = fresh.submit()
    reply = fresh.session.head(f"{fresh.url}/api/tasks/next", timeout=10)
    assert reply.status_code == 405
    assert "HEAD" not in reply.headers["Allow"]
    assert fresh.get(f"/api/tasks/{task_id}").json()["status"] == "pending"


def test_worker_name_header_on_post(fresh: LiveBridge) -> None:
    """X-Worker-Name names the worker of a POST without body too."""
    task_id = fresh.submit()
    fresh.post("/api/tasks/next", headers={"X-Worker-Name": "hans"})
    assert fresh.queue.task(task_id).worker == "hans"


def test_results_in_its_own_words(bridge: LiveBridge, kind: str) -> None:
    """{success, data} and {success, error} finish a task; the answer speaks both dialects."""
    good, bad = bridge.submit(kind), bridge.submit(kind)
    sent = bridge.post(f"/api/tasks/{good}/result", {"success": True, "data": {"v": 1}})
    assert {"message", "success", "task_id"} <= sent.json().keys()
    bridge.post(f"/api/tasks/{bad}/result", {"success": False, "error": "broken"})
    for task_id, success, error in ((good, True, None), (bad, False, "broken")):
        for path in (f"/api/results/{task_id}", f"/api/tasks/{task_id}/result"):
            result = bridge.get(path).json()
            assert result.keys() >= BOTH_DIALECTS
            assert (result["success"], result["error"], result["error_message"]) == (success, error, error)
            assert result["status"] == ("success" if success else "error")


def test_latest_results(fresh: LiveBridge) -> None:
    """GET /api/results lists results, newest first, up to count."""
    ids = [fresh.submit() for _ in range(3)]
    for task_id in ids:
        fresh.post(f"/api/tasks/{task_id}/result", {"success": True, "data": {}})
    listed = fresh.get("/api/results").json()
    assert [result["task_id"] for result in listed["results"]] == ids[::-1]
    assert listed["count"] == 3
    assert [result["task_id"] for result in fresh.get("/api/results?count=1").json()["results"]] == [ids[2]]


def test_result_by_id_is_404_until_then(bridge: LiveBridge, kind: str) -> None:
    """GET /api/results/:id is a 404 while there is none."""
    assert bridge.get(f"/api/results/{bridge.submit(kind)}").status_code == 404


def test_inflight(fresh: LiveBridge) -> None:
    """GET /api/inflight tells who works on what, since when."""
    task_id = fresh.submit("ping")
    fresh.submit("ping")
    fresh.claim("ida")
    body = fresh.get("/api/inflight").json()
    assert body["count"] == 1
    [one] = body["inflight"]
    assert (one["task_id"], one["type"], one["worker"]) == (task_id, "ping", "ida")
    assert one["leased_at"]
    assert 0 <= one["age_sec"] < 60


def test_health_with_numbers(fresh: LiveBridge) -> None:
    """GET /api/health counts what waits, by priority."""
    for word in ("urgent", "normal", "normal", "low"):
        fresh.post("/api/enqueue", {"type": "ping", "priority": word})
    health = fresh.get("/api/health").json()
    assert (health["status"], health["queue_size"], health["results_count"]) == ("ok", 4, 0)
    assert (health["queue_urgent"], health["queue_normal"], health["queue_low"]) == (1, 2, 1)
    assert health["service"]
    assert health["timestamp"]


def test_stats_in_its_words(fresh: LiveBridge) -> None:
    """GET /api/stats carries dialect B's numbers beside dialect A's."""
    for word, success in (("urgent", True), ("low", False), ("low", True)):
        fresh.post("/api/enqueue", {"type": "ping", "priority": word})
        task = fresh.claim("jan")
        fresh.post(f"/api/tasks/{task['id']}/result", {"success": success, "error": None if success else "no"})
    fresh.post("/api/enqueue", {"type": "ping", "priority": "low"})
    fresh.submit()
    fresh.claim("jan")
    stats = fresh.get("/api/stats").json()
    assert (stats["pending"], stats["pending_low"], stats["inflight"]) == (1, 1, 1)
    assert (stats["completed"], stats["successful"], stats["failed"]) == (3, 2, 1)
    assert stats["success_rate"] == pytest.approx(66.67)
    assert stats["workers"] == {"jan": 1}
    assert stats["avg_duration_ms"] >= 0
    assert stats["timestamp"]
