"""To-dos one by one: contract todos-8001, 1.2."""

from __future__ import annotations

import re
import uuid

import pytest
from live_todos import TASKS, LiveTodos

KEYS = ["id", "session_id", "batch_id", "title", "description", "status", "priority", "due_date", "completed_at",
        "created_at", "updated_at"]
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")


def test_a_task_is_answered_with_its_eleven_keys_in_order(todos: LiveTodos, session_id: str) -> None:
    """POST answers 201 and the whole to-do, keys in the order of the contract."""
    reply = todos.post(TASKS, {"title": "nginx Pod 생성하기", "description": "kubectl run", "status": "in_progress",
                               "priority": "high", "due_date": "2025-12-07T23:59:59Z", "session_id": session_id})
    assert reply.status_code == 201
    task = reply.json()
    assert list(task) == KEYS
    assert "생성하기" in reply.text, "not escaped"
    assert task["due_date"] == "2025-12-07T23:59:59Z"
    assert [task[key] for key in KEYS[1:9]] == [session_id, None, "nginx Pod 생성하기", "kubectl run", "in_progress",
                                                "high", "2025-12-07T23:59:59Z", None]
    assert todos.get(f"{TASKS}/{task['id']}").json() == task


def test_what_is_left_out_is_null_and_pending(todos: LiveTodos) -> None:
    """Only the title is needed."""
    task = todos.task(" ")
    assert task["title"] == " ", "not stripped"
    assert [task[key] for key in KEYS[1:9]] == [None, None, " ", None, "pending", None, None, None]


@pytest.mark.parametrize(("field", "value"), [
    ("title", 1), ("title", ""), ("title", "x" * 256), ("title", None), ("description", 7),
    ("description", "x" * 1_001), ("status", None), ("status", "Pending"),
    ("priority", "urgent"), ("due_date", "soon"), ("session_id", "me"),
])
def test_what_breaks_a_rule_of_its_field_is_refused(todos: LiveTodos, field: str, value: object) -> None:
    """One error, at that field; null is no status, and no title."""
    for method, path in (("POST", TASKS), ("PUT", f"{TASKS}/{todos.task()['id']}")):
        reply = todos.ask(method, path, {"title": "t", field: value})
        if method == "PUT" and (value is None or field == "session_id"):
            assert reply.status_code == 200, "it is not given, or cannot be changed"
        else:
            assert reply.status_code == 422
            assert [error["loc"] for error in reply.json()["details"]["validation_errors"]] == [["body", field]]


def test_a_title_is_needed(todos: LiveTodos) -> None:
    """Without one nothing is made."""
    reply = todos.post(TASKS, {"description": "no title"})
    assert [error["type"] for error in reply.json()["details"]["validation_errors"]] == ["missing"]


def test_both_times_of_a_new_task_are_the_same_instant(todos: LiveTodos) -> None:
    """created_at is updated_at, in UTC with a Z."""
    task = todos.task()
    assert task["created_at"] == task["updated_at"]
    assert INSTANT.fullmatch(task["created_at"])


def test_what_only_the_service_sets_is_ignored_in_a_body(todos: LiveTodos) -> None:
    """id, batch_id, completed_at, created_at of a body, and unknown fields, do nothing."""
    other = str(uuid.uuid4())
    task = todos.task(id=other, batch_id=other, completed_at="2020-01-01T00:00:00Z", created_at="2020-01-01T00:00:00Z",
                      colour="red")
    assert task["id"] != other
    assert task["batch_id"] is None
    assert task["completed_at"] is None
    assert task["created_at"] > "2021"


def test_born_completed_has_no_completed_at(todos: LiveTodos) -> None:
    """Nobody completed it; and it stays so while it stays completed."""
    task = todos.task(status="completed")
    assert task["completed_at"] is None
    again = todos.put(f"{TASKS}/{task['id']}", {"status": "completed"}).json()
    assert again == task


@pytest.mark.parametrize(("given", "kept"), [
    ("2025-12-07T23:59:59Z", "2025-12-07T23:59:59Z"), ("2025-12-07T09:00:00+09:00", "2025-12-07T00:00:00Z"),
    ("2025-12-07T00:00:00", "2025-12-07T00:00:00Z"), ("2025-12-07", "2025-12-07T00:00:00Z"),
    ("2025-12-07 10:30:00", "2025-12-07T10:30:00Z"), (1765065600, "2025-12-07T00:00:00Z"),
    ("1765065600", "2025-12-07T00:00:00Z"), ("2025-12-07T00:00:00.123456Z", "2025-12-07T00:00:00.123456Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"), ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
])
def test_a_due_date_is_told_in_utc(todos: LiveTodos, given: object, kept: str) -> None:
    """With any offset, or none (UTC), a date alone, seconds since 1970: what comes back is UTC with Z."""
    task = todos.task(due_date=given)
    assert task["due_date"] == kept
    assert todos.get(f"{TASKS}/{task['id']}").json()["due_date"] == kept


@pytest.mark.parametrize("written", [
    "550e8400e29b41d4a716446655440001", "550E8400-E29B-41D4-A716-446655440001",
    "urn:uuid:550e8400-e29b-41d4-a716-446655440001",
])
def test_a_session_is_told_in_one_form(todos: LiveTodos, written: str) -> None:
    """Without dashes, in capitals, as a URN: it is the same session."""
    assert todos.task(session_id=written)["session_id"] == "550e8400-e29b-41d4-a716-446655440001"


def test_a_change_changes_what_it_names(todos: LiveTodos) -> None:
    """PUT is partial, and updated_at moves."""
    task = todos.task("before", description="stays", priority="low")
    reply = todos.put(f"{TASKS}/{task['id']}", {"title": "after", "priority": "high"})
    assert reply.status_code == 200
    changed = reply.json()
    assert changed == task | {"title": "after", "priority": "high", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > task["updated_at"]
    assert todos.get(f"{TASKS}/{task['id']}").json() == changed


@pytest.mark.parametrize("body", [
    {}, {"title": None, "description": None, "status": None, "priority": None, "due_date": None}, {"title": "same"},
    {"status": "pending", "due_date": "2030-01-01T09:00:00+09:00"}, {"session_id": str(uuid.uuid4()), "id": "x"},
])
def test_what_changes_nothing_moves_nothing(todos: LiveTodos, body: dict[str, object]) -> None:
    """null is not given, the same value is no change, session_id cannot be changed: updated_at stays."""
    task = todos.task("same", due_date="2030-01-01T00:00:00Z", description="d", priority="low")
    reply = todos.put(f"{TASKS}/{task['id']}", body)
    assert reply.status_code == 200
    assert reply.json() == task


def test_an_empty_description_is_one(todos: LiveTodos) -> None:
    """"" is a description; it is not "not given"."""
    task = todos.task(description="long")
    assert todos.put(f"{TASKS}/{task['id']}", {"description": ""}).json()["description"] == ""


def test_completed_at_follows_the_status(todos: LiveTodos) -> None:
    """Set when it becomes completed, untouched while it is, cleared when it is no longer."""
    path = f"{TASKS}/{todos.task()['id']}"
    done = todos.put(path, {"status": "completed"}).json()
    assert done["completed_at"] == done["updated_at"]
    renamed = todos.put(path, {"status": "completed", "title": "other"}).json()
    assert renamed["completed_at"] == done["completed_at"]
    assert renamed["updated_at"] > done["updated_at"]
    assert todos.put(path, {"status": "in_progress"}).json()["completed_at"] is None


def test_deleted_is_gone(todos: LiveTodos) -> None:
    """DELETE answers 204 and nothing more; after it everything is a 404 that names the task."""
    path = f"{TASKS}/{todos.task()['id']}"
    reply = todos.delete(path)
    assert (reply.status_code, reply.content) == (204, b"")
    for again in (todos.delete(path), todos.get(path), todos.put(path, {"title": "x"})):
        assert again.status_code == 404
        assert again.json()["message"] == f"Task {path.rpartition('/')[2]} not found"


def test_an_id_is_read_in_any_form_and_told_in_one(todos: LiveTodos) -> None:
    """A UUID in the path may be written in capitals and without dashes."""
    task = todos.task()
    assert todos.get(f"{TASKS}/{task['id'].upper().replace('-', '')}").json() == task
    unknown = todos.get(f"{TASKS}/550E8400E29B41D4A716446655440099")
    assert unknown.json()["message"] == "Task 550e8400-e29b-41d4-a716-446655440099 not found"
