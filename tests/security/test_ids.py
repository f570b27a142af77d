"""Ids never become paths: what is no lower-case UUID is no task, and no file is touched for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from live_bridge import LiveBridge, request_bytes

GOOD = "0199f000-0000-7000-8000-0000000000aa"
BAD = [
    "..", ".", "%2e%2e", "..%2f..%2fetc%2fpasswd", "..%5c..%5cwindows", "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "....//....//etc/passwd", "%00", GOOD + "%00", GOOD + "%00.json", GOOD + "%0a", GOOD + "%0d%0a", GOOD + "%20",
    GOOD + ".", GOOD + ".json", GOOD + "::$DATA", GOOD + ":ads", GOOD.upper(), GOOD.upper().lower() + "%2f..",
    "C:", "C:%5cboot.ini", "%5c%5cserver%5cshare", "%2f%2fserver%2fshare", "CON", "NUL", "COM1", "con.json", "aux",
    "x" * 300, "x" * 5000, quote("０１９９f000-0000-7000-8000-0000000000aa"),
    quote("٠١٩٩f000-0000-7000-8000-0000000000aa"),
    "{" + GOOD + "}", "urn:uuid:" + GOOD, GOOD.replace("-", ""), GOOD[:-1], GOOD + "a", "-" * 36, quote("핑"),
    "%ff%fe", "%c0%ae%c0%ae%c0%af", "~root", "*", "%3f", "%25", "<script>", "'--", "create", "batch",
]
PATTERNS = [("GET", "/api/tasks/{}"), ("GET", "/api/tasks/{}/result"), ("GET", "/api/results/{}"),
            ("POST", "/api/tasks/{}/claim"), ("POST", "/api/tasks/{}/result"), ("POST", "/api/tasks/{}/heartbeat"),
            ("POST", "/api/tasks/{}/release"), ("GET", "/docs/{}"), ("GET", "/assets/{}")]


EVENTS = {"open", "os.listdir", "os.scandir", "os.rename", "os.remove", "os.link", "os.mkdir"}
_recorders: list[list[str]] = []


def _record(event: str, arguments: tuple[object, ...]) -> None:
    if _recorders and event in EVENTS:
        _recorders[0].extend(str(one) for one in arguments[:2] if isinstance(one, str | os.PathLike))


@pytest.fixture(scope="module", autouse=True)
def _audit() -> None:
    """Hear of every file this process touches. An audit hook cannot be taken away again: one for the module."""
    sys.addaudithook(_record)


@pytest.fixture
def touched(bridge: LiveBridge) -> Iterator[list[str]]:
    """Every path this process opens, lists, moves or asks about, while the test runs."""
    _recorders.append([])
    yield _recorders[0]
    _recorders.clear()


@pytest.mark.parametrize(("method", "pattern"), PATTERNS)
def test_bad_ids(bridge: LiveBridge, touched: list[str], method: str, pattern: str) -> None:
    """404 (or 400, 405) in JSON for each, and nothing outside the queue's folder, nor a name like it, is touched."""
    body = b'{"lease_token":"t","status":"success","worker_id":"w"}' if method == "POST" else b""
    for bad in BAD:
        reply = bridge.raw(request_bytes(method, pattern.format(bad), body))
        assert reply.status in (400, 404, 405), (bad, reply)
        assert reply.json()["error"]
    folder = str(bridge.settings.folder)
    assert [path for path in touched if not path.startswith((folder, "/proc", sys.prefix, sys.base_prefix))
            and "python" not in path.lower()] == []
    assert [path for path in touched if any(word in path for word in ("passwd", "boot.ini", "..", "CON", "NUL"))] == []


def test_unknown_ids_are_explained(bridge: LiveBridge) -> None:
    """The 404 for what is no id says what ids look like."""
    reply = bridge.get("/api/tasks/42")
    assert reply.status_code == 404
    assert "lower-case UUIDs" in reply.json()["error"]


def test_worker_names_do_not_become_paths(bridge: LiveBridge) -> None:
    """A worker may be called anything printable: its claim stays below claimed/."""
    claimed = bridge.settings.folder / "claimed"
    for name in ("..", "../../up", "a/b", "C:\\x", "CON", "nul", "trailing.", "핑", "%2e%2e", "x" * 100, "a:b", "*?<|"):
        task_id = bridge.submit("named")
        task = bridge.claim(name, types=["named"])
        assert (task["id"], task["assigned_to"]) == (task_id, name)
        [found] = [path for path in bridge.settings.root.rglob(f"{task_id}*") if path.is_file()]
        assert found.parent.parent == claimed
        assert found.resolve().is_relative_to(claimed.resolve())
        bridge.post(f"/api/tasks/{task_id}/result", {"worker_id": name, "status": "success"})


def test_keys_do_not_become_paths(bridge: LiveBridge) -> None:
    """An Idempotency-Key may be anything printable: it stays below keys/."""
    before = {path for path in bridge.settings.root.rglob("*") if path.is_file()}
    for key in ("../../up", "a/b", "C:\\x", "CON", "."):
        reply = bridge.post("/api/tasks", {"task_type": "keyed"}, headers={"Idempotency-Key": key})
        assert reply.status_code == 201
    new = {path for path in bridge.settings.root.rglob("*") if path.is_file()} - before
    assert {path.parent.name for path in new} <= {"keys", "tasks", "task_queue", "meta", "index"}
    assert all(path.resolve().is_relative_to(bridge.settings.folder.resolve()) for path in new)


def test_type_and_requester_do_not_become_paths(bridge: LiveBridge, tmp_path: Path) -> None:
    """Type and requester are only ever content."""
    for text in ("../../escaped", "C:\\x", "a/b"):
        bridge.submit(text, requester=text)
    assert not list(bridge.settings.root.parent.glob("escaped*"))
