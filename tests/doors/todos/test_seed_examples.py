"""The curl commands of seed 000, as they stand there but for the host and the ids."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest
from live_todos import BATCHES, TASKS, LiveTodos

SESSION = "550e8400-e29b-41d4-a716-446655440001"
CREATE_BATCH = r"""curl -X POST http://localhost:8001/api/v1/batches \
-H "Content-Type: application/json" \
-d '{
"session_id": "550e8400-e29b-41d4-a716-446655440001",
"reason": "Service와 네트워킹을 학습하기 위한 단계별 과제입니다.",
"tasks": [
{ "title": "ClusterIP Service 개념 이해", "priority": "high" },
{ "title": "ClusterIP Service YAML 작성", "priority": "high" },
{ "title": "Service 생성 및 테스트", "priority": "medium" },
{ "title": "NodePort Service로 변경", "priority": "medium" }
]
}'"""
LIST_PENDING = (
    'curl "http://localhost:8001/api/v1/tasks?session_id=550e8400-e29b-41d4-a716-446655440001&status=pending"')
COMPLETE_ONE = r"""curl -X PUT http://localhost:8001/api/v1/tasks/{task_id} \
-H "Content-Type: application/json" \
-d '{"status": "completed"}'"""
COMPLETE_TWO = r"""curl -X PUT http://localhost:8001/api/v1/tasks/bulk \
-H "Content-Type: application/json" \
-d '{
"tasks": [
{ "id": "uuid-1", "status": "completed" },
{ "id": "uuid-2", "status": "completed" }
]
}'"""
LATEST = 'curl "http://localhost:8001/api/v1/batches/latest?session_id=550e8400-e29b-41d4-a716-446655440001"'


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="there is no curl, or no bash")
def test_the_commands_of_the_seed_do_what_it_says(empty: LiveTodos) -> None:
    """A batch is made, its open tasks listed, one and then two of them completed, and the latest batch shows it."""
    def run(command: str) -> Any:
        command = command.replace("http://localhost:8001", empty.url).replace("curl ", "curl -sS --fail ", 1)
        done = subprocess.run(["bash", "-c", command], capture_output=True, encoding="utf-8", timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    batch = run(CREATE_BATCH)
    ids = [task["id"] for task in batch["tasks"]]
    assert [task["priority"] for task in batch["tasks"]] == ["high", "high", "medium", "medium"]
    assert run(LIST_PENDING)["total"] == 4
    assert run(COMPLETE_ONE.replace("{task_id}", ids[0]))["completed_at"] is not None
    two = run(COMPLETE_TWO.replace("uuid-1", ids[1]).replace("uuid-2", ids[2]))
    assert [task["id"] for task in two["updated"]] == ids[1:3]
    assert run(LIST_PENDING)["items"][0]["id"] == ids[3]
    latest = run(LATEST)
    assert [task["status"] for task in latest["tasks"]] == ["completed"] * 3 + ["pending"]


def test_the_bodies_of_the_seed_are_taken(empty: LiveTodos) -> None:
    """The task, the change, the bulk deletion that it shows as JSON."""
    task = {"title": "nginx Pod 생성하기", "description": "kubectl run 명령어로 nginx Pod 생성", "status": "pending",
            "priority": "high", "due_date": "2025-12-07T23:59:59Z", "session_id": SESSION}
    made = empty.post(TASKS, task).json()
    assert {key: made[key] for key in task} == task
    changed = empty.put(f"{TASKS}/{made['id']}", {"status": "completed", "priority": "medium"}).json()
    assert (changed["status"], changed["priority"]) == ("completed", "medium")
    lessons = [{"title": title, "priority": priority} for title, priority in (
        ("Pod 개념 이해하기", "high"), ("nginx Pod 생성하기", "high"), ("Pod 로그 확인하기", "medium"),
        ("Pod 삭제하기", "low"))]
    batch = empty.post(BATCHES, {"session_id": SESSION, "reason": "Kubernetes 기초 학습을 위한 단계별 과제입니다.",
                                 "tasks": lessons}).json()
    assert [{key: one[key] for key in ("title", "priority")} for one in batch["tasks"]] == lessons
    ids = [made["id"], *(one["id"] for one in batch["tasks"][:2])]
    assert empty.delete(f"{TASKS}/bulk", {"ids": ids}).json() == {"deleted_count": 3}


def test_a_client_seen_in_the_field_is_understood(empty: LiveTodos) -> None:
    """It sends every field with nulls, a naive due date, and ``limit`` with every list (contract todos-8001, 1.3)."""
    made = empty.post(TASKS, {"title": "t", "description": None, "status": "pending", "priority": None,
                              "due_date": "2025-12-07T00:00:00", "session_id": None})
    assert made.status_code == 201
    assert made.json()["due_date"] == "2025-12-07T00:00:00Z"
    page = empty.get(f"{TASKS}?page=1&limit=20&order=desc&sort_by=created_at&status=pending").json()
    assert (page["total"], page["limit"]) == (1, 10)
    assert empty.delete(f"{TASKS}/{made.json()['id']}").content == b""
    assert empty.get(f"{BATCHES}/latest").json() is None
