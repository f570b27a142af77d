"""File events get lost: the watcher dies, its folder is made anew, its queue overflows, the disk sends none at all.

An event is a hint. What others drop is seen within seconds of the moment at which anybody looks again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from live_bridge import live_bridge
from service import Services, services

from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.settings import Settings
from taskspool.worker.wakeup import Wakeup
from waiting import eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="stopping a process")
SEEN_SECONDS = 5.0
"""The bar. Tests allow ``PATIENCE`` times as much: other programs use this machine too."""
PATIENCE = 4
WRITERS = 4
FILES = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "10000"))
NUMBERS = [500, pytest.param(FILES, marks=pytest.mark.slow)]

WRITER = """
import json, os, sys, uuid
folder, first, last, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
for n in range(first, last):
    name = f"{uuid.uuid4()}.json"
    text = json.dumps({"type": "ping", "data": {"n": n}}).encode()
    if how == "slowly" or (how == "mixed" and n % 2):
        with open(f"{folder}/{name}", "wb", buffering=0) as file:
            for start in range(0, len(text), 7):
                file.write(text[start:start + 7])
                if how == "slowly": os.fsync(file.fileno())
    else:
        with open(f"{folder}/.{name}.part", "wb") as file:
            file.write(text)
        os.rename(f"{folder}/.{name}.part", f"{folder}/{name}")
"""
"""A foreign program: every other file is written in place, in pieces; the rest under another name and renamed."""


def drop(folder: Path, number: int, how: str = "mixed") -> list[subprocess.Popen[bytes]]:
    """``number`` files, by ``WRITERS`` programs at once; they are on their way when this returns."""
    share = number // WRITERS
    return [subprocess.Popen([sys.executable, "-c", WRITER, str(folder), str(one * share), str((one + 1) * share), how])
            for one in range(WRITERS)]


def dropped(folder: Path, number: int, how: str = "mixed") -> None:
    for writer in drop(folder, number, how):
        assert writer.wait(1_200) == 0


def seconds_until(condition: Callable[[], bool], why: str) -> float:
    began = time.monotonic()
    eventually(condition, SEEN_SECONDS * PATIENCE, why)
    return time.monotonic() - began


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[Queue]:
    queue = open_queue(Settings(root=tmp_path / "out"))
    yield queue
    queue.close()


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path) as all_of_them:
        yield all_of_them


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.timeout(1_800)
def test_a_dead_watcher_costs_no_task(queue: Queue, tmp_path: Path, number: int) -> None:
    """With the watcher dead, or on a disk that sends no events, the sweeper alone sees every file."""
    folder = tmp_path / "out" / "task_queue" / "tasks"
    sweeper = Sweeper(queue)
    wakeup = Wakeup({folder: lambda: True}, sweeper.hint)
    wakeup.start()
    wakeup.stop()
    dropped(folder, number)
    sweeper.start()
    try:
        took = seconds_until(lambda: queue.counts().ready == number, "every file is seen")
    finally:
        sweeper.stop()
    print(f"{number} files dropped without any event: all seen {took:.2f} s after the sweeper resumed")
    assert list(queue.store.problems()) == []


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.timeout(1_800)
@pytest.mark.slow
def test_a_frozen_bridge_sees_everything_when_it_wakes(started: Services, tmp_path: Path, number: int) -> None:
    """Stopped while the files come, it counts all of them within seconds of going on."""
    bridge = started.bridge(tmp_path / "out")
    url = f"http://127.0.0.1:{bridge.port()}/api/stats"
    bridge.process.send_signal(signal.SIGSTOP)
    try:
        dropped(tmp_path / "out" / "task_queue" / "tasks", number)
    finally:
        bridge.process.send_signal(signal.SIGCONT)
    took = seconds_until(lambda: requests.get(url, timeout=30).json()["pending"] == number, "every file is seen")
    print(f"{number} files dropped while the bridge was stopped: all seen {took:.2f} s after it went on")
    assert requests.get(url, timeout=30).json()["pending"] == number


@pytest.mark.slow
@pytest.mark.parametrize("number", [200, FILES // 5])
@pytest.mark.timeout(1_800)
def test_a_folder_made_anew_is_watched_all_the_same(started: Services, tmp_path: Path, number: int) -> None:
    """tasks/ deleted and made again under a running worker: it goes on, and does all that is dropped there."""
    jobs = tmp_path / "jobs.py"
    jobs.write_text("from taskspool.worker.handlers import handler\n\n\n@handler('ping')\ndef ping(data):\n"
                    "    return data\n", encoding="utf-8")
    folder = tmp_path / "out" / "task_queue"
    worker = started.worker("--root", tmp_path / "out", "--handlers", jobs, "--no-builtin", "--concurrency", "4")
    dropped_one = folder / "tasks" / f"{uuid.uuid4()}.json"
    eventually(dropped_one.parent.is_dir, 20)
    shutil.rmtree(folder / "tasks")
    (folder / "tasks").mkdir(mode=0o700)
    began = time.monotonic()
    dropped(folder / "tasks", number)
    eventually(lambda: len(list((folder / "results").glob("*.json"))) == number, 1_200, "every task is done")
    took = time.monotonic() - began
    dropped_one.write_text(json.dumps({"type": "ping", "data": {"n": -1}}), encoding="utf-8")
    last = seconds_until((folder / "results" / dropped_one.name).exists, "one more is done")
    print(f"{number} files in a folder made anew: all done in {took:.1f} s; one more {last:.2f} s after it came")
    assert worker.process.poll() is None


@pytest.mark.parametrize("name", ["tasks", "results", "tmp", "keys", "done", "scheduled", "claimed", "quarantine"])
def test_a_folder_that_was_removed_is_made_again(tmp_path: Path, name: str) -> None:
    """Whoever deletes a folder whole loses what was in it, and nothing else: the bridge goes on, and never says 500."""
    with live_bridge(tmp_path) as bridge:
        bridge.submit()
        held = bridge.claim()
        shutil.rmtree(bridge.settings.folder / name)
        body = {"lease_token": held["lease"]["token"], "status": "success"}
        done = bridge.post(f"/api/tasks/{held['id']}/result", body)
        assert done.status_code == (404 if name == "claimed" else 200), done.text
        put = bridge.post("/api/tasks", {"task_type": "ping"}, headers={"Idempotency-Key": "after"})
        assert put.status_code == 201, put.text
        assert bridge.claim()["id"] == put.json()["task_id"]
        eventually((bridge.settings.folder / name).is_dir, why="the next sweep makes it again")
        assert bridge.get("/api/stats").ok


@pytest.mark.parametrize("number", [100, pytest.param(FILES // 5, marks=pytest.mark.slow)])
@pytest.mark.timeout(1_800)
def test_files_written_in_pieces_are_seen_whole(queue: Queue, tmp_path: Path, number: int) -> None:
    """Whoever writes in place and slowly is never taken for broken, however often somebody looks meanwhile."""
    folder = tmp_path / "out" / "task_queue"
    seen: list[int] = []
    is_over = threading.Event()
    sweeper = Sweeper(queue, tick_seconds=0.005)
    sweeper.start()
    writers = drop(folder / "tasks", number, "slowly")
    try:
        while any(writer.poll() is None for writer in writers):
            seen += [claim.task.data["n"] for claim in queue.claim("w", max_tasks=10)]
            is_over.wait(0.001)
        claimed = seconds_until(lambda: _claim_rest(queue, seen) == number, "every file is seen")
    finally:
        sweeper.stop()
    print(f"{number} files written in pieces: all seen, whole, {claimed:.2f} s after the last byte")
    assert sorted(seen) == list(range(number))
    assert list((folder / "quarantine").iterdir()) == []


def _claim_rest(queue: Queue, seen: list[int]) -> int:
    seen += [claim.task.data["n"] for claim in queue.claim("w", max_tasks=100)]
    return len(seen)
