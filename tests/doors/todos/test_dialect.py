"""How the door answers anything: headers, the one error shape, redirects, pages (contract todos-8001, 1.1)."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from live_bridge import request_bytes
from live_todos import BATCHES, TASKS, LiveTodos, live_todos, serving

from taskspool.records.database import Database

ERROR_KEYS = ["success", "message", "error_code", "details", "request_id"]


def errors_of(reply: Any) -> list[dict[str, Any]]:
    assert reply.status_code == 422, reply.text
    assert list(reply.json()) == ERROR_KEYS
    assert (reply.json()["message"], reply.json()["error_code"]) == ("Validation error", "ValidationError")
    return list(reply.json()["details"]["validation_errors"])


@pytest.mark.parametrize(("method", "path"), [("GET", TASKS), ("GET", f"{TASKS}/x"), ("GET", "/nowhere"),
                                              ("PATCH", TASKS), ("GET", f"{TASKS}/"), ("GET", "/health")])
def test_every_answer_has_an_id_and_its_time(todos: LiveTodos, method: str, path: str) -> None:
    """X-Request-ID is the caller's, whatever it holds, else a new UUID; X-Process-Time is seconds with 3 decimals."""
    mine = todos.ask(method, path, headers={"X-Request-ID": "what / I say: 1;2"})
    assert mine.headers["X-Request-ID"] == "what / I say: 1;2"
    assert re.fullmatch(r"\d+\.\d{3}", mine.headers["X-Process-Time"])
    assert uuid.UUID(todos.ask(method, path).headers["X-Request-ID"]).version == 4


def test_json_is_utf_8_and_says_no_more_than_that_it_is_json(todos: LiveTodos) -> None:
    """Content-Type: application/json."""
    reply = todos.post(TASKS, {"title": "할 일 ✓"})
    assert reply.headers["Content-Type"] == "application/json"
    assert "할 일 ✓".encode() in reply.content


@pytest.mark.parametrize(("method", "path", "status", "message"), [
    ("GET", "/", 404, "Not Found"), ("GET", "/api/v1/nothing", 404, "Not Found"),
    ("GET", f"{TASKS}/a/b", 404, "Not Found"), ("PATCH", TASKS, 405, "Method Not Allowed"),
    ("POST", f"{TASKS}/bulk", 405, "Method Not Allowed"), ("DELETE", TASKS, 405, "Method Not Allowed"),
    ("OPTIONS", TASKS, 405, "Method Not Allowed"), ("PUT", f"{BATCHES}/latest", 405, "Method Not Allowed"),
    ("POST", "/health", 405, "Method Not Allowed"),
])
def test_an_error_has_one_shape(todos: LiveTodos, method: str, path: str, status: int, message: str) -> None:
    """success, message, error_code, details, request_id: the last as in the header."""
    reply = todos.ask(method, path)
    assert reply.status_code == status
    assert list(reply.json()) == ERROR_KEYS
    assert reply.json() == {"success": False, "message": message, "error_code": "HTTPException", "details": {},
                            "request_id": reply.headers["X-Request-ID"]}


def test_there_is_no_head(todos: LiveTodos) -> None:
    """HEAD is a wrong method, as any other that is not there."""
    assert todos.ask("HEAD", TASKS).status_code == 405


@pytest.mark.parametrize(("method", "path"), [("GET", f"{TASKS}/?page=2&status=pending"), ("POST", f"{TASKS}/"),
                                              ("PUT", f"{TASKS}/bulk/"), ("GET", f"{BATCHES}/latest/")])
def test_a_slash_too_many_is_a_307(todos: LiveTodos, method: str, path: str) -> None:
    """Location is the address without it, the query kept."""
    reply = todos.ask(method, path)
    assert reply.status_code == 307
    assert reply.headers["Location"] == todos.url + path.replace("/?", "?").removesuffix("/")


def test_no_cors(todos: LiveTodos) -> None:
    """No header lets another site's page in, and one that asks is refused in this door's shape."""
    reply = todos.get(TASKS, headers={"Origin": "https://example.com"})
    assert reply.status_code == 403
    assert reply.json()["error_code"] == "HTTPException"
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


def test_another_host_is_refused_in_the_same_shape(todos: LiveTodos) -> None:
    """421, and details tell a program which rule it was."""
    reply = todos.raw(request_bytes("GET", TASKS, host="evil.example"))
    assert reply.status == 421
    assert list(reply.json()) == ERROR_KEYS
    assert reply.json()["details"]["code"] == "WRONG_HOST"


def test_no_content_type_means_json(todos: LiveTodos) -> None:
    """A body without the header is read."""
    assert todos.post(TASKS, data=b'{"title":"bare"}').status_code == 201


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type_is_a_422(todos: LiveTodos, media_type: str) -> None:
    """Where the original broke down, the header is named."""
    reply = todos.post(TASKS, data=b'{"title":"a"}', headers={"Content-Type": media_type})
    assert [(error["loc"], error["input"]) for error in errors_of(reply)] == [(["header", "content-type"], media_type)]


@pytest.mark.parametrize(("body", "place", "reason"), [
    (b"{", 1, "Expecting property name enclosed in double quotes"), (b"nope", 0, "Expecting value"),
    (b'{"title":}', 9, "Expecting value"), (b'{"title":"a"} x', 14, "Extra data"),
])
def test_bad_json_is_told_with_its_place(todos: LiveTodos, body: bytes, place: int, reason: str) -> None:
    """As Python's parser tells it, alone."""
    assert errors_of(todos.post(TASKS, data=body)) == [
        {"type": "json_invalid", "loc": ["body", place], "msg": "JSON decode error", "input": {},
         "ctx": {"error": reason}}]


def test_no_body_is_missing(todos: LiveTodos) -> None:
    """type missing, at the body itself."""
    for method, path in (("POST", TASKS), ("PUT", f"{TASKS}/bulk"), ("DELETE", f"{TASKS}/bulk"), ("POST", BATCHES)):
        assert errors_of(todos.ask(method, path)) == [
            {"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}]


def test_all_errors_of_a_request_are_listed(todos: LiveTodos) -> None:
    """The path before the body, the fields of the body in the order of the contract."""
    reply = todos.put(f"{TASKS}/x", {"due_date": "soon", "priority": "urgent", "title": ""})
    assert [error["loc"] for error in errors_of(reply)] == [
        ["path", "task_id"], ["body", "title"], ["body", "priority"], ["body", "due_date"]]


def test_nul_is_refused(todos: LiveTodos) -> None:
    """No database is asked to keep it; nothing is made."""
    for path, body in ((TASKS, {"title": "a\0b"}), (TASKS, {"title": "a", "description": "\0"}),
                       (BATCHES, {"reason": "\0", "tasks": [{"title": "a"}]})):
        assert [error["type"] for error in errors_of(todos.post(path, body))] == ["string_nul"]
    assert errors_of(todos.get(f"{TASKS}?q=%00"))[0]["type"] == "string_nul"


def test_two_readers_of_a_body_read_the_same(todos: LiveTodos) -> None:
    """A key twice, NaN, half a character, too deep: refused as JSON that is none."""
    for body in (b'{"title":"a","title":"b"}', b'{"title":NaN}', b'{"title":"\\ud800"}',
                 b'{"title":' + b"[" * 99 + b"]" * 99 + b"}", b'{"title":"\xff"}'):
        assert [error["type"] for error in errors_of(todos.post(TASKS, data=body))] == ["json_invalid"]


def test_the_description_is_the_originals_by_name(todos: LiveTodos) -> None:
    """Title aklp-task, version 0.1.0, every address of the contract."""
    described = todos.get("/openapi.json").json()
    assert (described["info"]["title"], described["info"]["version"]) == ("aklp-task", "0.1.0")
    assert {f"{method} {path}" for path, methods in described["paths"].items() for method in methods} >= {
        f"post {TASKS}", f"get {TASKS}", f"get {TASKS}/{{task_id}}", f"put {TASKS}/{{task_id}}",
        f"delete {TASKS}/{{task_id}}", f"put {TASKS}/bulk", f"delete {TASKS}/bulk", f"post {BATCHES}", f"get {BATCHES}",
        f"get {BATCHES}/latest", f"get {BATCHES}/{{batch_id}}", "get /health"}


def test_the_description_is_valid(todos: LiveTodos) -> None:
    """By the schema of OpenAPI 3.1 itself."""
    validator = pytest.importorskip("openapi_spec_validator")
    assert list(validator.OpenAPIV31SpecValidator(todos.get("/openapi.json").json()).iter_errors()) == []


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_the_pages_need_nothing_from_elsewhere(todos: LiveTodos, path: str) -> None:
    """Every address in them is ours, and answers; their policy allows nothing else."""
    reply = todos.get(path)
    assert reply.status_code == 200
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    named = re.findall(r'(?:src|href)="([^"#]+)"', reply.text)
    assert named
    assert all(address.startswith("/") for address in named)
    files = [address for address in named if address != "/"]
    assert [address for address in files if not todos.get(address).ok] == []


def test_the_reference_names_every_address(todos: LiveTodos) -> None:
    """/redoc shows what /openapi.json describes, without a script."""
    page = todos.get("/redoc").text
    assert "<script" not in page
    assert page.startswith("<!doctype html>")
    assert [path for path in todos.get("/openapi.json").json()["paths"] if f"<code>{path}</code>" not in page] == []


def test_health_tells_of_the_database(todos: LiveTodos) -> None:
    """200 with three words while it answers."""
    reply = todos.get("/health")
    assert (reply.status_code, reply.json()) == (200, {"status": "healthy", "version": "0.1.0", "database": "healthy"})


def test_health_is_200_and_degraded_when_the_database_is_gone(tmp_path: Path) -> None:
    """The door answers on, and what needs the database is a 503 in the one shape."""
    with live_todos("sqlite", tmp_path) as todos:
        todos.task()
        for file in tmp_path.glob("*.db*"):
            file.unlink()
        reply = todos.get("/health")
        assert (reply.status_code, reply.json()["status"], reply.json()["database"]) == (200, "degraded", "unhealthy")


def test_a_server_that_does_not_answer_is_a_503(tmp_path: Path) -> None:
    """With Retry-After, and no word of where it is or how it is entered."""
    database = Database("postgresql+psycopg://somebody:secret@127.0.0.1:1/none")
    with serving(database, tmp_path) as todos:
        reply = todos.get(TASKS)
        assert (reply.status_code, reply.headers["Retry-After"]) == (503, "1")
        assert list(reply.json()) == ERROR_KEYS
        assert "secret" not in reply.text
        assert todos.get("/health").json()["database"] == "unhealthy"
    database.close()


def test_a_body_that_is_too_large_is_a_413_in_the_same_shape(todos: LiveTodos) -> None:
    """The rule is in the details."""
    reply = todos.post(BATCHES, data=json.dumps({"reason": "r" * 1_200_000, "tasks": [{"title": "a"}]}).encode())
    assert reply.status_code == 413
    assert (reply.json()["error_code"], reply.json()["details"]["code"]) == ("HTTPException", "PAYLOAD_TOO_LARGE")
