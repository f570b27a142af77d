"""The bridge goes away while the browser works, and comes back."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from service import Service, Services
from waiting import eventually

from clients.extension.extension_browser import ORIGIN, SECONDS, aimed, browser_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def port_of(bridge: Service) -> int:
    """The port it listens on; a machine with a browser on it takes its time."""
    eventually(lambda: "listens on" in bridge.said(), SECONDS, "the bridge listens")
    return bridge.port()


@pytest.mark.parametrize("is_asleep", [False, True], ids=["awake", "asleep"])
def test_a_result_waits_for_the_bridge(built: Path, tmp_path: Path, started: Services, is_asleep: bool) -> None:
    """What was finished while the bridge was away is delivered when it is back, once; also after a sleep meanwhile."""
    root, origins = tmp_path / "outputs", ("--cors-origin", ORIGIN)
    first = started.bridge(root, *origins)
    url = f"http://127.0.0.1:{port_of(first)}"
    with browser_with(aimed(built, url, tmp_path / "extension"), tmp_path / "profile") as browser:
        task_id = requests.post(f"{url}/api/tasks", json={"task_type": "gate"}, timeout=20).json()["task_id"]
        eventually(lambda: browser.stored("gates") == 1, SECONDS, "its handler runs")
        first.end()
        browser.store("open", True)
        eventually(lambda: (browser.link(), browser.number("undelivered")) == ("away", 1), SECONDS, "it waits here")
        if is_asleep:
            browser.put_to_sleep()
        port_of(started.start("-m", "taskspool", "serve", "--port", url.rpartition(":")[2], "--root", root, *origins))
        eventually(lambda: requests.get(f"{url}/api/tasks/{task_id}/result", timeout=20).ok, SECONDS, "delivered")
        history = requests.get(f"{url}/api/tasks/{task_id}", timeout=20).json()["history"]
        assert [entry["verb"] for entry in history] == ["enqueue", "claim", "complete"]
        eventually(lambda: (browser.link(), browser.number("undelivered")) == ("connected", 0), SECONDS, "connected")
        assert browser.stored("gates") == 1
