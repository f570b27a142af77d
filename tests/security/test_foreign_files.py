"""Files others put into tasks/: only a regular file of its own, complete and small enough, becomes a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from live_bridge import LiveBridge, live_bridge
from service import environment
from waiting import eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, pipes and devices as files are POSIX")

SECRET = json.dumps({"type": "leak", "data": {"password": "hunter2"}})


def fifo(path: Path, _: Path) -> None:
    os.mkfifo(path)


def symlink(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def symlink_to_shadow(path: Path, _: Path) -> None:
    path.symlink_to("/etc/shadow")


def dangling(path: Path, _: Path) -> None:
    path.symlink_to("/nowhere/at/all")


def hardlink(path: Path, outside: Path) -> None:
    os.link(outside, path)


def folder(path: Path, _: Path) -> None:
    path.mkdir()


def sparse(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 << 30)


def device(path: Path, _: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("no devices here")


@pytest.mark.parametrize("plant", [fifo, symlink, symlink_to_shadow, dangling, hardlink, folder, sparse, device])
def test_planted(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    """Links, pipes, devices, folders and giants are never read: no task, no hang, nothing leaks, others go on."""
    outside = tmp_path / "outside.json"
    outside.write_text(SECRET, encoding="utf-8")
    with live_bridge(tmp_path / "root") as bridge:
        plant(bridge.settings.folder / "tasks" / f"{uuid.uuid4()}.json", outside)
        good = drop(bridge, json.dumps({"type": "good", "data": {}}))
        task = eventually(lambda: bridge.claim("w", types=["good"]), 10, "the good file beside it is adopted")
        assert task["id"] == good
        assert bridge.claim("w", types=["leak"]) is None
        for path in ("/api/tasks", "/api/stats", "/api/results"):
            assert "hunter2" not in bridge.get(path).text
        assert outside.read_text(encoding="utf-8") == SECRET


def drop(bridge: LiveBridge, text: str) -> str:
    """Put a file into tasks/ the way a careful writer does; its id."""
    task_id = str(uuid.uuid4())
    temporary = bridge.settings.root / f"{task_id}.new"
    temporary.write_text(text, encoding="utf-8")
    temporary.rename(bridge.settings.folder / "tasks" / f"{task_id}.json")
    return task_id


@pytest.mark.parametrize("name", [
    "..json", "notes.txt", "0199f000-0000-7000-8000-0000000000AA.json", "0199f000-0000-7000-8000-0000000000aa.json.tmp",
    "0199f000-0000-7000-8000-0000000000aa.json\n", "x.json", ".hidden.json", "CON.json",
])
def test_odd_names(tmp_path: Path, name: str) -> None:
    """A file whose name is no id and .json is no task, and is left where it is."""
    with live_bridge(tmp_path) as bridge:
        odd = bridge.settings.folder / "tasks" / name
        odd.write_text(SECRET, encoding="utf-8")
        drop(bridge, json.dumps({"type": "good"}))
        eventually(lambda: bridge.claim("w", types=["good"]))
        assert bridge.claim("w", types=["leak"]) is None
        assert odd.exists()


def test_status_and_attempts_of_foreign_files_grant_nothing(tmp_path: Path) -> None:
    """A foreign file may not name another id than its own."""
    with live_bridge(tmp_path) as bridge:
        other = bridge.submit("victim", {"keep": "me"})
        drop(bridge, json.dumps({"id": other, "type": "evil", "data": {}}))
        drop(bridge, json.dumps({"type": "good"}))
        eventually(lambda: bridge.claim("w", types=["good"]))
        assert bridge.claim("w", types=["evil"]) is None
        assert bridge.get(f"/api/tasks/{other}").json()["data"] == {"keep": "me"}


_AS_ANOTHER = """
import os, sys
from pathlib import Path
from taskspool.engine.lifecycle import open_queue
from taskspool.errors import TaskspoolError
from taskspool.settings import Settings
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    open_queue(Settings(root=Path(sys.argv[1]))).counts()
except (TaskspoolError, PermissionError) as error:
    print("refused", type(error).__name__)
else:
    print("opened")
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_gets_nothing(tmp_path: Path) -> None:
    """Another user of the machine can neither read, list, write nor open the queue's folder."""
    with live_bridge(tmp_path / "root") as bridge:
        task_id = bridge.submit("private", {"password": "hunter2"})
        for parent in (tmp_path, *tmp_path.parents):
            if parent.owner() == "root" and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
                parent.chmod(0o755)
        file = bridge.settings.folder / "tasks" / f"{task_id}.json"
        for command in (["cat", str(file)], ["ls", str(file.parent)], ["touch", str(file.parent / "x.json")]):
            done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *command],
                                  capture_output=True, text=True)
            assert done.returncode != 0
            assert "hunter2" not in done.stdout
        done = subprocess.run([sys.executable, "-c", _AS_ANOTHER, str(bridge.settings.root)], capture_output=True,
                              text=True, timeout=30, env=environment())
        assert done.stdout.startswith("refused"), done
