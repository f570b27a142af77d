"""The same requests to a FastAPI service of the same shapes: the errors are the same, word for word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from inspect import Parameter, Signature
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from taskspool.doors.todos import models
from taskspool.web.bridge import BODY
from taskspool.web.validation import Invalid, read

ID = "550e8400-e29b-41d4-a716-446655440001"
TASKS, BATCHES = "/api/v1/tasks", "/api/v1/batches"
Request = tuple[str, str, bytes]


class Create(BaseModel):
    title: str = Field(min_length=1, max_length=255)
    description: str | None = Field(None, max_length=1_000)
    status: models.TaskStatus = models.TaskStatus.PENDING
    priority: models.TaskPriority | None = None
    due_date: datetime | None = None
    session_id: UUID | None = None


class Update(BaseModel):
    title: str | None = Field(None, min_length=1, max_length=255)
    description: str | None = Field(None, max_length=1_000)
    status: models.TaskStatus | None = None
    priority: models.TaskPriority | None = None
    due_date: datetime | None = None


class Item(Update):
    id: UUID


class Bulk(BaseModel):
    tasks: list[Item] = Field(min_length=1)


class Ids(BaseModel):
    ids: list[UUID] = Field(min_length=1)


class Batch(BaseModel):
    session_id: UUID | None = None
    reason: str | None = None
    tasks: list[Create] = Field(min_length=1)


OURS: dict[str, dict[str, Any]] = {
    f"POST {TASKS}": {"body": models.TaskCreate}, f"PUT {TASKS}/bulk": {"body": models.BulkUpdate},
    f"DELETE {TASKS}/bulk": {"body": models.BulkDelete}, f"POST {BATCHES}": {"body": models.BatchCreate},
    f"GET {TASKS}": {"query": models.TaskQuery}, f"GET {BATCHES}": {"query": models.BatchQuery},
    f"GET {BATCHES}/latest": {"query": models.SessionQuery},
}


def requests() -> Iterator[Request]:
    """Every field of every body and query with values that are good, bad, and of other types."""
    def posted(method: str, path: str, value: object) -> Request:
        return method, path, json.dumps(value).encode()

    for value in (1, 1.5, True, None, "", " ", "x" * 255, "x" * 256, "x" * 1_001, [], {}, ["a"], "é", "pending",
                  "HIGH", "high", "Pending", ID, ID.upper(), ID.replace("-", ""), f"urn:uuid:{ID}", f"{{{ID}}}",
                  ID[:-1], f"g{ID[1:]}", "2025-12-07T23:59:59Z", "2025-12-07", "2025-12-07 10:00", "2025-13-07",
                  "2025-02-30T00:00:00Z",
                  "1733529600.5", 1733529600123, -1, 1e30, "1e5", "2025", "2025-12-07T10",
                  "2025-12-07T10:00:00.1234567Z",
                  "2025-12-07T10:00:00+25:00", "0000-01-01", "2025-12-07T10:00:60Z", 253402300800):
        for field in Create.model_fields:
            yield posted("POST", TASKS, {"title": "a", field: value})
            yield posted("PUT", f"{TASKS}/{ID}", {field: value})
            yield posted("POST", BATCHES, {"tasks": [{"title": "a"}, {"title": "a", field: value}]})
        for field in Batch.model_fields:
            yield posted("POST", BATCHES, {"tasks": [{"title": "a"}], field: value})
        yield posted("PUT", f"{TASKS}/bulk", {"tasks": [{"id": value, "status": "completed"}, {"status": value}]})
        yield posted("DELETE", f"{TASKS}/bulk", {"ids": [value]})
        yield posted("DELETE", f"{TASKS}/bulk", {"ids": value})
        if value is not None:  # newer versions look into null, older ones call it missing, as we do
            yield posted("POST", TASKS, value)
            yield posted("PUT", f"{TASKS}/nope", value)
        if isinstance(value, str) and value.strip() and len(value) < 60:
            for name in ("page", "status", "session_id", "batch_id", "sort_by", "order"):
                yield "GET", f"{TASKS}?{name}={value.replace('+', '%2B')}", b""
            yield "GET", f"{TASKS}/{value}", b""
    for query in ("page=0", "page=", "page=1.0", "page=1.5", "page=%201", "page=1_000", "page=0&page=2", "page=+1",
                  "page=1e3", "page=%EF%BC%91", "page=" + "9" * 5_000, "status", "status=%ff", "session_id=",
                  "limit=abc",
                  "page=0&status=x&session_id=y&batch_id=z&sort_by=a&order=b", "order=DESC", "sort_by=title"):
        yield from (("GET", f"{path}?{query}", b"") for path in (TASKS, BATCHES, f"{BATCHES}/latest"))
    for raw in (b"", b"{", b"{}", b"nope", b'{"title":}', b'{"title":"a",}', b"{'a':1}", b'{"a":1} x', b"  ",
                b'{"title":"a"', b'{"title":"a\n"}', b'{"title":"\\x"}', b'\xef\xbb\xbf{"title":1}', b'{"title" "a"}',
                b"\n\n{",
                '{"title":"é" x}'.encode()):
        for method, path in (("POST", TASKS), ("PUT", f"{TASKS}/zzz"), ("DELETE", f"{TASKS}/bulk"), ("POST", BATCHES)):
            yield method, path, raw


def service() -> Any:
    """A client of a FastAPI service with those addresses, which lists what is wrong and does nothing else."""
    fastapi = pytest.importorskip("fastapi")
    pytest.importorskip("httpx")
    from fastapi.encoders import jsonable_encoder
    from fastapi.exceptions import RequestValidationError
    from fastapi.testclient import TestClient

    app = fastapi.FastAPI(strict_content_type=False)
    app.add_exception_handler(RequestValidationError, lambda _, error: fastapi.responses.JSONResponse(
        jsonable_encoder(error.errors()), 422))
    for address, asked in asked_at(fastapi.Query(1, ge=1)).items():
        method, path = address.split()
        app.add_api_route(path, view_of(asked), methods=[method])
    return TestClient(app)


def asked_at(page: Any) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Address -> what its view takes: name -> (type, default). In the order in which it is asked for."""
    session, one = {"session_id": (UUID | None, None)}, {"task_id": (UUID, ...)}
    pages = {"page": (int, page)}
    return {
        f"POST {TASKS}": {"body": (Create, ...)}, f"PUT {TASKS}/bulk": {"body": (Bulk, ...)},
        f"DELETE {TASKS}/bulk": {"body": (Ids, ...)}, f"GET {TASKS}/{{task_id}}": one,
        f"PUT {TASKS}/{{task_id}}": {**one, "body": (Update, ...)}, f"POST {BATCHES}": {"body": (Batch, ...)},
        f"GET {BATCHES}": pages | session, f"GET {BATCHES}/latest": session,
        f"GET {TASKS}": {**pages, "status": (models.TaskStatus | None, None), **session,
                         "batch_id": (UUID | None, None), "sort_by": (models.SortBy, models.SortBy.CREATED_AT),
                         "order": (models.Order, models.Order.ASC)},
    }


def view_of(asked: dict[str, tuple[Any, Any]]) -> Any:
    """A view that takes ``asked`` and does nothing."""
    def view(**_: Any) -> None: ...
    view.__signature__ = Signature([  # type: ignore[attr-defined]  # where FastAPI looks
        Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=Parameter.empty if default is ... else default)
        for name, (kind, default) in asked.items()])
    return view


def ours(method: str, path: str, raw: bytes) -> Any:
    """The errors of the same request here, None when it is a good one."""
    path, _, query = path.partition("?")
    parts = OURS.get(f"{method} {path}")
    if parts is None:
        parts = {"path": {"task_id": (path.rpartition("/")[2], models.ID)}}
        parts |= {"body": models.TaskUpdate} if method == "PUT" else {}
    try:
        read({"QUERY_STRING": query, BODY: raw}, **parts)
    except Invalid as error:
        return json.loads(json.dumps(error.errors))
    return None


@pytest.mark.slow
def test_errors_are_worded_as_a_fastapi_service_words_them() -> None:
    """Hundreds of bodies, queries and paths: the same are refused, for the same reasons, in the same order."""
    client = service()
    different, count = [], 0
    for method, path, raw in requests():
        count += 1
        reply = client.request(method, path, content=raw, headers={"Content-Type": "application/json"})
        theirs = None if reply.status_code == 200 else reply.json()
        if (mine := ours(method, path, raw)) != theirs:
            different.append((method, path, raw, theirs, mine))
    print(f"{count} requests")
    assert count > 600
    assert different == []
