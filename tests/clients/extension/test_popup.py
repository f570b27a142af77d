"""The popup, as a person sees and uses it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from live_bridge import LiveBridge, live_bridge
from waiting import eventually

from clients.extension.extension_browser import ORIGIN, SECONDS, ExtensionBrowser, aimed, browser_with

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PICTURES = os.environ.get("PICTURES")
"""A folder: pictures of the popup are left there for people to look at."""
NAMELESS = """() => [...document.querySelectorAll("button, input, summary, progress, [role]")]
    .filter(each => !(each.ariaLabel || each.textContent.trim() || each.labels?.length || each.hidden))
    .map(each => each.outerHTML)"""
CONTRAST = """() => {
  const light = color => color.match(/[\\d.]+/g).slice(0, 3).map(Number)
    .map(value => value / 255).map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0);
  const ground = each => { const own = getComputedStyle(each).backgroundColor;
    return own === "rgba(0, 0, 0, 0)" && each.parentElement ? ground(each.parentElement) : own; };
  return [...document.querySelectorAll("body *")].filter(each => each.checkVisibility() && each.textContent.trim())
    .map(each => [light(getComputedStyle(each).color), light(ground(each)), each.outerHTML.slice(0, 80)])
    .map(([ink, paper, html]) => [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), html])
    .filter(([ratio]) => ratio < 4.5);
}"""


def working(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """Two tasks run in the browser, one of them far enough to show it, and one is done."""
    bridge.submit("ping")
    eventually(lambda: browser.number("done") == 1, SECONDS, "the first is done")
    for name in ("site.archive", "site.check"):
        bridge.submit(name)
    eventually(lambda: browser.page.locator("#running li").count() == 2, SECONDS, "two run")
    eventually(lambda: "page 31 of 50" in browser.page.inner_text("#running"), SECONDS, "the progress is shown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_shows_what_runs(bridge: LiveBridge, browser: ExtensionBrowser, scheme: Any, tmp_path: Path) -> None:
    """Each running task has a row with its type and progress; everything has a name and can be read."""
    browser.page.emulate_media(color_scheme=scheme)
    working(bridge, browser)
    assert browser.page.locator("progress").first.get_attribute("value") == "62"
    assert browser.page.evaluate(NAMELESS) == []
    assert browser.page.evaluate(CONTRAST) == []
    assert browser.page.evaluate("document.documentElement.scrollWidth") <= 340
    picture = Path(PICTURES or tmp_path) / f"extension-popup-{scheme}.png"
    browser.page.locator("body").screenshot(path=picture)
    assert picture.stat().st_size > 1000
    browser.store("open", True)
    eventually(lambda: browser.number("done") == 3, SECONDS, "all are done")
    assert browser.page.is_visible("#nothing")
    assert browser.complaints == []


def test_pause_and_resume_with_the_keyboard(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """Pause lets what runs go on and claims nothing new, over a sleep too; Resume claims again."""
    running = bridge.submit("gate")
    eventually(lambda: browser.stored("gates") == 1, SECONDS, "it runs")
    browser.page.keyboard.press("Tab")
    assert browser.page.evaluate("document.activeElement.id") == "pause"
    browser.page.keyboard.press("Enter")
    eventually(lambda: browser.link() == "paused", SECONDS, "it is paused")
    waits = bridge.submit("ping")
    browser.store("open", True)
    assert eventually(lambda: bridge.get(f"/api/tasks/{running}/result").ok, SECONDS, "what ran went on")
    worker = f"/api/workers/{browser.page.inner_text('#name')}"
    first = bridge.get(worker).json()["started_at"]
    browser.put_to_sleep()
    eventually(lambda: (now := bridge.get(worker).json())["started_at"] > first and now["state"] == "quiet", SECONDS,
               "the next service worker is quiet")
    assert browser.page.inner_text("#pause") == "Resume"
    assert bridge.get(f"/api/tasks/{waits}").json()["state"] == "ready"
    browser.page.focus("#pause")
    browser.page.keyboard.press("Enter")
    assert eventually(lambda: bridge.get(f"/api/tasks/{waits}/result").ok, SECONDS, "it claims again")


def test_another_address(bridge: LiveBridge, browser: ExtensionBrowser, tmp_path: Path) -> None:
    """An address that is not this machine's is refused in words; another port is worked for at once."""
    eventually(lambda: browser.link() == "connected", SECONDS, "it is connected")
    page = browser.page
    page.click("summary")
    page.fill("#address-field", "http://evil.example:8091")
    page.keyboard.press("Enter")
    assert "must begin with http://127.0.0.1" in page.inner_text("#refusal")
    assert page.evaluate("document.activeElement.id") == "address-field"
    with live_bridge(tmp_path / "other", cors_origins=(ORIGIN,)) as other:
        page.fill("#address-field", other.url + "/")
        page.keyboard.press("Enter")
        task_id = other.submit("ping")
        eventually(lambda: other.get(f"/api/tasks/{task_id}/result").ok, SECONDS, "the other bridge is worked for")
        assert browser.stored("settings")["address"] == other.url
        assert page.inner_text("#address") == other.url.removeprefix("http://")


def test_who_is_not_listed_is_told_what_to_do(built: Path, tmp_path: Path) -> None:
    """A bridge that does not know the extension refuses it; the popup shows the words to start the bridge with."""
    with (live_bridge(tmp_path / "outputs") as stranger,
          browser_with(aimed(built, stranger.url, tmp_path / "extension"), tmp_path / "profile") as browser):
        eventually(lambda: browser.link() == "refused", SECONDS, "the popup says that it is refused")
        assert browser.page.inner_text("#command") == f"taskspool serve --cors-origin {ORIGIN}"
        assert browser.page.evaluate(CONTRAST) == []


def test_the_bridge_ends_the_worker(bridge: LiveBridge, browser: ExtensionBrowser) -> None:
    """A worker that is terminated from outside is ended, and stays so until a person presses Resume."""
    eventually(lambda: browser.link() == "connected", SECONDS, "it is connected")
    worker = f"/api/workers/{browser.page.inner_text('#name')}"
    assert bridge.post(f"{worker}/terminate", {"by": "a test"}).status_code == 200
    eventually(lambda: browser.page.inner_text("#pause") == "Resume", SECONDS, "it has ended")
    task_id = bridge.submit("ping")
    browser.page.click("#pause")
    assert eventually(lambda: bridge.get(f"/api/tasks/{task_id}/result").ok, SECONDS, "it works again")
