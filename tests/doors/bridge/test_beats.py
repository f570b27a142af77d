"""What a worker tells while it works, and what it is told when an answer was lost."""

from __future__ import annotations

from typing import Any

import pytest
from live_bridge import LiveBridge

from taskspool.doors.bridge.told_claims import ToldClaims


def test_progress_and_checkpoint(bridge: LiveBridge, kind: str) -> None:
    """A beat sets percent and message for all to see, and keeps a checkpoint, which the next attempt is given."""
    task_id = bridge.submit(kind)
    token = bridge.claim(types=[kind])["lease"]["token"]
    bridge.post(f"/api/tasks/{task_id}/heartbeat", {
        "lease_token": token, "progress": 40, "message": "page 4 of 10", "checkpoint": {"page": 4}})
    shown = bridge.get(f"/api/tasks/{task_id}").json()
    assert (shown["progress"]["percent"], shown["progress"]["message"]) == (40, "page 4 of 10")
    assert shown["checkpoint"] == {"page": 4}
    bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token})
    assert bridge.get(f"/api/tasks/{task_id}").json()["progress"]["percent"] == 40, "a bare beat changes nothing"
    pending = bridge.get(f"/api/tasks/{task_id}/result").json()
    assert pending["details"]["progress"]["percent"] == 40
    bridge.post(f"/api/tasks/{task_id}/release", {"lease_token": token, "reason": "shutting down"})
    assert bridge.claim(types=[kind])["checkpoint"] == {"page": 4}
    history = bridge.get(f"/api/tasks/{task_id}").json()["history"]
    assert [(step["verb"], step["reason"]) for step in history[2:3]] == [("release", "shutting down")]


def test_put_progress(bridge: LiveBridge, kind: str) -> None:
    """PUT /api/tasks/:id/progress is the same beat; progress may be an object; null checkpoint forgets it."""
    task_id = bridge.submit(kind)
    token = bridge.claim(types=[kind])["lease"]["token"]

    def put(**more: Any) -> Any:
        return bridge.session.put(f"{bridge.url}/api/tasks/{task_id}/progress", timeout=10,
                                  json={"lease_token": token, **more})

    reply = put(progress={"percent": 12.5, "message": "on it"}, checkpoint=[1])
    assert reply.json().keys() >= {"lease_expires_at", "cancel_requested", "next_beat"}
    put(progress=None)
    task = bridge.queue.task(task_id).task
    assert task.progress is not None
    assert (task.progress.percent, task.progress.message, task.checkpoint) == (12.5, "on it", [1])
    put(checkpoint=None)
    assert bridge.queue.task(task_id).task.checkpoint is None


def test_progress_for_many(bridge: LiveBridge, kind: str) -> None:
    """The beat for many tells the progress of each."""
    ids = [bridge.submit(kind) for _ in range(2)]
    tasks = bridge.post("/api/tasks/next", {"types": [kind], "max": 2}).json()["tasks"]
    running = [{"task_id": task["id"], "lease_token": task["lease"]["token"], "progress": 10 * number}
               for number, task in enumerate(tasks, 1)]
    assert bridge.post("/api/workers/w/heartbeat", {"running": running}).json()["leases"].keys() == set(ids)
    assert [bridge.get(f"/api/tasks/{task_id}").json()["progress"]["percent"] for task_id in ids] == [10, 20]


@pytest.mark.parametrize(("more", "field"), [
    ({"progress": 101}, "progress.percent"), ({"progress": -1}, "progress.percent"), ({"progress": "half"}, "progress"),
    ({"progress": True}, "progress"), ({"progress": {"message": 5}}, "progress.message"),
    ({"message": "x" * 1001}, "message"),
])
def test_bad_progress(bridge: LiveBridge, kind: str, more: dict[str, Any], field: str) -> None:
    """What is no progress is refused by name, and the lease stays as it is."""
    task_id = bridge.submit(kind)
    token = bridge.claim(types=[kind])["lease"]["token"]
    reply = bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token, **more})
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field)


def test_complete_and_fail(bridge: LiveBridge, kind: str) -> None:
    """The two ends have addresses of their own; both want the token."""
    first, second = bridge.submit(kind), bridge.submit(kind)
    tasks = bridge.post("/api/tasks/next", {"types": [kind], "max": 2}).json()["tasks"]
    tokens = {task["id"]: task["lease"]["token"] for task in tasks}
    reply = bridge.post(f"/api/tasks/{first}/complete", {"lease_token": tokens[first], "result": [1]})
    assert (reply.status_code, reply.json()["status"]) == (200, "completed")
    reply = bridge.post(f"/api/tasks/{second}/fail", {"lease_token": tokens[second], "error": {"message": "no"}})
    assert (reply.status_code, reply.json()["status"]) == (200, "failed")
    assert bridge.get(f"/api/tasks/{first}/result").json()["data"] == [1]
    assert bridge.get(f"/api/tasks/{second}/result").json()["error"] == "no"
    assert bridge.post(f"/api/tasks/{first}/complete", {}).json()["details"]["field"] == "lease_token"


def test_a_lost_answer(bridge: LiveBridge, kind: str) -> None:
    """The same request id from the same worker gets the same tasks, with leases that begin anew."""
    ids = [bridge.submit(kind) for _ in range(3)]
    asked = {"worker_id": "w", "types": [kind], "max": 2, "request_id": "r-1"}
    first = bridge.post("/api/tasks/next", asked).json()["tasks"]
    again = bridge.post("/api/tasks/next", asked).json()["tasks"]
    assert [task["id"] for task in first] == [task["id"] for task in again] == ids[:2]
    assert [task["lease"]["token"] for task in first] == [task["lease"]["token"] for task in again]
    assert again[0]["lease"]["expires_at"] > first[0]["lease"]["expires_at"]
    other = bridge.post("/api/tasks/next", {**asked, "worker_id": "another"}).json()["tasks"]
    assert [task["id"] for task in other] == ids[2:], "another worker's request is another request"


def test_a_request_that_was_dealt_with(bridge: LiveBridge, kind: str) -> None:
    """What was finished is not handed out again: the same request id then gets what comes next."""
    first, second = bridge.submit(kind), bridge.submit(kind)
    asked = {"worker_id": "w", "types": [kind], "request_id": "r-2"}
    task = bridge.claim(**asked)
    bridge.post(f"/api/tasks/{first}/complete", {"lease_token": task["lease"]["token"]})
    assert bridge.claim(**asked)["id"] == second


def test_the_memory_of_requests_is_bounded(bridge: LiveBridge, kind: str) -> None:
    """The oldest answers are forgotten first."""
    told = ToldClaims(bridge.queue, max_kept=2)
    for number in range(3):
        bridge.submit(kind)
        told.take(("w", f"r-{number}"), lambda: bridge.queue.claim("w", types=[kind]))
    assert told.take(("w", "r-2"), list)[1]
    assert not told.take(("w", "r-0"), list)[1]
