"""Pages of to-dos: filters, orders, the shape of a page (contract todos-8001, 1.2)."""

from __future__ import annotations

import pytest
from live_todos import BATCHES, TASKS, LiveTodos


def test_a_page_holds_ten_and_says_where_it_is(todos: LiveTodos, session_id: str) -> None:
    """Ten a page whatever ``limit`` asks for; the numbers add up."""
    todos.post(BATCHES, {"session_id": session_id, "tasks": [{"title": str(n)} for n in range(23)]})
    first, last = (todos.get(f"{TASKS}?session_id={session_id}&limit=50&page={n}").json() for n in (1, 3))
    assert list(first) == ["items", "total", "page", "limit", "total_pages", "has_next", "has_prev"]
    assert (len(first["items"]), *list(first.values())[1:]) == (10, 23, 1, 10, 3, True, False)
    assert (len(last["items"]), *list(last.values())[1:]) == (3, 23, 3, 10, 3, False, True)
    assert todos.get(f"{TASKS}?session_id={session_id}&page=9").json() == {
        "items": [], "total": 23, "page": 9, "limit": 10, "total_pages": 3, "has_next": False, "has_prev": True}


@pytest.mark.parametrize("path", [TASKS, BATCHES])
def test_an_empty_store_has_no_pages(empty: LiveTodos, path: str) -> None:
    """total_pages is 0; its second page still has one before it."""
    page = {"items": [], "total": 0, "page": 1, "limit": 10, "total_pages": 0, "has_next": False, "has_prev": False}
    assert empty.get(path).json() == page
    assert empty.get(f"{path}?page=2").json() == page | {"page": 2, "has_prev": True}


def test_filters_are_combined(todos: LiveTodos, session_id: str) -> None:
    """session_id, status and batch_id each leave out what does not fit; priority and unknown words do nothing."""
    batch = todos.batch("in batch", session_id=session_id)
    todos.task("alone", session_id=session_id)
    todos.task("done", session_id=session_id, status="completed")
    todos.task("elsewhere", status="completed")
    of_session = f"session_id={session_id}&sort_by=created_at&order=asc"
    assert todos.titles(of_session) == ["in batch", "alone", "done"]
    assert todos.titles(f"{of_session}&status=completed") == ["done"]
    assert todos.titles(f"{of_session}&status=pending&batch_id={batch['id']}") == ["in batch"]
    assert todos.titles(f"{of_session}&priority=high&limit=abc&colour=red") == ["in batch", "alone", "done"]


def test_of_a_repeated_parameter_the_last_counts(todos: LiveTodos, session_id: str) -> None:
    """?status=pending&status=completed asks for the completed ones."""
    todos.task("done", session_id=session_id, status="completed")
    assert todos.titles(f"session_id={session_id}&status=pending&status=completed") == ["done"]
    assert todos.titles(f"session_id={session_id}&page=0&page=1") == ["done"]


@pytest.mark.parametrize(("query", "expected"), [
    ("sort_by=due_date&order=asc", ["early", "late", "never"]),
    ("sort_by=due_date&order=desc", ["late", "early", "never"]),
    ("sort_by=priority&order=desc", ["late", "never", "early"]),
    ("sort_by=priority&order=asc", ["never", "late", "early"]),
    ("sort_by=status&order=asc", ["never", "early", "late"]),
    ("sort_by=status&order=desc", ["late", "early", "never"]),
    ("sort_by=created_at&order=asc", ["late", "early", "never"]),
    ("sort_by=created_at", ["never", "early", "late"]),
    ("", ["late", "never", "early"]),
    ("order=asc", ["early", "never", "late"]),
])
def test_orders(todos: LiveTodos, session_id: str, query: str, expected: list[str]) -> None:
    """What has no due date or priority comes last both ways; the list goes by updated_at, latest first, unless said."""
    late = todos.task("late", session_id=session_id, due_date="2030-01-02", priority="high", status="completed")
    todos.task("early", session_id=session_id, due_date="2030-01-01", status="in_progress")
    todos.task("never", session_id=session_id, priority="low")
    todos.put(f"{TASKS}/{late['id']}", {"description": "touched last"})
    assert todos.titles(f"session_id={session_id}&{query}") == expected


@pytest.mark.parametrize("query", [
    "page=0", "page=", "page=x", "status=", "status=PENDING", "session_id=", "session_id=x", "batch_id=x", "sort_by=",
    "sort_by=title", "order=", "order=DESC", "page_size=0", "page_size=101", "q=", "page=99999999999999999999",
])
def test_a_wrong_or_empty_parameter_is_refused_by_name(todos: LiveTodos, query: str) -> None:
    """422, and the error's place is that parameter."""
    reply = todos.get(f"{TASKS}?{query}")
    assert reply.status_code == 422
    errors = reply.json()["details"]["validation_errors"]
    assert [error["loc"] for error in errors] == [["query", query.partition("=")[0]]]
