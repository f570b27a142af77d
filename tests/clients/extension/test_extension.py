"""The extension in a real Chromium, against a real bridge."""

from __future__ import annotations

from typing import Any

import pytest
from live_bridge import LiveBridge
from waiting import eventually

from clients.extension.extension_browser import SECONDS, ExtensionBrowser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def result(bridge: LiveBridge, task_id: str) -> Any:
    """The result of a task, as soon as there is one."""
    def look() -> Any:
        reply = bridge.get(f"/api/tasks/{task_id}/result?wait=2")
        return reply.json() if reply.status_code == 200 else None
    return eventually(look, SECONDS, f"{task_id} is finished")


def told(bridge: LiveBridge, task_id: str) -> Any:
    return bridge.get(f"/api/tasks/{task_id}").json()


def verbs(bridge: LiveBridge, task_id: str) -> list[str]:
    return [entry["verb"] for entry in told(bridge, task_id)["history"]]


def test_a_ping_is_answered_by_the_browser(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """Who submits a ping gets a pong from the worker the popup names, and nothing was complained about."""
    answer = result(bridge, bridge.submit("ping"))
    assert (answer["status"], answer["data"]["message"]) == ("success", "pong")
    assert answer["worker"] == browser.page.inner_text("#name")
    assert answer["data"]["worker"].startswith("browser-")
    eventually(lambda: browser.number("done") == 1, SECONDS, "the popup counts it")
    assert browser.link() == "connected"
    assert browser.complaints == []


def test_the_browser_tells_where_it_is(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """browser.info answers with what this browser is."""
    data = result(bridge, bridge.submit("browser.info"))["data"]
    assert "Chrome" in data["browser"]
    assert data["system"] in ("linux", "mac", "win", "cros", "openbsd")


def test_it_wakes_up(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """A service worker that was put to sleep is started by the alarm, and does the next task."""
    first = result(bridge, bridge.submit("ping"))
    browser.put_to_sleep()
    again = result(bridge, bridge.submit("ping"))
    assert (again["status"], again["worker"]) == ("success", first["worker"])


def test_a_task_that_was_cut_off_is_given_back(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """The next service worker gives back what the last one held, without an attempt spent, and does it."""
    task_id = bridge.submit("gate")
    eventually(lambda: browser.stored("gates") == 1, SECONDS, "its handler runs")
    browser.put_to_sleep()
    eventually(lambda: browser.stored("gates") == 2, SECONDS, "it runs again")
    browser.store("open", True)
    assert result(bridge, task_id)["status"] == "success"
    assert verbs(bridge, task_id) == ["enqueue", "claim", "release", "claim", "complete"]


def test_a_task_that_is_cut_off_again_is_left_to_its_lease(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """The second time it is not given back, so that the bridge counts a crash when its lease runs out."""
    task_id = bridge.submit("gate")
    for runs in (1, 2):
        eventually(lambda runs=runs: browser.stored("gates") == runs, SECONDS, "its handler runs")
        browser.put_to_sleep()
    for _ in range(3):  # time enough for the next service worker to say what it has to say
        assert result(bridge, bridge.submit("ping"))["status"] == "success"
    assert verbs(bridge, task_id) == ["enqueue", "claim", "release", "claim"]
    assert told(bridge, task_id)["status"] == "in_progress"


def test_a_cancel_reaches_the_handler(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """The handler's signal says why, and the task ends as cancelled."""
    task_id = bridge.submit("until-stopped", lease=3)
    eventually(lambda: told(bridge, task_id)["status"] == "in_progress", SECONDS, "it runs")
    assert bridge.post(f"/api/tasks/{task_id}/cancel", {"by": "a test"}).status_code == 202
    assert result(bridge, task_id)["status"] == "cancelled"
    assert "cancelled" in eventually(lambda: browser.stored("learned"), SECONDS, "the handler has learned it")
