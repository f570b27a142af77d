"""POST /api/v1/tasks and /batch: what is taken, with which defaults, and what is refused, naming field and rule."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from live_managed import TASKS, LiveManaged

GO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,5}[1-9])?Z")
PLAIN = {"task_type": "document_processing", "kb_id": "kb_1", "payload": {}}
MEMBERS = {
    "id", "task_type", "status", "priority", "kb_id", "payload", "result", "progress", "retry_count", "max_retries",
    "error_message", "worker_id", "created_at", "updated_at", "started_at", "completed_at", "scheduled_for", "timeout",
    "estimated_completion", "queue_position",
}


def test_a_new_task_has_every_member_and_the_documented_defaults(fresh: LiveManaged) -> None:
    """201, status queued, priority normal, 3 retries, 300 seconds, first in line, scheduled for now."""
    reply = fresh.post(TASKS, PLAIN)
    assert reply.status_code == 201
    told = reply.json()
    assert set(told) == MEMBERS
    now = told["created_at"]
    assert {name: told[name] for name in MEMBERS - {"id", "estimated_completion"}} == {
        **PLAIN, "status": "queued", "priority": "normal", "result": {}, "progress": 0, "retry_count": 0,
        "max_retries": 3, "error_message": "", "worker_id": "", "created_at": now, "updated_at": now,
        "started_at": None, "completed_at": None, "scheduled_for": now, "timeout": 300, "queue_position": 1}


def test_instants_are_written_as_go_writes_them(door: LiveManaged) -> None:
    """RFC 3339 with Z, and no zero at the end of the fraction."""
    told = door.new()
    for name in ("created_at", "updated_at", "scheduled_for", "estimated_completion"):
        assert GO_TIME.fullmatch(told[name]), told[name]
    later = door.new(schedule_for="2100-01-02T03:04:05.500000+02:00")
    assert later["scheduled_for"] == "2100-01-02T01:04:05.5Z"


@pytest.mark.parametrize("sent", [{"max_retries": 0, "timeout": 0, "priority": ""},
                                  {"max_retries": None, "timeout": None, "priority": None, "schedule_for": None}])
def test_zero_null_and_empty_mean_the_default(door: LiveManaged, sent: dict[str, Any]) -> None:
    """As clients send them that did not set these."""
    told = door.new(**sent)
    assert (told["max_retries"], told["timeout"], told["priority"]) == (3, 300, "normal")


def test_fewer_than_no_retries_are_none(door: LiveManaged) -> None:
    """The original took negative numbers: the task is tried once."""
    assert door.new(max_retries=-1)["max_retries"] == 0


@pytest.mark.parametrize("wish", [
    *({"task_type": kind} for kind in ("document_processing", "batch_processing", "knowledge_indexing", "health_check",
                                       "embedding_generation", "vector_storage", "url_download_processing")),
    *({"priority": word} for word in ("low", "normal", "high", "critical"))], ids=str)
def test_every_type_and_priority_is_taken(door: LiveManaged, wish: dict[str, str]) -> None:
    """The documented ones, and the type that the original's code knew beside."""
    assert wish.items() <= door.new(**wish).items()


def test_a_large_payload_with_nulls_comes_back_as_it_was(door: LiveManaged) -> None:
    """What the uploader in the field sends."""
    payload = {"file_path": "/tmp/uploads/größe.pdf", "chunk_size": None, "nested": {"list": [1, None, "🎉"]},
               "text": "x" * 200_000}
    told = door.new(payload=payload, priority="normal", max_retries=3, timeout=300)
    assert door.told(told["id"])["payload"] == payload


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/json", "application/x-www-form-urlencoded"])
def test_no_content_type_is_needed(door: LiveManaged, content_type: str | None) -> None:
    """The body is read as JSON, whatever the header says of it."""
    headers = {} if content_type is None else {"Content-Type": content_type}
    reply = door.session.post(door.url + TASKS, data=json.dumps(PLAIN).encode(), headers=headers, timeout=30)
    assert reply.status_code == 201, reply.text


BAD: list[tuple[dict[str, Any] | bytes, str, str]] = [
    ({"task_type": "nope"}, "Invalid task type", "task_type"),
    ({"task_type": ""}, "Invalid task type", "task_type"),
    ({"task_type": 1}, "Invalid request body", "task_type"),
    ({"priority": "urgent"}, "Invalid priority", "priority"),
    ({"priority": "HIGH"}, "Invalid priority", "priority"),
    ({"priority": 3}, "Invalid request body", "priority"),
    ({"kb_id": ""}, "Invalid request body", "kb_id"),
    ({"kb_id": "x" * 37}, "Invalid request body", "kb_id"),
    ({"kb_id": "a\nb"}, "Invalid request body", "kb_id"),
    ({"kb_id": None}, "Invalid request body", "kb_id"),
    ({"payload": None}, "Invalid request body", "payload"),
    ({"payload": []}, "Invalid request body", "payload"),
    ({"payload": "{}"}, "Invalid request body", "payload"),
    ({"max_retries": "3"}, "Invalid request body", "max_retries"),
    ({"max_retries": 1.5}, "Invalid request body", "max_retries"),
    ({"max_retries": True}, "Invalid request body", "max_retries"),
    ({"max_retries": False}, "Invalid request body", "max_retries"),
    ({"max_retries": 1001}, "Invalid request body", "max_retries"),
    ({"timeout": -1}, "Invalid request body", "timeout"),
    ({"timeout": "300"}, "Invalid request body", "timeout"),
    ({"timeout": 10**9}, "Invalid request body", "timeout"),
    ({"schedule_for": "tomorrow"}, "Invalid request body", "schedule_for"),
    ({"schedule_for": "2025-07-28 14:30"}, "Invalid request body", "schedule_for"),
    ({"schedule_for": 1753713000}, "Invalid request body", "schedule_for"),
    (b"", "Invalid request body", "task_type"),
    (b"{", "Invalid request body", "body"),
    (b"[]", "Invalid request body", "body"),
    (b'{"task_type":"health_check","kb_id":"\\ud800","payload":{}}', "Invalid request body", "body"),
    (b'{"task_type":NaN}', "Invalid request body", "body"),
    (b"\xff\xfe{}", "Invalid request body", "body"),
    (b"task_type=health_check", "Invalid request body", "body"),
]


@pytest.mark.parametrize(("sent", "title", "field"), BAD, ids=[str(one[0])[:40] for one in BAD])
def test_what_breaks_a_rule_is_refused(door: LiveManaged, sent: Any, title: str, field: str) -> None:
    """400 INVALID_REQUEST with a title clients know; details name the field and the rule."""
    before = door.get(TASKS).json()["pagination"]["total"]
    raw = sent if isinstance(sent, bytes) else json.dumps({**PLAIN, **sent}).encode()
    reply = door.session.post(door.url + TASKS, data=raw, timeout=30)
    assert reply.status_code == 400, reply.text
    told = reply.json()
    assert set(told) == {"error", "message", "code", "details"}
    assert (told["error"], told["code"], told["details"]["field"]) == (title, "INVALID_REQUEST", field)
    assert told["details"]["rule"]
    assert door.get(TASKS).json()["pagination"]["total"] == before


@pytest.mark.parametrize("name", ["task_type", "kb_id", "payload"])
def test_what_is_needed_must_be_there(door: LiveManaged, name: str) -> None:
    """Type, knowledge base and payload have no default."""
    reply = door.post(TASKS, {key: value for key, value in PLAIN.items() if key != name})
    assert reply.status_code == 400
    assert reply.json()["details"] == {"field": name, "rule": "is missing"}


def test_a_payload_beyond_the_limit_is_refused(door: LiveManaged) -> None:
    """413, and nothing is kept of it."""
    reply = door.post(TASKS, {**PLAIN, "payload": {"text": "x" * door.settings.max_task_bytes}})
    assert reply.status_code == 413
    assert reply.json()["code"] == "PAYLOAD_TOO_LARGE"


# -- many ------------------------------------------------------------------------------------------------------------


def test_a_batch_is_accepted_as_a_whole(fresh: LiveManaged) -> None:
    """201 with every task, real and in the order sent, and their count."""
    sent = [{"task_type": "document_processing", "kb_id": "kb_001", "payload": {"n": 1}},
            {"task_type": "embedding_generation", "kb_id": "kb_001", "payload": {"n": 2}, "priority": "high"},
            {"task_type": "document_processing", "kb_id": "kb_001", "payload": {"n": 3}}]
    reply = fresh.post(f"{TASKS}/batch", sent)
    assert reply.status_code == 201
    told = reply.json()
    assert told["count"] == 3
    assert [task["payload"] for task in told["tasks"]] == [one["payload"] for one in sent]
    assert [task["queue_position"] for task in told["tasks"]] == [2, 1, 3]
    assert [fresh.told(task["id"])["queue_position"] for task in told["tasks"]] == [2, 1, 3]
    assert all(set(task) == MEMBERS for task in told["tasks"])
    assert {task["id"] for task in fresh.listed()} == {task["id"] for task in told["tasks"]}


@pytest.mark.parametrize(("sent", "title"), [([], "Empty request"), ([PLAIN] * 101, "Too many tasks"),
                                             ({}, "Invalid request body"), ({"tasks": [PLAIN]}, "Invalid request body"),
                                             (None, "Invalid request body")])
def test_a_batch_has_1_to_100_tasks(door: LiveManaged, sent: Any, title: str) -> None:
    """400 with the title clients know for each way to get it wrong."""
    reply = door.session.post(door.url + f"{TASKS}/batch", data=b"" if sent is None else json.dumps(sent), timeout=30)
    assert reply.status_code == 400
    assert (reply.json()["error"], reply.json()["code"]) == (title, "INVALID_REQUEST")


def test_100_tasks_are_a_batch(fresh: LiveManaged) -> None:
    """The most that are taken at once."""
    assert fresh.post(f"{TASKS}/batch", [PLAIN] * 100).json()["count"] == 100


@pytest.mark.parametrize(("bad", "title", "field"), [
    ({"task_type": "nope"}, "Invalid task type", "2.task_type"),
    ({"priority": "nope"}, "Invalid priority", "2.priority"),
    ({"payload": None}, "Invalid request body", "2.payload")])
def test_one_bad_task_refuses_the_batch(fresh: LiveManaged, bad: dict[str, Any], title: str, field: str) -> None:
    """400 naming which one and why; none is created."""
    reply = fresh.post(f"{TASKS}/batch", [PLAIN, PLAIN, {**PLAIN, **bad}, PLAIN])
    assert reply.status_code == 400
    assert (reply.json()["error"], reply.json()["details"]["field"]) == (title, field)
    assert fresh.listed() == []


def test_what_is_no_task_refuses_the_batch(fresh: LiveManaged) -> None:
    """An array of anything else is told which of its items is wrong."""
    reply = fresh.post(f"{TASKS}/batch", [PLAIN, None])
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "1")
    assert fresh.listed() == []
