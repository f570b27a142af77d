"""GET /api/tasks/:id/explain: why a task is where it is, in words that name what there is."""

from __future__ import annotations

from typing import Any

from live_bridge import LiveBridge


def told(bridge: LiveBridge, task_id: str) -> Any:
    reply = bridge.get(f"/api/tasks/{task_id}/explain")
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_nobody_asks_for_its_type(bridge: LiveBridge, kind: str) -> None:
    """Until a worker asks for its type, it says that none has; then it names who did."""
    task_id = bridge.submit(kind)
    before = told(bridge, task_id)
    assert (before["state"], before["status"]) == ("ready", "pending")
    assert f"no worker has asked for tasks of type '{kind}' in the last minute" in before["summary"]
    bridge.post("/api/queue/pause", {"types": [kind]})
    bridge.claim("helen", types=[kind])
    bridge.post("/api/queue/resume", {"types": [kind]})
    assert "helen" in " ".join(told(bridge, task_id)["sentences"])


def test_paused(bridge: LiveBridge, kind: str) -> None:
    """It names who paused what, why, and what ends it."""
    task_id = bridge.submit(kind)
    bridge.post("/api/queue/pause", {"types": [kind], "by": "ann", "reason": "site down"})
    after = told(bridge, task_id)
    assert "paused" in after["summary"]
    assert "paused by ann" in after["sentences"][0]
    assert "site down" in after["sentences"][0]
    assert f"taskspool resume {kind}" in after["next"]


def test_the_life_of_a_task(bridge: LiveBridge, kind: str) -> None:
    """Leased by whom until when; retried when, after which error; cancelled by whom; dead why, and how to retry."""
    task_id = bridge.submit(kind, max_retries=3)
    token = bridge.claim("bob", types=[kind])["lease"]["token"]
    held = told(bridge, task_id)
    assert "leased to bob until" in " ".join(held["sentences"])
    assert held["next_at"]
    failed = {"lease_token": token, "error": "disk on fire", "retry_after": 3600}
    bridge.post(f"/api/tasks/{task_id}/fail", failed)
    waiting = told(bridge, task_id)
    assert "tried again at" in waiting["summary"]
    assert "attempt 2 of 4" in waiting["summary"]
    assert "disk on fire" in " ".join(waiting["sentences"])
    bridge.post(f"/api/tasks/{task_id}/cancel", {"by": "ann", "reason": "enough"})
    over = told(bridge, task_id)
    assert "cancelled by ann: enough" in over["summary"]
    assert over["next"].endswith(f"taskspool retry {task_id}.")


def test_unknown(bridge: LiveBridge) -> None:
    """An unknown task is not explained."""
    assert bridge.get("/api/tasks/00000000-0000-4000-8000-000000000000/explain").json()["code"] == "TASK_NOT_FOUND"
