"""/openapi.json and /docs: valid, complete, and without an address elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from live_managed import LiveManaged

DOCUMENTED = {
    "GET /health", "GET /metrics", "POST /api/v1/tasks", "GET /api/v1/tasks", "POST /api/v1/tasks/batch",
    "GET /api/v1/tasks/{task_id}", "DELETE /api/v1/tasks/{task_id}", "POST /api/v1/tasks/{task_id}/retry",
    "PUT /api/v1/tasks/{task_id}/progress", "GET /api/v1/stats/tasks", "GET /api/v1/stats/system",
    "GET /api/v1/queues/info",
}
EXTERNAL = re.compile(r"""(?i)(?:src|href|action|url)\s*[=(]\s*["']?\s*(?:https?:)?//(?!127\.0\.0\.1|localhost)""")


@pytest.fixture(scope="module")
def description(door: LiveManaged) -> Any:
    return door.get("/openapi.json").json()


def test_valid(description: Any) -> None:
    """The description is valid OpenAPI 3.1."""
    pytest.importorskip("openapi_spec_validator").validate(description)
    assert description["openapi"].startswith("3.1")


def test_complete(description: Any) -> None:
    """Every endpoint of the document is described, each with a summary and what it may be answered."""
    operations = {f"{method.upper()} {path}": operation for path, methods in description["paths"].items()
                  for method, operation in methods.items()}
    assert set(operations) >= DOCUMENTED
    assert all(operation["summary"] and operation["responses"] for operation in operations.values())


def test_every_error_has_the_four_members(description: Any) -> None:
    """Every answer from 400 on is {error, message, code, details}, but for that of a service that is not healthy."""
    schemas = description["components"]["schemas"]
    for path, methods in description["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400" and path not in ("/health", "/metrics"):
                    name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                    assert set(schemas[name]["required"]) == {"error", "message", "code", "details"}, (path, status)


def test_progress_is_described_in_both_forms(description: Any) -> None:
    """JSON, and the form that the clients send."""
    content = description["paths"]["/api/v1/tasks/{task_id}/progress"]["put"]["requestBody"]["content"]
    assert set(content) == {"application/json", "application/x-www-form-urlencoded"}


def test_the_page_needs_no_other_host(door: LiveManaged) -> None:
    """/docs and its files come from here."""
    reply = door.get("/docs")
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not EXTERNAL.search(reply.text)
    named = re.findall(r'(?:src|href)="(/[^"]+\.(?:css|js|png|svg))"', reply.text)
    assert len(named) >= 2
    assert all(door.get(name).status_code == 200 for name in named)
