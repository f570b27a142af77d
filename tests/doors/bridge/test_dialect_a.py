"""Dialect A, the documented one: each call of the contract as its clients make it."""

from __future__ import annotations

import uuid

import pytest
from live_bridge import LiveBridge

UNKNOWN = str(uuid.uuid4())
TASK_KEYS = {"id", "type", "requester", "data", "status", "created_at", "assigned_to", "updated_at"}
RESULT_KEYS = {"task_id", "worker", "status", "data", "completed_at", "error_message"}


def test_index_for_programs(bridge: LiveBridge) -> None:
    """GET / tells a program name, version, description and every endpoint."""
    index = bridge.get("/").json()
    assert {"name", "version", "description", "endpoints"} <= index.keys()
    assert {"POST /api/tasks", "POST /api/tasks/next", "GET /api/tasks/:id/result"} <= index["endpoints"].keys()


def test_health(bridge: LiveBridge) -> None:
    """GET /health says ok, and which folders it works on."""
    health = bridge.get("/health").json()
    assert health["status"] == "ok"
    assert health["tasks_dir"].endswith("tasks")
    assert health["results_dir"].endswith("results")
    assert health["durability"] == "fast"


def test_submit(bridge: LiveBridge, kind: str) -> None:
    """POST /api/tasks answers 201 with success, task_id, message, and where the task is."""
    reply = bridge.post("/api/tasks", {"task_type": kind, "data": {"a": 1}, "requester": "me"})
    body = reply.json()
    assert reply.status_code == 201
    assert body["success"] is True
    assert body["message"]
    assert reply.headers["Location"] == f"/api/tasks/{body['task_id']}"
    assert (bridge.settings.folder / "tasks" / f"{body['task_id']}.json").exists()


def test_submit_defaults(bridge: LiveBridge, kind: str) -> None:
    """data is {} and requester http-client when they are left out."""
    task = bridge.get(f"/api/tasks/{bridge.post('/api/tasks', {'task_type': kind}).json()['task_id']}").json()
    assert task["data"] == {}
    assert task["requester"] == "http-client"


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data": {}}', b"not json", b'"ping"', b"[1]"])
def test_submit_without_type(bridge: LiveBridge, body: bytes) -> None:
    """No JSON, or no task_type: 400 with an error text."""
    reply = bridge.post("/api/tasks", data=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 400
    assert isinstance(reply.json()["error"], str)


def test_task_in_every_state(bridge: LiveBridge, kind: str) -> None:
    """GET /api/tasks/:id shows the task while it waits, runs, and after it is finished."""
    task_id = bridge.submit(kind, {"n": 1})
    shown = bridge.get(f"/api/tasks/{task_id}").json()
    assert shown.keys() >= TASK_KEYS
    assert (shown["status"], shown["assigned_to"], shown["data"]) == ("pending", None, {"n": 1})
    bridge.claim("anna", types=[kind])
    shown = bridge.get(f"/api/tasks/{task_id}").json()
    assert (shown["status"], shown["assigned_to"]) == ("in_progress", "anna")
    bridge.post(f"/api/tasks/{task_id}/result", {"worker_id": "anna", "status": "success", "data": {}})
    assert bridge.get(f"/api/tasks/{task_id}").json()["status"] == "completed"


def test_unknown_task(bridge: LiveBridge) -> None:
    """An unknown id is a 404 with an error text, for the task, its claim, its result, and a result sent for it."""
    for reply in (
        bridge.get(f"/api/tasks/{UNKNOWN}"), bridge.get(f"/api/tasks/{UNKNOWN}/result"),
        bridge.post(f"/api/tasks/{UNKNOWN}/claim", {"worker_id": "w"}),
        bridge.post(f"/api/tasks/{UNKNOWN}/result", {"worker_id": "w", "status": "success"}),
    ):
        assert reply.status_code == 404
        assert reply.json()["code"] == "TASK_NOT_FOUND"
        assert UNKNOWN in reply.json()["error"]


def test_list(fresh: LiveBridge) -> None:
    """GET /api/tasks lists the waiting tasks, oldest first, by type and up to a limit, and counts them all."""
    ids = [fresh.submit("a"), fresh.submit("b"), fresh.submit("a", priority="urgent"), fresh.submit("a")]
    listed = fresh.get("/api/tasks").json()
    assert [task["id"] for task in listed["tasks"]] == ids
    assert (listed["count"], listed["total_pending"]) == (4, 4)
    assert listed["tasks"][0].keys() >= TASK_KEYS - {"assigned_to", "updated_at"}
    only_b = fresh.get("/api/tasks?type=b").json()
    assert [task["id"] for task in only_b["tasks"]] == [ids[1]]
    limited = fresh.get("/api/tasks?limit=1").json()
    assert (limited["count"], limited["total_pending"]) == (1, 4)
    two = fresh.get("/api/tasks?type=a&limit=2").json()
    assert [task["id"] for task in two["tasks"]] == [ids[0], ids[2]], "the oldest, whatever their priority"
    assert [task["id"] for task in limited["tasks"]] == [ids[0]]


def test_claim_exactly_this_one(bridge: LiveBridge, kind: str) -> None:
    """POST /api/tasks/:id/claim takes exactly that task, and is a 404 when it does not wait any more."""
    first, second = bridge.submit(kind), bridge.submit(kind)
    reply = bridge.post(f"/api/tasks/{second}/claim", {"worker_id": "bert"})
    assert reply.status_code == 200
    assert reply.json()["success"] is True
    assert (reply.json()["task"]["id"], reply.json()["task"]["assigned_to"]) == (second, "bert")
    assert bridge.get(f"/api/tasks/{first}").json()["status"] == "pending"
    again = bridge.post(f"/api/tasks/{second}/claim", {"worker_id": "carl"})
    assert again.status_code == 404
    assert again.json()["code"] == "TASK_NOT_CLAIMABLE"


def test_next(fresh: LiveBridge) -> None:
    """POST /api/tasks/next gives the oldest task, under ``task`` and at top level too."""
    task_id = fresh.submit("ping", {"x": [1]}, requester="me")
    body = fresh.post("/api/tasks/next", {"worker_id": "dora"}).json()
    for shape in (body, body["task"]):
        assert (shape["id"], shape["task_id"]) == (task_id, task_id)
        assert (shape["type"], shape["task_type"]) == ("ping", "ping")
        assert (shape["data"], shape["requester"], shape["assigned_to"]) == ({"x": [1]}, "me", "dora")
        assert shape["created_at"]
    assert body["tasks"] == [body["task"]]


@pytest.mark.parametrize("headers", [
    {}, {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "0"},
    {"Content-Type": "application/json"},
])
def test_next_without_a_body(fresh: LiveBridge, headers: dict[str, str]) -> None:
    """POST /api/tasks/next needs no body, whatever Content-Type a client without one sends; empty is task null."""
    empty = fresh.post("/api/tasks/next", headers=headers)
    assert (empty.status_code, empty.json()["task"]) == (200, None)
    task_id = fresh.submit()
    assert fresh.post("/api/tasks/next", headers=headers).json()["task"]["id"] == task_id


def test_result_is_404_until_it_is_there(bridge: LiveBridge, kind: str) -> None:
    """GET /api/tasks/:id/result is a true 404 that says why, and when to ask again, until the task is finished."""
    task_id = bridge.submit(kind)
    waiting = bridge.get(f"/api/tasks/{task_id}/result")
    assert waiting.status_code == 404
    assert (waiting.json()["code"], waiting.json()["status"]) == ("RESULT_PENDING", "pending")
    assert waiting.headers["Retry-After"] == "1"
    bridge.claim("emil", types=[kind])
    assert bridge.get(f"/api/tasks/{task_id}/result").json()["status"] == "in_progress"
    sent = bridge.post(f"/api/tasks/{task_id}/result", {"worker": "emil", "status": "success", "data": {"핑": "é"}})
    assert (sent.status_code, sent.json()["success"], sent.json()["task_id"]) == (200, True, task_id)
    done = bridge.get(f"/api/tasks/{task_id}/result")
    assert done.status_code == 200
    assert done.json().keys() >= RESULT_KEYS
    assert (done.json()["status"], done.json()["worker"]) == ("success", "emil")
    assert done.json()["data"] == {"핑": "é"}
    assert done.json()["error_message"] is None
    assert "핑" in done.content.decode()


def test_failed_result(bridge: LiveBridge, kind: str) -> None:
    """status error finishes the task at once, and the result carries the message."""
    task_id = bridge.submit(kind)
    bridge.claim("fred", types=[kind])
    bridge.post(f"/api/tasks/{task_id}/result",
                {"worker_id": "fred", "status": "error", "error_message": "no numbers", "data": {}})
    result = bridge.get(f"/api/tasks/{task_id}/result").json()
    assert (result["status"], result["error_message"]) == ("error", "no numbers")
    assert bridge.get(f"/api/tasks/{task_id}").json()["status"] == "failed"


def test_result_for_a_task_nobody_claimed(bridge: LiveBridge, kind: str) -> None:
    """A worker of seed 002 may answer a task it never claimed here."""
    task_id = bridge.submit(kind)
    assert bridge.post(f"/api/tasks/{task_id}/result", {"worker_id": "x", "status": "success"}).status_code == 200
    assert bridge.get(f"/api/tasks/{task_id}/result").status_code == 200


def test_stats(fresh: LiveBridge) -> None:
    """GET /api/stats counts finished and waiting tasks, and names the folders."""
    fresh.submit()
    task_id = fresh.submit()
    fresh.post(f"/api/tasks/{task_id}/result", {"status": "success"})
    stats = fresh.get("/api/stats").json()
    assert (stats["completed_tasks"], stats["pending_tasks"]) == (1, 1)
    assert stats["tasks_dir"] == fresh.get("/health").json()["tasks_dir"]


def test_json_says_its_charset(bridge: LiveBridge) -> None:
    """Every JSON answer says charset=utf-8: Windows PowerShell 5.1 would read it as Latin-1."""
    for reply in (bridge.get("/health"), bridge.get("/"), bridge.get("/nowhere"), bridge.get("/api/stats")):
        assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


def test_server_time(bridge: LiveBridge, kind: str) -> None:
    """Every answer tells the server's time."""
    task_id = bridge.submit(kind)
    for reply in (bridge.get("/health"), bridge.get(f"/api/tasks/{task_id}"), bridge.get("/api/tasks/next?types=no"),
                  bridge.post("/api/tasks/next", {"types": [kind]})):
        assert reply.json()["server_time"].endswith("Z")
