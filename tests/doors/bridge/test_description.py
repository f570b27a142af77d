"""/openapi.json and the pages: valid, complete, pretty enough to use, and without a single address elsewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from live_bridge import LiveBridge

EXTERNAL = re.compile(r"""(?i)(?:src|href|action|url)\s*[=(]\s*["']?\s*(?:https?:)?//(?!127\.0\.0\.1|localhost)""")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture(scope="module")
def description(bridge: LiveBridge) -> Any:
    return bridge.get("/openapi.json").json()


def test_valid(description: Any) -> None:
    """The description is valid OpenAPI 3.1."""
    validator = pytest.importorskip("openapi_spec_validator")
    validator.validate(description)
    assert description["openapi"].startswith("3.1")


def test_complete(bridge: LiveBridge, description: Any) -> None:
    """Every endpoint of the index is described, with a summary, and nothing else is."""
    described = {
        f"{method.upper()} {re.sub(r'{(?:task_id|([a-z]+))}', lambda m: ':' + (m[1] or 'id'), path)}"
        for path, methods in description["paths"].items() for method in methods
    }
    assert described == set(bridge.get("/").json()["endpoints"])
    assert all(operation["summary"] for methods in description["paths"].values() for operation in methods.values())


def test_every_error_has_the_one_shape(description: Any) -> None:
    """Every answer from 400 on is described by the same schema, the one with ``error``."""
    for methods in description["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    schema = answer["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages(bridge: LiveBridge, path: str) -> None:
    """A browser gets a page of ours alone: nothing inline, no address elsewhere, and it may not be framed."""
    reply = bridge.get(path, headers=BROWSER)
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert not EXTERNAL.search(reply.text)
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=", reply.text, re.IGNORECASE)
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_files_of_the_pages(bridge: LiveBridge) -> None:
    """Every file the pages name is served here, with its type."""
    for path in ("/", "/docs"):
        named = re.findall(r'(?:src|href)="(/[^"]+\.(?:css|js|png|svg))"', bridge.get(path, headers=BROWSER).text)
        assert len(named) >= 2
        for name in named:
            reply = bridge.get(name)
            assert reply.status_code == 200
            assert reply.headers["Content-Type"].split(";")[0] in {"text/css", "text/javascript", "image/png",
                                                                   "image/svg+xml"}


def test_page_tells_what_this_is(bridge: LiveBridge) -> None:
    """The page says what this is, how many tasks wait, where the docs are, and the first commands."""
    bridge.submit("page")
    text = bridge.get("/", headers=BROWSER).text
    for word in ("taskspool", "/docs", "/openapi.json", "curl", "Invoke-RestMethod", "requests", "taskspool work"):
        assert word in text, word
    assert str(bridge.settings.folder.absolute()) in text


def test_programs_get_json(bridge: LiveBridge) -> None:
    """Who accepts anything (curl, requests, PowerShell) gets JSON at /."""
    for accept in ("*/*", "application/json", ""):
        assert bridge.get("/", headers={"Accept": accept}).json()["name"] == "taskspool"


def test_what_clients_sent_is_shown_as_text(bridge: LiveBridge) -> None:
    """HTML in a task never becomes HTML of the page."""
    bridge.submit("<img src=x onerror=alert(1)>", requester="<script>alert(1)</script>")
    assert "<img src=x" not in bridge.get("/", headers=BROWSER).text
