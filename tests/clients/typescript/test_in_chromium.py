"""The poller in a page of a real Chromium, from an origin that is allowed; nothing is simulated."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clients.typescript.typescript_package import LACKS, built
from live_bridge import LiveBridge, live_bridge
from waiting import eventually

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(LACKS), reason=LACKS),
              pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")]

PAGE = """<!doctype html><meta charset="utf-8"><title>worker</title><link rel="icon" href="data:,">
<script type="module">
import { HttpTaskPoller, webStore } from "./dist/index.js";
window.stops = [];
window.errors = [];
const url = new URLSearchParams(location.search).get("bridge");
window.poller = new HttpTaskPoller(url, {
  workerId: "a-page", kind: "browser", leaseSeconds: 6, store: webStore(localStorage),
  breaker: { failures: 3, openSeconds: 1 },
  handlers: {
    ping: (data) => ({ message: "pong", agent: navigator.userAgent, ...data }),
    patient: async (_, context) => {
      context.log("here I wait");
      context.progress(1, "waiting");
      while (!(await context.wait(60))) continue;
      window.stops.push(context.stopReason);
      context.throwIfCancelled();
    },
  },
  onError: (error) => window.errors.push(String(error)),
}).start();
</script>"""


class Site(http.server.SimpleHTTPRequestHandler):
    extensions_map = {".js": "text/javascript", ".html": "text/html"}  # noqa: RUF012  # the base class's own form

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a web server that has the page and the package."""
    folder: Path = tmp_path_factory.mktemp("site")
    shutil.copytree(built(), folder / "dist")
    (folder / "page.html").write_text(PAGE, encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Site, directory=folder))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def allowing(site: str, tmp_path: Path) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path / "out", cors_origins=(site,)) as one:
        yield one


@pytest.fixture
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


def result_of(bridge: LiveBridge, task_id: str) -> Any:
    return eventually(lambda: bridge.get(f"/api/tasks/{task_id}/result?wait=1").json() or None
                      if bridge.get(f"/api/tasks/{task_id}").json()["status"] not in ("pending", "in_progress")
                      else None, 30, "there is a result")


def test_a_page_works(allowing: LiveBridge, browser: Any, site: str) -> None:
    """A page answers a ping, shows its log and progress, learns of a cancel while it works, and is listed."""
    page = browser.new_page()
    page.goto(f"{site}/page.html?bridge={allowing.url}")
    answer = result_of(allowing, allowing.submit("ping", {"text": "ä€😀"}))
    assert (answer["worker"], answer["data"]["message"], answer["data"]["text"]) == ("a-page", "pong", "ä€😀")
    assert "Chrome" in answer["data"]["agent"]
    task_id = allowing.submit("patient")
    eventually(lambda: (allowing.get(f"/api/tasks/{task_id}").json()["progress"] or {}).get("percent") == 1, 30)
    eventually(lambda: [line["text"] for line in allowing.get(f"/api/tasks/{task_id}/log").json()["lines"]]
               == ["here I wait"], 30)
    listed = {each["worker_id"]: each for each in allowing.get("/api/workers").json()["workers"]}
    assert (listed["a-page"]["kind"], listed["a-page"]["is_alive"]) == ("browser", True)
    allowing.post(f"/api/tasks/{task_id}/cancel", {"by": "me"})
    assert result_of(allowing, task_id)["status"] == "cancelled"
    eventually(lambda: page.evaluate("stops") == ["cancelled"], 30)
    page.evaluate("poller.stop()")
    assert page.evaluate("[poller.state.status, errors, localStorage.taskspool]") == ["stopped", [], "[]"]


def test_a_page_that_is_closed_gives_back_what_it_had(allowing: LiveBridge, browser: Any, site: str) -> None:
    """A page that vanishes with a task in hand hands it back when it is opened again, long before the lease is over."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site}/page.html?bridge={allowing.url}")
    task_id = allowing.submit("patient", lease=600)
    eventually(lambda: page.evaluate("poller.state.running.length") == 1, 30)
    page.close()
    again = context.new_page()
    again.goto(f"{site}/page.html?bridge={allowing.url}")
    eventually(lambda: again.evaluate("poller.state.running.length") == 1, 30)
    story = [entry["verb"] for entry in allowing.get(f"/api/tasks/{task_id}").json()["history"]]
    assert story == ["enqueue", "claim", "release", "claim"]


def test_a_page_of_another_origin_is_refused(allowing: LiveBridge, browser: Any, site: str) -> None:
    """The same page from an origin that is not allowed takes nothing, and says that it cannot."""
    page = browser.new_page()
    page.goto(f"{site.replace('127.0.0.1', 'localhost')}/page.html?bridge={allowing.url}")
    task_id = allowing.submit("ping")
    eventually(lambda: page.evaluate("poller.state.lastError"), 30)
    assert page.evaluate("poller.state.status") == "offline"
    assert allowing.get(f"/api/tasks/{task_id}").json()["status"] == "pending"
