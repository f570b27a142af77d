"""What is ours beside the contract: deleting a batch, clearing a field, larger pages, search, statistics, events."""

from __future__ import annotations

import json
import uuid

import pytest
from live_todos import BATCHES, TASKS, LiveTodos


def test_a_deleted_batch_leaves_its_tasks(todos: LiveTodos) -> None:
    """They belong to no batch any more, and are not touched otherwise."""
    batch = todos.batch("a", "b")
    assert todos.delete(f"{BATCHES}/{batch['id']}").status_code == 204
    assert todos.get(f"{BATCHES}/{batch['id']}").status_code == 404
    for task in batch["tasks"]:
        assert todos.get(f"{TASKS}/{task['id']}").json() == task | {"batch_id": None}
    assert todos.delete(f"{BATCHES}/{batch['id']}").status_code == 404


def test_a_batch_is_deleted_with_its_tasks_when_asked(todos: LiveTodos) -> None:
    """?tasks=true takes them along."""
    batch = todos.batch("a", "b")
    assert todos.delete(f"{BATCHES}/{batch['id']}?tasks=true").status_code == 204
    assert [todos.get(f"{TASKS}/{task['id']}").status_code for task in batch["tasks"]] == [404, 404]


def test_a_field_is_cleared_by_name(todos: LiveTodos) -> None:
    """clear makes it null, where null in the body would leave it."""
    task = todos.task(description="d", priority="high", due_date="2030-01-01")
    path = f"{TASKS}/{task['id']}"
    cleared = todos.put(path, {"clear": ["due_date", "priority"], "due_date": None, "title": "new"}).json()
    assert cleared == task | {"title": "new", "due_date": None, "priority": None, "updated_at": cleared["updated_at"]}
    assert todos.put(path, {"clear": ["due_date"]}).json() == cleared, "it was null: nothing changes"
    many = todos.put(f"{TASKS}/bulk", {"tasks": [{"id": task["id"], "clear": ["description"]}]}).json()["updated"]
    assert many[0]["description"] is None


@pytest.mark.parametrize("body", [{"clear": ["title"]}, {"clear": "due_date"},
                                  {"clear": ["due_date"], "due_date": "2030-01-01"}])
def test_what_cannot_be_cleared_is_refused(todos: LiveTodos, body: dict[str, object]) -> None:
    """A title; no list; and what is given at the same time."""
    assert todos.put(f"{TASKS}/{todos.task()['id']}", body).status_code == 422


def test_pages_up_to_a_hundred(todos: LiveTodos, session_id: str) -> None:
    """page_size is how many, and ``limit`` of the page says so."""
    todos.batch(*map(str, range(120)), session_id=session_id)
    page = todos.get(f"{TASKS}?session_id={session_id}&page_size=100").json()
    assert (len(page["items"]), page["limit"], page["total_pages"], page["has_next"]) == (100, 100, 2, True)
    assert todos.get(f"{BATCHES}?session_id={session_id}&page_size=1").json()["limit"] == 1


@pytest.mark.parametrize(("words", "expected"), [
    ("nginx", ["nginx Pod"]), ("NGINX pod", ["nginx Pod"]), ("100%", ["100% done"]), ("생성", ["nginx Pod"]),
    ("pod", ["nginx Pod", "Service"]), ("nothing", []), ("_", []),
])
def test_words_are_searched_in_title_and_description(todos: LiveTodos, session_id: str, words: str,
                                                     expected: list[str]) -> None:
    """All the words, in any order and case, as the texts are now; no letter has a meaning of its own."""
    old = todos.task("old words", session_id=session_id, description="생성하기")
    todos.put(f"{TASKS}/{old['id']}", {"title": "nginx Pod"})
    todos.task("Service", session_id=session_id, description="of the pod")
    todos.task("100% done", session_id=session_id)
    reply = todos.get(TASKS, params={"session_id": session_id, "q": words, "sort_by": "created_at", "order": "asc"})
    assert [item["title"] for item in reply.json()["items"]] == expected


def test_statistics_of_a_session(todos: LiveTodos, session_id: str) -> None:
    """How many are in which state, how many late, what part is done."""
    batch = todos.batch("a", "b", "c", session_id=session_id)
    todos.task("late", session_id=session_id, due_date="2020-01-01", status="in_progress")
    done = todos.put(f"{TASKS}/{batch['tasks'][0]['id']}", {"status": "completed"}).json()
    assert todos.get(f"/api/v1/stats?session_id={session_id}").json() == {
        "session_id": session_id, "total": 4, "pending": 2, "in_progress": 1, "completed": 1, "overdue": 1,
        "completion_rate": 0.25, "last_completed_at": done["completed_at"]}
    assert todos.get("/api/v1/stats").json()["total"] >= 4
    nobody = todos.get(f"/api/v1/stats?session_id={uuid.uuid4()}").json()
    assert (nobody["total"], nobody["completion_rate"], nobody["last_completed_at"]) == (0, 0, None)


def test_events_tell_what_happened_in_order(todos: LiveTodos, session_id: str) -> None:
    """One event for each change that is one, numbered without a gap; what changed nothing, or failed, tells nothing."""
    start = todos.get("/api/v1/events?limit=1&after=9000000000").json()["last"]
    batch = todos.batch("a", session_id=session_id)
    path = f"{TASKS}/{batch['tasks'][0]['id']}"
    todos.put(path, {"status": "completed"})
    todos.put(path, {"status": "completed"})
    todos.put(path, {"status": "wrong"})
    todos.delete(path)
    todos.delete(f"{BATCHES}/{batch['id']}")
    told = todos.get(f"/api/v1/events?after={start}&limit=100").json()
    assert [event["kind"] for event in told["events"]] == [
        "batch_created", "task_created", "task_updated", "task_deleted", "batch_deleted"]
    assert [event["id"] for event in told["events"]] == list(range(start + 1, start + 6))
    assert told["last"] == start + 5
    assert told["events"][2]["data"]["changed"] == ["status", "completed_at"]
    assert {event["session_id"] for event in told["events"]} == {session_id}
    mine = todos.get(f"/api/v1/events?session_id={session_id}&limit=2").json()
    assert [event["kind"] for event in mine["events"]] == ["batch_created", "task_created"]
    assert mine["last"] == start + 2, "where the next page begins"


def test_events_are_streamed_as_they_happen(todos: LiveTodos, session_id: str) -> None:
    """Who listens hears of a change without asking again, and only of the session it asked for."""
    with todos.get(f"/api/v1/events?session_id={session_id}&after=0", stream=True) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        todos.task("somebody else's")
        task = todos.task("mine", session_id=session_id)
        data = next(line for line in lines if line.startswith(b"data: "))
        told = json.loads(data.removeprefix(b"data: "))
        assert (told["kind"], told["task_id"]) == ("task_created", task["id"])


def test_a_reader_behind_what_is_kept_is_told_so(empty: LiveTodos) -> None:
    """A number that was never given out (another database) is answered by a reset."""
    empty.task()
    with empty.get("/api/v1/events?after=77", stream=True) as stream:
        assert next(line for line in stream.iter_lines() if line.startswith((b"event", b"data"))) == b"event: reset"
