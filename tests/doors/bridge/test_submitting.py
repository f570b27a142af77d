"""Submitting safely: the same key twice is one task, a batch is accepted whole or not at all."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from live_bridge import LiveBridge


def keyed(bridge: LiveBridge, key: str, body: object, path: str = "/api/tasks") -> tuple[int, dict[str, object]]:
    reply = bridge.post(path, body, headers={"Idempotency-Key": key})
    return reply.status_code, reply.json()


def test_same_key_same_body(bridge: LiveBridge, kind: str) -> None:
    """The same key with the same body: 201 and created true, then 200, the same task, created false."""
    key = str(uuid.uuid4())
    first = keyed(bridge, key, {"task_type": kind, "data": {"b": 1, "a": 2}})
    again = keyed(bridge, key, {"data": {"a": 2, "b": 1}, "task_type": kind})
    assert (first[0], first[1]["created"]) == (201, True)
    assert (again[0], again[1]["created"]) == (200, False)
    assert first[1]["task_id"] == again[1]["task_id"]


def test_same_key_other_body(bridge: LiveBridge, kind: str) -> None:
    """The same key with another body: 422, and no task."""
    key = str(uuid.uuid4())
    keyed(bridge, key, {"task_type": kind})
    status, body = keyed(bridge, key, {"task_type": kind, "data": {"other": 1}})
    assert (status, body["code"]) == (422, "IDEMPOTENCY_CONFLICT")
    assert body["error"]
    assert bridge.get(f"/api/tasks?type={kind}").json()["count"] == 1


def test_same_key_at_once(bridge: LiveBridge, kind: str) -> None:
    """Twenty clients that send the same key at the same time make one task."""
    key = str(uuid.uuid4())

    def send(_: int) -> tuple[int, object]:
        with bridge.connect() as connection:
            from live_bridge import read_reply, request_bytes

            connection.sendall(request_bytes("POST", "/api/tasks", f'{{"task_type":"{kind}"}}'.encode(),
                                             idempotency_key=key))
            reply = read_reply(connection)
            return reply.status, reply.json()["task_id"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(send, range(20)))
    assert len({task_id for _, task_id in answers}) == 1
    assert sorted(status for status, _ in answers) == [200] * 19 + [201]


def test_batch(bridge: LiveBridge, kind: str) -> None:
    """POST /api/tasks/batch accepts all of its tasks, in order, and tells their ids."""
    tasks = [{"task_type": kind, "data": {"n": n}, "priority": "low"} for n in range(5)]
    reply = bridge.post("/api/tasks/batch", {"tasks": tasks})
    body = reply.json()
    assert (reply.status_code, body["count"], body["created"]) == (201, 5, True)
    assert [bridge.queue.task(task_id).task.data["n"] for task_id in body["task_ids"]] == list(range(5))
    assert [one["task_id"] for one in body["tasks"]] == body["task_ids"]


def test_batch_is_all_or_nothing(bridge: LiveBridge, kind: str) -> None:
    """One bad task, and none is accepted; the error names which one and which field."""
    tasks: list[object] = [{"task_type": kind} for _ in range(5)]
    tasks[3] = {"task_type": kind, "data": "text"}
    reply = bridge.post("/api/tasks/batch", {"tasks": tasks})
    assert reply.status_code == 400
    assert reply.json()["details"]["field"].startswith("tasks.3.")
    assert bridge.get(f"/api/tasks?type={kind}").json()["count"] == 0


def test_batch_limits(bridge: LiveBridge, kind: str) -> None:
    """A batch holds 1 to 1000 tasks."""
    assert bridge.post("/api/tasks/batch", {"tasks": []}).status_code == 400
    assert bridge.post("/api/tasks/batch", {}).status_code == 400
    assert bridge.post("/api/tasks/batch", {"tasks": [{"task_type": kind}] * 1001}).status_code == 400
    assert bridge.get(f"/api/tasks?type={kind}").json()["count"] == 0


def test_batch_with_key(bridge: LiveBridge, kind: str) -> None:
    """A batch with a key that came before answers with the first ids."""
    key = str(uuid.uuid4())
    body = {"tasks": [{"task_type": kind}, {"task_type": kind}]}
    first, again = keyed(bridge, key, body, "/api/tasks/batch"), keyed(bridge, key, body, "/api/tasks/batch")
    assert (first[0], again[0]) == (201, 200)
    assert first[1]["task_ids"] == again[1]["task_ids"]


def test_unknown_fields_are_let_be(bridge: LiveBridge, kind: str) -> None:
    """Clients of other versions send fields we do not know: they are tolerated."""
    assert bridge.post("/api/tasks", {"task_type": kind, "session_id": 1, "tags": ["x"]}).status_code == 201
