"""The pages in a real browser: nothing is blocked by our own policy, nothing comes from elsewhere, numbers live."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from live_bridge import LiveBridge
from waiting import eventually

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]


@pytest.fixture
def page(bridge: LiveBridge) -> Iterator[Any]:
    """A page of a browser that writes down what it complains about and whom it asks."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.complaints = []
        opened.on("console", lambda message: opened.complaints.append(message.text))
        opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.on("request", lambda request: request.url.startswith((bridge.url, "data:"))
                  or opened.complaints.append(request.url))
        yield opened
        browser.close()


def test_home(bridge: LiveBridge, page: Any) -> None:
    """The page shows the numbers, and new ones without being loaded again."""
    page.goto(bridge.url)
    before = int(bridge.get("/api/stats").json()["pending"])
    bridge.submit("seen")
    eventually(lambda: page.inner_text("[data-count=pending]") == str(before + 1))
    assert page.inner_text("#pulse") == "live"
    assert page.locator("article button").count() == 4
    assert page.complaints == []


def test_docs(bridge: LiveBridge, page: Any) -> None:
    """The API page lists every endpoint, and a task can be submitted from it."""
    page.goto(f"{bridge.url}/docs")
    page.wait_for_selector(".opblock")
    assert page.locator(".opblock").count() == len(bridge.get("/").json()["endpoints"])
    page.click("#operations-tasks-post_api_tasks .opblock-summary-control")
    page.click(".try-out__btn")
    page.click(".execute")
    page.wait_for_selector(".live-responses-table .response-col_status")
    assert page.inner_text(".live-responses-table .response-col_status >> nth=1").startswith("201")
    assert page.complaints == []


def test_other_site(bridge: LiveBridge, page: Any) -> None:
    """A page of another origin, in a real browser, can neither read nor change anything."""
    before = bridge.get("/api/stats").json()["pending"]
    page.goto("data:text/html,<title>evil</title>")
    body = "body: '{\"task_type\":\"evil\"}'"
    for path, options in (
        ("/api/stats", "{}"), ("/api/tasks/next", "{mode: 'no-cors'}"),
        ("/api/tasks", f"{{method: 'POST', mode: 'no-cors', {body}}}"),
        ("/api/tasks", f"{{method: 'POST', headers: {{'Content-Type': 'application/json'}}, {body}}}"),
    ):
        script = f"fetch('{bridge.url}{path}', {options})"
        script += ".then(reply => reply.type == 'opaque' ? 'blocked' : reply.text(), () => 'blocked')"
        assert page.evaluate(script) == "blocked"
    after = bridge.get("/api/stats").json()
    assert (after["pending"], after["inflight"]) == (before, 0)
