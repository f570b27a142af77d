"""A real Chromium with the extension loaded, and its one service worker: looked at, put to sleep, woken."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from service import PROJECT
from waiting import eventually

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
EXTENSION = PROJECT / "clients" / "browser-extension"
SECONDS = 60.0
"""How long anything may take on a machine with much else to do."""


def extension_id() -> str:
    """As Chrome makes it of the manifest's key: 16 bytes of its SHA-256, their digits as letters from a."""
    manifest = json.loads((EXTENSION / "static" / "manifest.json").read_text(encoding="utf-8"))
    digits = hashlib.sha256(base64.b64decode(manifest["key"])).hexdigest()[:32]
    return "".join(chr(ord("a") + int(digit, 16)) for digit in digits)


ORIGIN = f"chrome-extension://{extension_id()}"


class ExtensionBrowser:
    """``page``: the popup, in a tab of its own."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.complaints: list[str] = []
        context.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page = context.new_page()
        self.page.set_viewport_size({"width": 340, "height": 420})
        eventually(self._is_open, SECONDS, "the extension is loaded")

    def _is_open(self) -> bool:
        """Whether the popup could be opened: a browser that has just begun knows no extension yet."""
        from playwright.sync_api import Error
        try:
            self.page.goto(f"{ORIGIN}/popup.html")
        except Error:
            return False
        return True

    def link(self) -> str:
        """How the popup names the connection."""
        return str(self.page.get_attribute("#link", "data-link"))

    def number(self, name: str) -> int:
        return int(self.page.inner_text(f"#{name}"))

    def stored(self, name: str) -> Any:
        """What lies in chrome.storage.local below ``name``."""
        return self.page.evaluate("name => chrome.storage.local.get(name).then(all => all[name])", name)

    def store(self, name: str, value: Any) -> None:
        self.page.evaluate("([name, value]) => chrome.storage.local.set({[name]: value})", [name, value])

    def status(self) -> list[str]:
        """Starts listening to the service worker: the last entry of the list is what it is at."""
        said: list[str] = []
        session = self.context.new_cdp_session(self.page)
        session.on("ServiceWorker.workerVersionUpdated",
                   lambda event: said.extend(version["runningStatus"] for version in event["versions"]))
        session.send("ServiceWorker.enable")
        self._session = session
        return said

    def put_to_sleep(self) -> list[str]:
        """End the service worker as Chrome does when it has nothing to do; what it was at, from then on."""
        said = self.status()
        eventually(lambda: self.pumped() and "running" in said, SECONDS, "the service worker runs")
        del said[:]
        self._session.send("ServiceWorker.stopAllWorkers")
        eventually(lambda: self.pumped() and "stopped" in said, SECONDS, "the service worker is stopped")
        return said

    def pumped(self) -> bool:
        """Lets the driver tell what happened meanwhile."""
        self.page.evaluate("0")
        return True


def aimed(dist: Path, url: str, to: Path) -> Path:
    """A copy of the built extension that asks the bridge at ``url``, and whose alarm rings every second."""
    shutil.copytree(dist, to)
    values = f'{{ address: "{url}", alarmSeconds: 1, concurrency: 4 }}'
    (to / "defaults.js").write_text(f"export const DEFAULTS = {values};\n", encoding="utf-8")
    return to


@contextmanager
def browser_with(extension: Path, profile: Path) -> Iterator[ExtensionBrowser]:
    """A browser with the unpacked ``extension``; skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        context = driver.chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, headless=False, ignore_default_args=["--disable-extensions"],
            args=["--headless=new", "--no-sandbox", "--disable-gpu", f"--load-extension={extension}",
                  f"--disable-extensions-except={extension}",
                  # branded Chrome ignores --load-extension without it
                  "--disable-features=DisableLoadExtensionCommandLineSwitch"])
        try:
            yield ExtensionBrowser(context)
        finally:
            context.close()
