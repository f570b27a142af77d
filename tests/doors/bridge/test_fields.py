"""Fields out of range or of the wrong type: 400, and the error names the field and the rule."""

from __future__ import annotations

from typing import Any

import pytest
from live_bridge import LiveBridge

TASK = {"task_type": "never-run"}
NEXT = "/api/tasks/next"
ANY_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(("path", "body", "field"), [
    ("/api/tasks", {"task_type": 5}, "task_type"),
    ("/api/tasks", {"task_type": ""}, "task_type"),
    ("/api/tasks", {"task_type": "x" * 129}, "task_type"),
    ("/api/tasks", {"task_type": "two\nlines"}, "task_type"),
    ("/api/tasks", {"task_type": "esc\u001b[2J"}, "task_type"),
    ("/api/tasks", {**TASK, "data": "text"}, "data"),
    ("/api/tasks", {**TASK, "data": [1]}, "data"),
    ("/api/tasks", {**TASK, "requester": 1}, "requester"),
    ("/api/tasks", {**TASK, "requester": "a\u202eb"}, "requester"),
    ("/api/tasks", {**TASK, "max_retries": -1}, "max_retries"),
    ("/api/tasks", {**TASK, "max_retries": 1001}, "max_retries"),
    ("/api/tasks", {**TASK, "max_retries": 1.5}, "max_retries"),
    ("/api/tasks", {**TASK, "max_retries": True}, "max_retries"),
    ("/api/tasks", {**TASK, "max_retries": "3"}, "max_retries"),
    ("/api/tasks", {**TASK, "priority": "soon"}, "priority"),
    ("/api/tasks", {**TASK, "priority": 2}, "priority"),
    (NEXT, {"worker_id": 7}, "worker_id"),
    (NEXT, {"worker_id": "a\u0000b"}, "worker_id"),
    (NEXT, {"types": "ping"}, "types"),
    (NEXT, {"types": []}, "types"),
    (NEXT, {"types": [1]}, "types.0"),
    (NEXT, {"max": 0}, "max"),
    (NEXT, {"max": 101}, "max"),
    (NEXT, {"wait": -1}, "wait"),
    (NEXT, {"wait": 25.5}, "wait"),
    (NEXT, {"wait": "5"}, "wait"),
    (NEXT, {"wait": True}, "wait"),
    (NEXT, {"lease": 0}, "lease"),
    (NEXT, {"lease": 86_401}, "lease"),
    (f"/api/tasks/{ANY_ID}/result", {"status": "maybe"}, "status"),
    (f"/api/tasks/{ANY_ID}/result", {"status": "error", "success": True}, "success"),
    (f"/api/tasks/{ANY_ID}/result", {"success": "yes"}, "success"),
    (f"/api/tasks/{ANY_ID}/result", {"success": False, "retry_after": -1}, "retry_after"),
    (f"/api/tasks/{ANY_ID}/result", {"success": True, "lease_token": 5}, "lease_token"),
    (f"/api/tasks/{ANY_ID}/heartbeat", {}, "lease_token"),
    (f"/api/tasks/{ANY_ID}/release", {"lease_token": "t", "delay": -1}, "delay"),
    ("/api/workers/w/heartbeat", {"running": [{"task_id": "x"}]}, "running.0.lease_token"),
    ("/api/workers/w/heartbeat", {"running": 1}, "running"),
    ("/api/tasks/batch", {"tasks": {}}, "tasks"),
])
def test_bad_field(bridge: LiveBridge, path: str, body: dict[str, Any], field: str) -> None:
    """Each bad field is refused by name."""
    reply = bridge.post(path, body)
    assert reply.status_code == 400, reply.text
    told = reply.json()
    assert told["code"] == "INVALID_REQUEST"
    assert told["details"]["field"] == field
    assert told["details"]["rule"]
    assert "tuple" not in told["error"], "no word of Python in it"
    assert field.rsplit(".", maxsplit=1)[-1] in told["error"] or field in told["error"]


@pytest.mark.parametrize(("path", "field"), [
    ("/api/tasks?limit=0", "limit"), ("/api/tasks?limit=1001", "limit"), ("/api/tasks?limit=ten", "limit"),
    ("/api/tasks?limit=", "limit"), ("/api/tasks?limit=1e2", "limit"), ("/api/tasks?limit=%D9%A1", "limit"),
    ("/api/results?count=-1", "count"), (f"/api/tasks/{ANY_ID}/result?wait=x", "wait"),
    (f"/api/tasks/{ANY_ID}/result?wait=25.1", "wait"), (f"/api/results/{ANY_ID}?wait=-1", "wait"),
    ("/api/tasks/next?wait=26&types=none", "wait"), ("/api/tasks/next?max=x&types=none", "max"),
    ("/api/tasks/next?types=&wait=1", "types"),
])
def test_bad_query(bridge: LiveBridge, path: str, field: str) -> None:
    """Garbage in the query is refused by name."""
    reply = bridge.get(path)
    assert reply.status_code == 400, reply.text
    assert reply.json()["details"]["field"].split(".")[0] == field


def test_refused_claim_takes_nothing(bridge: LiveBridge) -> None:
    """A claim that is refused for its wait has not taken a task before."""
    task_id = bridge.submit("refused")
    assert bridge.post("/api/tasks/next?wait=long", {"types": ["refused"]}).status_code == 400
    assert bridge.get(f"/api/tasks/{task_id}").json()["status"] == "pending"


def test_bad_key(bridge: LiveBridge) -> None:
    """An Idempotency-Key is 1..255 printable characters."""
    reply = bridge.post("/api/tasks", TASK, headers={"Idempotency-Key": "k" * 256})
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "Idempotency-Key")


def test_null_is_left_out(bridge: LiveBridge) -> None:
    """null for what may be left out counts as left out: PowerShell sends it."""
    body = {"task_type": "never-run", "data": None, "requester": None, "priority": None}
    assert bridge.post("/api/tasks", body).status_code == 201
    assert bridge.post(NEXT, {"worker_id": None, "types": ["none"], "wait": None, "lease": None}).status_code == 200
