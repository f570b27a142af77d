"""Batches: contract todos-8001, /api/v1/batches."""

from __future__ import annotations

import uuid

import pytest
from live_todos import BATCHES, TASKS, LiveTodos


def test_a_batch_is_answered_with_its_tasks_in_order(todos: LiveTodos, session_id: str) -> None:
    """201; the to-dos get its session and its id, in the order of the request, all times are one."""
    reply = todos.post(BATCHES, {"session_id": session_id, "reason": "단계별 과제", "tasks": [
        {"title": str(number), "priority": "high", "session_id": str(uuid.uuid4())} for number in range(12)]})
    assert reply.status_code == 201
    batch = reply.json()
    assert list(batch) == ["id", "session_id", "reason", "created_at", "tasks"]
    assert (batch["session_id"], batch["reason"]) == (session_id, "단계별 과제")
    assert [task["title"] for task in batch["tasks"]] == [str(number) for number in range(12)]
    for task in batch["tasks"]:
        assert (task["session_id"], task["batch_id"], task["priority"]) == (session_id, batch["id"], "high")
        assert task["created_at"] == task["updated_at"] == batch["created_at"]
    assert todos.get(f"{BATCHES}/{batch['id']}").json() == batch


def test_without_a_session_its_tasks_have_none(todos: LiveTodos) -> None:
    """The session of a task in a batch is ignored, also when the batch has none."""
    batch = todos.post(BATCHES, {"tasks": [{"title": "a", "session_id": str(uuid.uuid4())}]}).json()
    assert batch["session_id"] is batch["reason"] is batch["tasks"][0]["session_id"] is None


def test_one_wrong_task_makes_no_batch(todos: LiveTodos, session_id: str) -> None:
    """All or nothing."""
    reply = todos.post(BATCHES, {"session_id": session_id, "tasks": [{"title": "good"}, {"title": ""}]})
    assert reply.status_code == 422
    assert reply.json()["details"]["validation_errors"][0]["loc"] == ["body", "tasks", 1, "title"]
    assert todos.titles(f"session_id={session_id}") == []
    assert todos.get(f"{BATCHES}/latest?session_id={session_id}").json() is None


def test_a_reason_may_be_as_long_as_a_body(todos: LiveTodos) -> None:
    """There is no rule for its length."""
    batch = todos.batch("a", reason="긴" * 100_000)
    assert todos.get(f"{BATCHES}/{batch['id']}").json()["reason"] == "긴" * 100_000


def test_a_change_does_not_move_a_task_in_its_batch(todos: LiveTodos) -> None:
    """The order of the request stays."""
    batch = todos.batch("first", "second")
    todos.put(f"{TASKS}/{batch['tasks'][0]['id']}", {"status": "completed"})
    assert [task["title"] for task in todos.get(f"{BATCHES}/{batch['id']}").json()["tasks"]] == ["first", "second"]


def test_a_batch_outlives_its_tasks(todos: LiveTodos) -> None:
    """When they are deleted, it is there with none."""
    batch = todos.batch("a", "b")
    todos.delete(f"{TASKS}/bulk", {"ids": [task["id"] for task in batch["tasks"]]})
    assert todos.get(f"{BATCHES}/{batch['id']}").json() == batch | {"tasks": []}


def test_pages_of_batches_newest_first(todos: LiveTodos, session_id: str) -> None:
    """Ten a page, with their to-dos, of one session."""
    made = [todos.batch(f"{number}a", f"{number}b", session_id=session_id) for number in range(12)]
    page = todos.get(f"{BATCHES}?session_id={session_id}&limit=3").json()
    assert page["items"] == made[:1:-1]
    assert [page[key] for key in ("total", "page", "limit", "total_pages", "has_next", "has_prev")] == [
        12, 1, 10, 2, True, False]
    assert todos.get(f"{BATCHES}?session_id={session_id}&page=2").json()["items"] == made[1::-1]


def test_the_latest_of_a_session_or_of_all(empty: LiveTodos, session_id: str) -> None:
    """null when there is none: never a 404."""
    nothing = empty.get(f"{BATCHES}/latest")
    assert (nothing.status_code, nothing.text) == (200, "null")
    empty.batch("older", session_id=session_id)
    mine = empty.batch("newer", session_id=session_id)
    other = empty.batch("another's")
    assert empty.get(f"{BATCHES}/latest").json() == other
    assert empty.get(f"{BATCHES}/latest?session_id={session_id}").json() == mine
    assert empty.get(f"{BATCHES}/latest?session_id={uuid.uuid4()}").text == "null"


@pytest.mark.parametrize(("path", "status"), [(f"{BATCHES}/x", 422), (f"{BATCHES}?page=0", 422),
                                              (f"{BATCHES}?session_id=", 422), (f"{BATCHES}/latest?session_id=x", 422)])
def test_wrong_questions_are_refused(todos: LiveTodos, path: str, status: int) -> None:
    """What is no UUID, and no page, is a 422."""
    assert todos.get(path).status_code == status


def test_an_unknown_batch_is_named(todos: LiveTodos) -> None:
    """404, in the words of the contract."""
    unknown = str(uuid.uuid4())
    reply = todos.get(f"{BATCHES}/{unknown}")
    assert (reply.status_code, reply.json()["message"]) == (404, f"Batch {unknown} not found")
