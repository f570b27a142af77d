"""Leases over HTTP: the token fences a slow worker off, heartbeats keep a task, a release gives it back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from live_bridge import LiveBridge, live_bridge
from waiting import eventually

from taskspool.clock import from_text


def claimed(bridge: LiveBridge, kind: str, **more: Any) -> tuple[str, str]:
    """(id, lease token) of a new task that was claimed."""
    task_id = bridge.submit(kind)
    task = bridge.claim("holder", types=[kind], **more)
    assert task["id"] == task_id
    return task_id, task["lease"]["token"]


def test_lease_in_the_claim(bridge: LiveBridge, kind: str) -> None:
    """A claim tells token, generation, when the lease ends and how often to beat."""
    bridge.submit(kind)
    task = bridge.claim("w", types=[kind], lease=90)
    lease = task["lease"]
    assert lease["token"]
    assert (lease["generation"], task["attempt"], task["max_attempts"]) == (1, 1, 1)
    assert lease["heartbeat_every"] == pytest.approx(30)
    ends = from_text(lease["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(seconds=90)) < timedelta(seconds=5)


def test_claim_of_one_has_a_lease_too(bridge: LiveBridge, kind: str) -> None:
    """POST :id/claim carries a lease like any claim."""
    reply = bridge.post(f"/api/tasks/{bridge.submit(kind)}/claim", {"worker_id": "w", "lease": 30}).json()
    assert reply["task"]["lease"]["lease_seconds"] == 30


def test_max(fresh: LiveBridge) -> None:
    """``max`` takes several at once, each with a lease of its own; what is repeated at top level is for one only."""
    ids = [fresh.submit() for _ in range(4)]
    body = fresh.post("/api/tasks/next", {"max": 3}).json()
    assert [task["id"] for task in body["tasks"]] == ids[:3]
    assert len({task["lease"]["token"] for task in body["tasks"]}) == 3
    assert body["task"]["id"] == ids[0]
    assert "task_id" not in body


def test_types(fresh: LiveBridge) -> None:
    """``types`` gives only what the worker can do."""
    fresh.submit("a")
    second = fresh.submit("b")
    assert fresh.claim("w", types=["x"]) is None
    assert fresh.claim("w", types=["x", "b"])["id"] == second
    assert fresh.get("/api/tasks/next?types=a,x").json()["type"] == "a"


def test_stale_token_changes_nothing(bridge: LiveBridge, kind: str) -> None:
    """A worker that lost its lease gets 409 LEASE_LOST for result, heartbeat and release, and nothing changes."""
    task_id, token = claimed(bridge, kind)
    bridge.post(f"/api/tasks/{task_id}/release", {"lease_token": token})
    _, newer = task_id, bridge.claim("second", types=[kind])["lease"]["token"]
    for path, body in (
        ("result", {"lease_token": token, "status": "success", "data": {"who": "first"}}),
        ("result", {"lease_token": token, "status": "error", "error_message": "late"}),
        ("heartbeat", {"lease_token": token}), ("release", {"lease_token": token}),
    ):
        reply = bridge.post(f"/api/tasks/{task_id}/{path}", body)
        assert (reply.status_code, reply.json()["code"]) == (409, "LEASE_LOST")
    assert bridge.queue.lease_of(task_id).token == newer  # type: ignore[union-attr]
    bridge.post(f"/api/tasks/{task_id}/result", {"lease_token": newer, "status": "success", "data": {"who": "second"}})
    assert bridge.get(f"/api/tasks/{task_id}/result").json()["data"] == {"who": "second"}


def test_same_result_again(bridge: LiveBridge, kind: str) -> None:
    """A result sent again with its own token is 200 again: its first answer may have been lost."""
    task_id, token = claimed(bridge, kind)
    body = {"lease_token": token, "status": "success", "data": {"v": 1}}
    assert bridge.post(f"/api/tasks/{task_id}/result", body).status_code == 200
    assert bridge.post(f"/api/tasks/{task_id}/result", body).status_code == 200


def test_without_a_token(bridge: LiveBridge, kind: str) -> None:
    """A client that knows no tokens is believed under the holder's name, or with no name, and under no other."""
    task_id, _ = claimed(bridge, kind)
    wrong = bridge.post(f"/api/tasks/{task_id}/result", {"worker_id": "thief", "status": "success"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "LEASE_LOST")
    assert bridge.post(f"/api/tasks/{task_id}/result", {"worker_id": "holder", "status": "success"}).status_code == 200
    nameless, _ = claimed(bridge, kind)
    assert bridge.post(f"/api/tasks/{nameless}/result", {"status": "success"}).status_code == 200


@pytest.mark.slow
def test_heartbeat_keeps_the_task(tmp_path: Path) -> None:
    """A worker that beats keeps its task beyond the lease; one that falls silent loses it."""
    with live_bridge(tmp_path) as bridge:
        task_id, token = claimed(bridge, "t", lease=1)
        until = datetime.now(UTC) + timedelta(seconds=1.6)

        def beat() -> bool:
            reply = bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token})
            assert reply.status_code == 200
            assert reply.json()["cancel_requested"] is False
            return from_text(reply.json()["lease_expires_at"]) > until + timedelta(seconds=1)

        eventually(beat, 10, "beats beyond the lease")
        eventually(lambda: bridge.get(f"/api/tasks/{task_id}").json()["status"] == "pending", 10, "silence ends it")
        again = bridge.claim("other", types=["t"])
        assert (again["id"], again["attempt"], again["lease"]["generation"]) == (task_id, 2, 2)
        assert "fell silent" in again["previous_error"]


def test_one_beat_for_all(bridge: LiveBridge, kind: str) -> None:
    """POST /api/workers/:name/heartbeat renews every lease that stands, and names the tasks that are lost."""
    first, token = claimed(bridge, kind)
    second, other_token = claimed(bridge, kind)
    running = [{"task_id": first, "lease_token": token}, {"task_id": second, "lease_token": "stale"},
               {"task_id": "no id at all", "lease_token": other_token}]
    body = bridge.post("/api/workers/holder/heartbeat", {"running": running, "capacity": 3}).json()
    assert body["leases"].keys() == {first}
    assert body["lost"] == [second, "no id at all"]
    assert (body["state"], body["cancel"]) == ("run", [])
    assert body["next_beat"] == pytest.approx(20)


def test_beat_of_an_idle_worker(bridge: LiveBridge) -> None:
    """A worker without tasks may beat too, with or without a body."""
    assert bridge.post("/api/workers/idle/heartbeat").json()["lost"] == []
    assert bridge.post("/api/workers/idle/heartbeat", {"running": []}).status_code == 200


def test_release(bridge: LiveBridge, kind: str) -> None:
    """A released task is ready again at once, and no attempt is used up."""
    task_id, token = claimed(bridge, kind)
    reply = bridge.post(f"/api/tasks/{task_id}/release", {"lease_token": token, "reason": "shutting down"})
    assert (reply.status_code, reply.json()["success"]) == (200, True)
    again = bridge.claim("w", types=[kind])
    assert (again["id"], again["attempt"]) == (task_id, 1)


def test_release_with_delay(bridge: LiveBridge, kind: str) -> None:
    """``delay`` puts the task off."""
    task_id, token = claimed(bridge, kind)
    bridge.post(f"/api/tasks/{task_id}/release", {"lease_token": token, "delay": 3600})
    assert bridge.claim("w", types=[kind]) is None
    shown = bridge.get(f"/api/tasks/{task_id}").json()
    assert (shown["status"], shown["state"]) == ("pending", "scheduled")
    assert from_text(shown["not_before"]) > datetime.now(UTC) + timedelta(minutes=50)


def test_retries(bridge: LiveBridge, kind: str) -> None:
    """A failure with retries left puts the task off; retry_after says for how long; the last one finishes it."""
    task_id = bridge.submit(kind, max_retries=1)
    task = bridge.claim("w", types=[kind])
    assert task["max_attempts"] == 2
    body = {"lease_token": task["lease"]["token"], "status": "error", "error_message": "first", "retry_after": 0}
    reply = bridge.post(f"/api/tasks/{task_id}/result", body).json()
    assert (reply["will_retry"], reply["status"]) == (True, "pending")
    assert bridge.get(f"/api/tasks/{task_id}/result").status_code == 404
    task = eventually(lambda: bridge.claim("w", types=[kind]), 5, "promoted")
    assert (task["id"], task["attempt"], task["previous_error"]) == (task_id, 2, "first")
    body = {"lease_token": task["lease"]["token"], "success": False, "error": {"message": "second", "type": "E"}}
    assert bridge.post(f"/api/tasks/{task_id}/result", body).json()["status"] == "failed"
    assert bridge.get(f"/api/tasks/{task_id}/result").json()["error"] == "second"


def test_not_retryable(bridge: LiveBridge, kind: str) -> None:
    """retryable false gives up at once, whatever retries are left."""
    task_id = bridge.submit(kind, max_retries=5)
    token = bridge.claim("w", types=[kind])["lease"]["token"]
    body = {"lease_token": token, "status": "error", "error_message": "never", "retryable": False}
    assert bridge.post(f"/api/tasks/{task_id}/result", body).json()["status"] == "failed"
    assert bridge.get(f"/api/tasks/{task_id}/result").status_code == 200


@pytest.mark.parametrize("status", ["success", "completed", "SUCCESS"])
def test_words_for_success(bridge: LiveBridge, kind: str, status: str) -> None:
    """status may say success in the words seen in the field."""
    task_id, token = claimed(bridge, kind)
    bridge.post(f"/api/tasks/{task_id}/result", {"lease_token": token, "status": status, "result": [1]})
    result = bridge.get(f"/api/tasks/{task_id}/result").json()
    assert (result["status"], result["data"]) == ("success", [1])
