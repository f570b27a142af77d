"""What the extension's README and manifest say: without a browser, and the handler of the README in one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from live_bridge import LiveBridge
from waiting import eventually

from clients.building import copied, node
from clients.extension.extension_browser import EXTENSION, ORIGIN, SECONDS, aimed, browser_with

README = (EXTENSION / "README.md").read_text(encoding="utf-8")
MANIFEST = json.loads((EXTENSION / "static" / "manifest.json").read_text(encoding="utf-8"))


def handler_of(readme: str) -> str:
    """The block of TypeScript that a reader copies."""
    blocks = re.findall(r"^```ts\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def test_the_readme_names_the_extension() -> None:
    """The id in the README and in every other document is the one Chrome makes of the key."""
    assert f"--cors-origin {ORIGIN}\n" in README
    assert set(re.findall(r"chrome-extension://[a-p]{32}", README)) == {ORIGIN}


def test_it_asks_for_one_permission() -> None:
    """The loopback address is all a person is asked for; each permission has its reason in the README."""
    assert MANIFEST["host_permissions"] == ["http://127.0.0.1/*"]
    assert MANIFEST["permissions"] == ["alarms", "storage"]
    assert not set(MANIFEST) & {"optional_permissions", "content_scripts", "externally_connectable",
                                "web_accessible_resources", "optional_host_permissions"}
    for name in (*MANIFEST["permissions"], *MANIFEST["host_permissions"]):
        assert f"\n| `{name}` |" in README


def test_its_pages_run_nothing_from_elsewhere() -> None:
    """The policy allows scripts and styles of the extension only; the pages hold none between their lines."""
    policy = MANIFEST["content_security_policy"]["extension_pages"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    page = (EXTENSION / "static" / "popup.html").read_text(encoding="utf-8")
    assert re.findall(r"<script(?![^>]*src=)|<style|style=|\bon\w+=|https?:", page) == []


def test_a_handler_takes_ten_lines() -> None:
    """The README's handler, blank lines aside, is no longer than ten lines."""
    assert len([line for line in handler_of(README).splitlines() if line.strip()]) <= 10


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_readmes_handler_works(bridge: LiveBridge, client_folder: Path, tmp_path: Path) -> None:
    """Copied into src/handlers.ts as it stands, it is built and does its tasks."""
    copy = copied("browser-extension", tmp_path / "browser-extension")
    (copy / "src" / "handlers.ts").write_text(handler_of(README), encoding="utf-8")
    node(copy, "scripts/build.mjs", TASKSPOOL_CLIENT=str(client_folder))
    with browser_with(aimed(copy / "dist", bridge.url, tmp_path / "extension"), tmp_path / "profile"):
        task_id = bridge.submit("words.count", {"text": "a queue you can ls"})
        reply = eventually(lambda: bridge.get(f"/api/tasks/{task_id}/result?wait=2"), SECONDS)
        assert reply.json()["data"] == {"words": 5}
