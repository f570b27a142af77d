"""Several to-dos at once: contract todos-8001, PUT and DELETE /api/v1/tasks/bulk."""

from __future__ import annotations

import uuid

from live_todos import TASKS, LiveTodos

BULK = f"{TASKS}/bulk"


def test_many_are_changed_in_the_order_of_the_request(todos: LiveTodos) -> None:
    """Unknown ids are skipped, a repeated one appears twice in its last state, all have one updated_at."""
    one, two = todos.task("one"), todos.task("two")
    reply = todos.put(BULK, {"tasks": [
        {"id": two["id"], "status": "completed"}, {"id": str(uuid.uuid4()), "title": "nobody"},
        {"id": one["id"], "title": "1"}, {"id": two["id"], "priority": "high"}]})
    assert reply.status_code == 200
    assert list(reply.json()) == ["updated"]
    updated = reply.json()["updated"]
    assert [task["title"] for task in updated] == ["two", "1", "two"]
    assert updated[0] == updated[2]
    assert (updated[0]["status"], updated[0]["priority"]) == ("completed", "high")
    assert updated[0]["completed_at"] == updated[0]["updated_at"] == updated[1]["updated_at"]
    assert todos.get(f"{TASKS}/{two['id']}").json() == updated[0]


def test_only_unknown_ids_change_nothing(todos: LiveTodos) -> None:
    """200 and an empty list."""
    reply = todos.put(BULK, {"tasks": [{"id": str(uuid.uuid4()), "status": "completed"}]})
    assert (reply.status_code, reply.json()) == (200, {"updated": []})


def test_there_and_back_in_one_request_is_no_change(todos: LiveTodos) -> None:
    """updated_at moves only if a value is another one in the end."""
    task = todos.task()
    both = [{"id": task["id"], "status": status} for status in ("completed", "pending")]
    reply = todos.put(BULK, {"tasks": both})
    assert reply.json()["updated"] == [task, task]


def test_one_wrong_item_changes_nothing(todos: LiveTodos) -> None:
    """All or nothing; the error says which item."""
    task = todos.task("kept")
    reply = todos.put(BULK, {"tasks": [{"id": task["id"], "title": "lost"}, {"id": task["id"], "status": "later"}]})
    assert reply.status_code == 422
    assert reply.json()["details"]["validation_errors"][0]["loc"] == ["body", "tasks", 1, "status"]
    assert todos.get(f"{TASKS}/{task['id']}").json() == task


def test_many_are_deleted_and_counted_once(todos: LiveTodos) -> None:
    """Only ids that exist count, each once; the body of a DELETE is read."""
    one, two = todos.task(), todos.task()
    ids = [one["id"], one["id"].upper(), two["id"], str(uuid.uuid4())]
    reply = todos.delete(BULK, {"ids": ids})
    assert (reply.status_code, reply.json()) == (200, {"deleted_count": 2})
    assert todos.delete(BULK, {"ids": ids}).json() == {"deleted_count": 0}
    assert todos.get(f"{TASKS}/{one['id']}").status_code == 404


def test_more_ids_than_one_statement_takes(todos: LiveTodos) -> None:
    """501 to-dos are changed and deleted in one request each."""
    batch = todos.batch(*(str(number) for number in range(501)))
    ids = [task["id"] for task in batch["tasks"]]
    updated = todos.put(BULK, {"tasks": [{"id": one, "status": "completed"} for one in ids]}).json()["updated"]
    assert [task["id"] for task in updated] == ids
    assert todos.delete(BULK, {"ids": ids}).json() == {"deleted_count": 501}


def test_nothing_to_do_is_refused(todos: LiveTodos) -> None:
    """An empty list is a 422."""
    for reply in (todos.put(BULK, {"tasks": []}), todos.delete(BULK, {"ids": []})):
        assert reply.status_code == 422
        assert reply.json()["details"]["validation_errors"][0]["type"] == "too_short"
