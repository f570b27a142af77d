"""Unauthenticated exposure: the bridge listens on this machine only, and what it writes is its owner's alone."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from live_bridge import LiveBridge
from service import taskspool

from taskspool.errors import RefusedToStart
from taskspool.settings import Settings
from taskspool.web.port import listen


@pytest.mark.parametrize("host", [
    "0.0.0.0", "::", "", "192.168.1.5", "example.com", "0", "127.0.0.2", "::ffff:127.0.0.1",
])
def test_other_addresses_are_refused(host: str) -> None:
    """Listening anywhere but on loopback is refused: there are no keys yet."""
    with pytest.raises(RefusedToStart, match="no keys") as caught:
        listen(host, 0)
    assert "ssh -L" in caught.value.hint


def test_command_refuses(tmp_path: Path) -> None:
    """``taskspool serve --host 0.0.0.0`` ends at once with exit code 2 and the reason, and listens nowhere."""
    ended = taskspool("serve", "bridge", "--host", "0.0.0.0", "--port", "0", "--root", tmp_path)
    assert ended.returncode == 2
    assert "0.0.0.0" in ended.stderr
    assert "keys" in ended.stderr


def test_default_is_loopback(bridge: LiveBridge) -> None:
    """The default host is 127.0.0.1, and other addresses of this machine do not answer."""
    assert Settings().host == "127.0.0.1"
    for one in bridge.serving.sockets:
        assert one.getsockname()[0] in ("127.0.0.1", "::1")
    with pytest.raises(OSError, match=r"."), socket.create_connection(("127.0.0.2", bridge.port), timeout=1):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_modes(bridge: LiveBridge) -> None:
    """After a whole life of a task every file is 0600 and every folder 0700: nobody else reads tasks."""
    task_id = bridge.submit("modes")
    task = bridge.claim("w", types=["modes"])
    bridge.submit("modes")
    bridge.claim("w2", types=["modes"])
    bridge.post("/api/tasks", {"task_type": "modes"}, headers={"Idempotency-Key": "modes"})
    bridge.post(f"/api/tasks/{task_id}/result", {"lease_token": task["lease"]["token"], "status": "success"})
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in bridge.settings.folder.rglob("*")}
    assert len(modes) > 10
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_tokens_stay_inside(bridge: LiveBridge) -> None:
    """A lease token is told to its holder only: not in the task, its result, the lists, nor an error."""
    task_id = bridge.submit("secret")
    token = bridge.claim("w", types=["secret"])["lease"]["token"]
    for path in (f"/api/tasks/{task_id}", "/api/inflight", "/api/stats", f"/api/tasks/{task_id}/result"):
        assert token not in bridge.get(path).text
    assert token not in bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": "wrong"}).text
    bridge.post(f"/api/tasks/{task_id}/result", {"lease_token": token, "status": "success"})
    for path in (f"/api/tasks/{task_id}/result", "/api/results"):
        assert token not in bridge.get(path).text


def test_errors_of_ours_tell_no_details(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours is a 500 in JSON that tells nothing but where to look."""

    def broken() -> None:
        raise RuntimeError("secret path /root/x")

    monkeypatch.setattr(bridge.queue, "counts", broken)
    reply = bridge.get("/api/stats")
    assert (reply.status_code, reply.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    assert "log" in reply.json()["error"]
