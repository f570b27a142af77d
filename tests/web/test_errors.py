"""Errors on the wire: one shape for all of them, in plain JSON or as RFC 9457 asks for."""

from __future__ import annotations

from typing import Any

import pytest
from live_bridge import LiveBridge

from taskspool.errors import StoreFull, StoreUnavailable, TaskspoolError

SHAPE = {"error", "code", "message", "details", "request_id"}


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/nowhere", 404, "NOT_FOUND"), ("PUT", "/api/tasks", 405, "METHOD_NOT_ALLOWED"),
    ("GET", "/api/tasks/no-id", 404, "NOT_FOUND"), ("POST", "/api/tasks", 400, "INVALID_REQUEST"),
    ("GET", "/api/tasks?limit=x", 400, "INVALID_REQUEST"), ("GET", "/assets/other.css", 404, "NOT_FOUND"),
    ("GET", "/api/tasks/00000000-0000-4000-8000-000000000000", 404, "TASK_NOT_FOUND"),
])
def test_one_shape(bridge: LiveBridge, method: str, path: str, status: int, code: str) -> None:
    """Every error has error, code, message and details; error is the message, where old clients look for it."""
    reply = bridge.session.request(method, bridge.url + path, timeout=10)
    told = reply.json()
    assert (reply.status_code, told["code"]) == (status, code)
    assert told.keys() >= SHAPE
    assert told["error"] == told["message"]
    assert told["request_id"] == reply.headers["X-Request-ID"]


def test_problem_json(bridge: LiveBridge) -> None:
    """Who accepts application/problem+json gets type, title, status and detail beside the usual keys."""
    reply = bridge.get("/nowhere", headers={"Accept": "application/problem+json, */*;q=0.1"})
    told = reply.json()
    assert reply.headers["Content-Type"] == "application/problem+json"
    assert (told["type"], told["status"], told["detail"]) == ("about:blank", 404, told["error"])
    assert told["title"]
    assert told.keys() >= SHAPE


@pytest.mark.parametrize(("path", "allowed"), [
    ("/health", {"GET", "HEAD", "OPTIONS"}), ("/api/tasks", {"GET", "HEAD", "POST", "OPTIONS"}),
    ("/api/tasks/batch", {"POST", "OPTIONS"}), ("/api/tasks/next", {"GET", "POST", "OPTIONS"}),
    ("/api/tasks/00000000-0000-4000-8000-000000000000/result", {"GET", "HEAD", "POST", "OPTIONS"}),
])
def test_allow_is_honest(bridge: LiveBridge, path: str, allowed: set[str]) -> None:
    """405 and OPTIONS name exactly the methods there are."""
    for method in ("DELETE", "OPTIONS"):
        reply = bridge.session.request(method, bridge.url + path, timeout=10)
        assert set(reply.headers["Allow"].replace(" ", "").split(",")) == allowed


@pytest.mark.parametrize(("error", "status"), [(StoreFull("the disk is full"), 507),
                                               (StoreUnavailable("the disk refused"), 503)])
def test_store_errors(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch, error: TaskspoolError, status: int) -> None:
    """When the disk refuses, the client is told so, and when to try again; reading goes on."""

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(bridge.queue, "enqueue", refuse)
    reply = bridge.post("/api/tasks", {"task_type": "t"})
    assert (reply.status_code, reply.json()["code"]) == (status, error.code)
    assert reply.headers["Retry-After"] == "1"
    assert bridge.get("/api/tasks").ok
