"""Contract tagged-8002, 2.2 and 2.3: every address, what it takes, what it answers, what it refuses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from live_tagged import LiveTagged

KEYS = ["id", "title", "description", "status", "priority", "tags", "due_date", "timeout_seconds", "retry_limit",
        "current_retry_count", "handler", "payload", "result", "error", "queue_id", "created_at", "updated_at",
        "completed_at"]


def errors(reply: Any) -> list[tuple[str, list[Any]]]:
    """(type, place) of each error of a 422."""
    assert reply.status_code == 422, reply.text
    return [(error["type"], error["loc"]) for error in reply.json()["detail"]]


def test_a_task_needs_a_title_and_no_more(tagged: LiveTagged) -> None:
    """POST /tasks answers 201 with the whole task: to_do, priority 中, 300 s, 3 retries, no tags."""
    reply = tagged.ask("POST", "/tasks", {"title": "写报告"})
    task = reply.json()
    assert reply.status_code == 201
    assert reply.headers["Location"] == f"/tasks/{task['id']}"
    assert list(task) == KEYS
    assert (task["status"], task["priority"], task["timeout_seconds"], task["retry_limit"]) == ("to_do", "中", 300, 3)
    assert (task["tags"], task["current_retry_count"], task["handler"], task["payload"]) == ([], 0, "noop", {})
    assert (task["description"], task["due_date"], task["completed_at"], task["result"]) == (None, None, None, None)
    assert tagged.get(task) == task


def test_a_task_keeps_what_it_was_given(tagged: LiveTagged, tag: str) -> None:
    """Every field comes back as it was sent; times in UTC."""
    given = {"title": "t" * 255, "description": "d\n" * 1000, "priority": "高", "tags": [tag, "核心业务"],
             "timeout_seconds": 86_400, "retry_limit": 100, "handler": "sleep", "payload": {"a": [1, None, {"é": 1.5}]}}
    task = tagged.create(**given, due_date="2026-01-31T12:00:00+08:00")
    assert {name: tagged.get(task)[name] for name in given} == given
    assert task["due_date"] == "2026-01-31T04:00:00.000000Z"


@pytest.mark.parametrize(("written", "meant"), [
    ("2026-01-31T12:00:00", "2026-01-31T12:00:00.000000Z"), ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z")])
def test_a_time_without_an_offset_is_utc(tagged: LiveTagged, written: str, meant: str) -> None:
    """due_date is an instant, whoever reads it where."""
    assert tagged.create(due_date=written)["due_date"] == meant


def test_tags_keep_their_order_and_lose_repeats(tagged: LiveTagged, tag: str) -> None:
    """tags is a list of names: each once, where it stood first; upper and lower case differ."""
    task = tagged.create(tags=[f"z{tag}", tag, f"z{tag}", tag.upper(), "🏷️ " + tag])
    assert tagged.get(task)["tags"] == [f"z{tag}", tag, tag.upper(), "🏷️ " + tag]


@pytest.mark.parametrize(("body", "error"), [
    ({}, ("missing", ["body", "title"])),
    ({"title": ""}, ("string_too_short", ["body", "title"])),
    ({"title": "t" * 256}, ("string_too_long", ["body", "title"])),
    ({"title": 7}, ("string_type", ["body", "title"])),
    ({"title": "a\0b"}, ("string_nul", ["body", "title"])),
    ({"title": "t", "priority": "urgent"}, ("enum", ["body", "priority"])),
    ({"title": "t", "priority": None}, ("enum", ["body", "priority"])),
    ({"title": "t", "tags": "a"}, ("list_type", ["body", "tags"])),
    ({"title": "t", "tags": ["a", ""]}, ("string_too_short", ["body", "tags", 1])),
    ({"title": "t", "tags": ["a" * 65]}, ("string_too_long", ["body", "tags", 0])),
    ({"title": "t", "tags": [str(n) for n in range(101)]}, ("too_long", ["body", "tags"])),
    ({"title": "t", "due_date": "tomorrow"}, ("datetime_type", ["body", "due_date"])),
    ({"title": "t", "due_date": "2026-02-30T00:00:00Z"}, ("datetime_from_date_parsing", ["body", "due_date"])),
    ({"title": "t", "due_date": "0001-01-01T00:00:00+14:00"}, ("datetime_range", ["body", "due_date"])),
    ({"title": "t", "due_date": 0}, ("datetime_type", ["body", "due_date"])),
    ({"title": "t", "timeout_seconds": 0}, ("greater_than_equal", ["body", "timeout_seconds"])),
    ({"title": "t", "timeout_seconds": 86_401}, ("less_than_equal", ["body", "timeout_seconds"])),
    ({"title": "t", "timeout_seconds": "60"}, ("int_type", ["body", "timeout_seconds"])),
    ({"title": "t", "retry_limit": -1}, ("greater_than_equal", ["body", "retry_limit"])),
    ({"title": "t", "retry_limit": 101}, ("less_than_equal", ["body", "retry_limit"])),
    ({"title": "t", "retry_limit": True}, ("int_type", ["body", "retry_limit"])),
    ({"title": "t", "handler": ""}, ("string_too_short", ["body", "handler"])),
    ({"title": "t", "payload": []}, ("dict_type", ["body", "payload"])),
    ({"title": "t", "status": "done"}, ("extra_forbidden", ["body", "status"])),
    ({"title": "t", "tag": "a"}, ("extra_forbidden", ["body", "tag"])),
    (["t"], ("model_attributes_type", ["body"])),
    (None, ("missing", ["body"])),
])
def test_a_task_that_breaks_a_rule_is_refused(tagged: LiveTagged, body: Any, error: tuple[str, list[Any]]) -> None:
    """422 in FastAPI's words, naming the field; nothing is kept."""
    before = tagged.ask("GET", "/tasks", params={"limit": 1}).headers["X-Total-Count"]
    assert errors(tagged.ask("POST", "/tasks", body)) == [error]
    assert tagged.ask("GET", "/tasks", params={"limit": 1}).headers["X-Total-Count"] == before


def test_all_broken_rules_are_told_at_once(tagged: LiveTagged) -> None:
    """A client mends its request in one go."""
    reply = tagged.ask("POST", "/tasks", {"priority": "x", "retry_limit": -1})
    assert [place for _, [_, place] in errors(reply)] == ["title", "priority", "retry_limit"]


def test_the_list_is_a_bare_array_by_id(tagged: LiveTagged, tag: str) -> None:
    """GET /tasks: 200, an array, ordered by id, its length in X-Total-Count."""
    ids = [tagged.create(tags=[tag, "x"])["id"] for _ in range(3)]
    reply = tagged.ask("GET", "/tasks", params={"tag": tag})
    assert [task["id"] for task in reply.json()] == ids == sorted(ids)
    assert list(reply.json()[0]) == KEYS
    assert reply.json()[0]["tags"] == [tag, "x"]
    assert reply.headers["X-Total-Count"] == "3"


def test_filters_are_combined(tagged: LiveTagged, tag: str) -> None:
    """status, priority and tag: all that is asked must hold."""
    wanted = tagged.create(tags=[tag, "核心业务"], priority="高")
    tagged.create(tags=[tag], priority="低")
    tagged.create(tags=[f"{tag}x"], priority="高")
    assert tagged.ids(status="to_do", priority="高", tag=tag) == [wanted["id"]]
    assert tagged.ids(status="done", priority="高", tag=tag) == []
    assert len(tagged.ids(tag=tag)) == 2


def test_a_page_tells_the_true_total(tagged: LiveTagged, tag: str) -> None:
    """limit and offset cut the list, and X-Total-Count counts all that fit, also beyond the end."""
    ids = [tagged.create(tags=[tag, "y"])["id"] for _ in range(5)]
    for limit, offset, expected in ((2, 0, ids[:2]), (2, 3, ids[3:]), (10, 9, []), (None, 1, ids[1:])):
        query = {"tag": tag, "offset": offset} | ({} if limit is None else {"limit": limit})
        reply = tagged.ask("GET", "/tasks", params=query)
        assert ([task["id"] for task in reply.json()], reply.headers["X-Total-Count"]) == (expected, "5")


@pytest.mark.parametrize(("query", "error"), [
    ("status=finished", ("enum", ["query", "status"])), ("priority=high", ("enum", ["query", "priority"])),
    ("status=", ("enum", ["query", "status"])), ("tag=", ("string_too_short", ["query", "tag"])),
    ("limit=0", ("greater_than_equal", ["query", "limit"])), ("limit=1001", ("less_than_equal", ["query", "limit"])),
    ("offset=-1", ("greater_than_equal", ["query", "offset"])), ("offset=a", ("int_parsing", ["query", "offset"])),
    ("tag=%00", ("string_nul", ["query", "tag"]))])
def test_an_unknown_filter_value_is_refused(tagged: LiveTagged, query: str, error: tuple[str, list[Any]]) -> None:
    """422, instead of an empty list that looks like an answer."""
    assert errors(tagged.ask("GET", f"/tasks?{query}")) == [error]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("number", ["999999999", "0", "-1", str(2**63), str(10**40)])
def test_an_unknown_task_is_404(tagged: LiveTagged, method: str, number: str) -> None:
    """In FastAPI's shape, also for numbers no database counts to."""
    reply = tagged.ask(method, f"/tasks/{number}", {} if method == "PATCH" else None)
    assert (reply.status_code, reply.json()) == (404, {"detail": "Task not found"})


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_id_is_a_number(tagged: LiveTagged, method: str) -> None:
    """422 naming the place in the path."""
    reply = tagged.ask(method, "/tasks/one", {} if method == "PATCH" else None)
    assert errors(reply) == [("int_parsing", ["path", "task_id"])]


def test_a_patch_changes_what_it_names(tagged: LiveTagged, tag: str) -> None:
    """Everything else stays; updated_at moves on, created_at does not."""
    task = tagged.create(tags=[tag], description="d", due_date="2026-01-01")
    change = {"title": "new", "priority": "低", "due_date": "2027-01-01T00:00:00.000000Z", "timeout_seconds": 9,
              "retry_limit": 0}
    reply = tagged.ask("PATCH", f"/tasks/{task['id']}", change)
    assert reply.status_code == 200
    assert reply.json() == {**task, **change, "updated_at": reply.json()["updated_at"]} == tagged.get(task)
    assert reply.json()["updated_at"] > task["updated_at"]


def test_a_patch_replaces_the_tags(tagged: LiveTagged, tag: str) -> None:
    """tags is the whole new set, [] none; left out they stay."""
    task = tagged.create(tags=[tag, "a", "b"])
    path = f"/tasks/{task['id']}"
    assert tagged.ask("PATCH", path, {"tags": ["b", f"{tag}2", "b"]}).json()["tags"] == ["b", f"{tag}2"]
    assert tagged.ask("PATCH", path, {"title": "x"}).json()["tags"] == ["b", f"{tag}2"]
    assert tagged.ids(tag=tag) == []
    assert tagged.ask("PATCH", path, {"tags": []}).json()["tags"] == []


def test_null_empties_what_may_be_empty(tagged: LiveTagged) -> None:
    """description and due_date; what a task must have cannot be taken from it."""
    task = tagged.create(description="d", due_date="2026-01-01")
    path = f"/tasks/{task['id']}"
    changed = tagged.ask("PATCH", path, {"description": None, "due_date": None}).json()
    assert (changed["description"], changed["due_date"]) == (None, None)
    for field in ("title", "priority", "tags", "timeout_seconds", "retry_limit"):
        assert errors(tagged.ask("PATCH", path, {field: None}))[0][1] == ["body", field]


@pytest.mark.parametrize("field", ["status", "id", "current_retry_count", "completed_at", "handler", "colour"])
def test_a_patch_of_anything_else_is_refused(tagged: LiveTagged, field: str) -> None:
    """422: clients never change the status, and a misspelt field is not lost in silence. Nothing is changed."""
    task = tagged.create()
    reply = tagged.ask("PATCH", f"/tasks/{task['id']}", {"title": "new", field: "done"})
    assert errors(reply) == [("extra_forbidden", ["body", field])]
    assert tagged.get(task) == task


def test_an_empty_patch_changes_nothing(tagged: LiveTagged) -> None:
    """200 with the task as it was."""
    task = tagged.create()
    reply = tagged.ask("PATCH", f"/tasks/{task['id']}", {})
    assert (reply.status_code, reply.json()) == (200, task)


def test_a_deleted_task_is_gone(tagged: LiveTagged, tag: str) -> None:
    """204 without a body; then 404, and it is in no list; its number never comes again."""
    task = tagged.create(tags=[tag])
    reply = tagged.ask("DELETE", f"/tasks/{task['id']}")
    assert (reply.status_code, reply.content) == (204, b"")
    assert tagged.ask("GET", f"/tasks/{task['id']}").status_code == 404
    assert tagged.ask("DELETE", f"/tasks/{task['id']}").status_code == 404
    assert tagged.ids(tag=tag) == []
    assert tagged.create()["id"] > task["id"]


def test_tags_are_counted(tagged: LiveTagged, tag: str) -> None:
    """GET /tags: each with the number of its tasks; one that no task has is gone."""
    first, second = tagged.create(tags=[tag, f"{tag}x"]), tagged.create(tags=[tag])
    counts = {each["name"]: each["count"] for each in tagged.ask("GET", "/tags").json()}
    assert (counts[tag], counts[f"{tag}x"]) == (2, 1)
    tagged.ask("DELETE", f"/tasks/{first['id']}")
    tagged.ask("PATCH", f"/tasks/{second['id']}", {"tags": [tag]})
    counts = {each["name"]: each["count"] for each in tagged.ask("GET", "/tags").json()}
    assert counts[tag] == 1
    assert f"{tag}x" not in counts


def test_the_proof_of_concept(tagged: LiveTagged) -> None:
    """POST /task?sleep_time=5 answers 200 with the id of the job; it may take 10 s, three times."""
    reply = tagged.ask("POST", "/task?sleep_time=7")
    body = reply.json()
    assert (reply.status_code, list(body)) == (200, ["message", "job_id", "is_queued"])
    assert (body["message"], body["is_queued"]) == ("Task enqueued successfully!", True)
    assert re.fullmatch("[0-9a-f]{32}", body["job_id"])
    [job] = [one.task for one in tagged.queue.listing(types=["heavy_task"], limit=100)
             if one.task.id.replace("-", "") == body["job_id"]]
    assert (job.data, job.options.timeout_seconds, job.max_retries) == ({"sleep_time": 7}, 10.0, 2)


@pytest.mark.parametrize("sleep_time", ["long", "-1", "86401", ""])
def test_a_proof_with_a_wrong_time_is_refused(tagged: LiveTagged, sleep_time: str) -> None:
    """422 naming sleep_time."""
    assert errors(tagged.ask("POST", f"/task?sleep_time={sleep_time}"))[0][1] == ["query", "sleep_time"]


@pytest.mark.parametrize(("method", "path", "status", "detail"), [
    ("GET", "/nothing", 404, "Not Found"), ("PUT", "/tasks", 405, "Method Not Allowed"),
    ("HEAD", "/tasks", 405, None), ("OPTIONS", "/tasks", 405, "Method Not Allowed"),
    ("GET", "/task", 405, "Method Not Allowed")])
def test_what_is_not_there_is_told_as_fastapi_does(tagged: LiveTagged, method: str, path: str, status: int,
                                                   detail: str | None) -> None:
    """{"detail": ...} and nothing else."""
    reply = tagged.ask(method, path)
    assert reply.status_code == status
    assert detail is None or reply.json() == {"detail": detail}


def test_a_slash_too_many_is_redirected(tagged: LiveTagged) -> None:
    """307, as FastAPI does, with the query."""
    reply = tagged.ask("GET", "/tasks/?status=done")
    assert (reply.status_code, reply.headers["Location"]) == (307, f"{tagged.url}/tasks?status=done")


def test_a_body_that_is_no_json_is_refused(tagged: LiveTagged) -> None:
    """422: where it breaks off; a form is told what it should be."""
    broken = tagged.ask("POST", "/tasks", data='{"title": ', headers={"Content-Type": "application/json"})
    assert errors(broken) == [("json_invalid", ["body", 10])]
    form = tagged.ask("POST", "/tasks", data={"title": "t"})
    assert errors(form) == [("content_type", ["header", "content-type"])]


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs", "/redoc"])
def test_the_door_describes_itself(tagged: LiveTagged, path: str) -> None:
    """Health, description, and both pages of a FastAPI service."""
    assert tagged.ask("GET", path).status_code == 200
