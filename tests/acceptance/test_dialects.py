"""A working day in each dialect of port 8091: the calls in the order their programs make them."""

from __future__ import annotations

import pytest

from acceptance.conftest import System
from waiting import eventually

STATS = {"completed_tasks", "pending_tasks", "tasks_dir", "results_dir", "pending", "pending_urgent", "pending_normal",
         "pending_low", "inflight", "completed", "successful", "failed", "success_rate", "workers", "avg_duration_ms",
         "timestamp"}
RESULT = {"task_id", "worker", "status", "success", "data", "error", "error_message", "submitted_at", "completed_at"}


def test_a_day_in_dialect_a(office: System) -> None:
    """Submit, poll on 404, read the six keys: done by our own worker."""
    reply = office.post("/api/tasks", {"task_type": "ping", "data": {}, "requester": "my-script"})
    assert (reply.status_code, reply.json()["success"]) == (201, True)
    path = f"/api/tasks/{reply.json()['task_id']}/result"
    found = eventually(lambda: finished(office, path), 10, "the result")
    assert found.keys() >= {"task_id", "worker", "status", "data", "completed_at", "error_message"}
    assert (found["status"], found["data"]["message"], found["error_message"]) == ("success", "pong", None)


def finished(office: System, path: str) -> dict[str, object] | None:
    reply = office.get(path)
    assert reply.status_code in (200, 404), reply.text
    return None if reply.status_code == 404 else reply.json()


def test_a_poller_in_dialect_a(quiet: System) -> None:
    """next with worker_id, always 200; result under the name of the claim; then nothing more is there."""
    task_id = quiet.submit("web_scraping", {"url": "u"})
    task = quiet.post("/api/tasks/next", {"worker_id": "comet"}).json()["task"]
    assert (task["id"], task["type"], task["data"], task["requester"]) == (
        task_id, "web_scraping", {"url": "u"}, "http-client")
    sent = quiet.post(f"/api/tasks/{task_id}/result", {"worker": "comet", "status": "success", "data": {"html": ""}})
    assert (sent.status_code, sent.json()["success"], sent.json()["task_id"]) == (200, True, task_id)
    assert quiet.result(task_id)["worker"] == "comet"
    empty = quiet.post("/api/tasks/next")
    assert (empty.status_code, empty.json()["task"]) == (200, None)
    assert quiet.post(f"/api/tasks/{task_id}/claim", {"worker_id": "late"}).status_code == 404


@pytest.mark.parametrize("posted", [
    {"worker_id": "in-the-end"}, *(pytest.param(posted, marks=pytest.mark.slow) for posted in (
        {"worker": "in-the-end"}, {}))])
def test_a_poller_that_claims_without_a_name(quiet: System, posted: dict[str, str]) -> None:
    """Its result is taken under whatever name it posts, and that name stands in the result."""
    task_id = quiet.submit("web_scraping")
    assert quiet.post("/api/tasks/next").json()["task"]["id"] == task_id
    for _ in range(2):  # the second time because its answer may have been lost
        sent = quiet.post(f"/api/tasks/{task_id}/result", {**posted, "status": "success", "data": {}})
        assert sent.status_code == 200, sent.text
    assert quiet.result(task_id)["worker"] == ("in-the-end" if posted else "anonymous")


def test_a_day_in_dialect_b(quiet: System) -> None:
    """Urgent before normal, bare tasks, {success, data} without a name, results and numbers in its own words."""
    normal = quiet.post("/api/enqueue", {"task_type": "report", "params": {"n": 1}}).json()
    urgent = quiet.post("/api/tasks/create?priority=urgent", {"type": "report", "data": {"n": 2}}).json()
    assert (urgent["priority"], urgent["queue_position"], bool(urgent["message"])) == ("urgent", 1, True)
    health = quiet.get("/api/health").json()
    assert [health[key] for key in ("status", "queue_size", "queue_urgent", "queue_normal", "queue_low")] == [
        "ok", 2, 1, 1, 0]
    taken = quiet.get("/api/tasks/next", **{"X-Worker-Name": "b-worker"}).json()
    assert "task" not in taken
    assert (taken["task_id"], taken["type"], taken["data"], taken["priority"]) == (
        urgent["task_id"], "report", {"n": 2}, "urgent")
    [held] = quiet.get("/api/inflight").json()["inflight"]
    assert (held["task_id"], held["worker"], held["type"]) == (urgent["task_id"], "b-worker", "report")
    assert held.keys() >= {"leased_at", "age_sec"}
    sent = quiet.post(f"/api/tasks/{urgent['task_id']}/result", {"success": True, "data": {"done": 1}}).json()
    assert (sent["success"], bool(sent["message"])) == (True, True)
    assert quiet.get(f"/api/results/{normal['task_id']}").status_code == 404
    result = quiet.get(f"/api/results/{urgent['task_id']}").json()
    assert result.keys() >= RESULT
    assert [result[key] for key in ("worker", "status", "success", "error")] == ["b-worker", "success", True, None]


@pytest.mark.slow
def test_the_evening_in_dialect_b(quiet: System) -> None:
    """A failure is a result; the lists are newest first; the numbers add up; the empty line is {"task": null}."""
    good, bad = quiet.submit("report"), quiet.submit("report")
    for body in ({"success": True, "data": 1}, {"success": False, "error": "no ink"}):
        task = quiet.get("/api/tasks/next", **{"X-Worker-Name": "b-worker"}).json()
        assert quiet.post(f"/api/tasks/{task['id']}/result", body).status_code == 200
    empty = quiet.get("/api/tasks/next").json()
    assert ("task" in empty, empty["task"]) == (True, None)
    found = quiet.get("/api/results?count=1").json()
    assert (found["count"], [one["task_id"] for one in found["results"]]) == (1, [bad])
    assert [one["error"] for one in quiet.get("/api/results").json()["results"]] == ["no ink", None]
    assert quiet.result(good)["data"] == 1
    stats = quiet.get("/api/stats").json()
    assert stats.keys() >= STATS
    assert [stats[key] for key in ("pending", "inflight", "completed", "successful", "failed", "success_rate")] == [
        0, 0, 2, 1, 1, 50.0]
    assert quiet.get("/api/inflight").json()["count"] == 0
