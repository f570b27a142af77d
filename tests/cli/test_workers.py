"""`workers` and `watch`: on the folder, and the same over a bridge; drawn on a terminal, printed elsewhere."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest

from live_bridge import live_bridge
from service import environment
from taskspool.cli.printing import shown_width
from taskspool.cli.watch import Sight, frame
from taskspool.engine.documents import parse
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.task import NewTask
from taskspool.engine.worker_record import WorkerReport
from taskspool.settings import Settings

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def queue(root: Path) -> Iterator[Queue]:
    """With one live worker on the folder, and one over HTTP."""
    opened = open_queue(Settings(root=root, durability="fast"))
    report = WorkerReport("office-1", "folder", "office", 4711, "1", ("ping", "report"), 2,
                          started_at=opened.clock.now(), done=7, failed=1)
    opened.workers.report(report, is_local=True)
    opened.workers.asked("browser", ["page"])
    yield opened
    opened.close()


def test_workers_are_listed(anywhere, queue):
    """A line each: what it is, whether it lives, how many it runs and has done, what it can do."""
    queue.enqueue(NewTask("ping", {}))
    queue.claim("office-1")
    heads, *lines = anywhere("workers").out.splitlines()
    assert heads.split() == ["NAME", "KIND", "STATE", "ALIVE", "RUNNING", "DONE", "FAILED", "SEEN", "TYPES"]
    rows = {line.split()[0]: line.split()[1:] for line in lines}
    assert rows["office-1"][:6] == ["folder", "running", "yes", "1/2", "7", "1"]
    assert rows["office-1"][7:] == ["ping,", "report"]
    assert rows["browser"][:6] == ["http", "running", "yes", "0/1", "0", "0"]


def test_both_ways_show_the_same(command, root, queue):
    """With --json: what the folder tells of a worker, the bridge tells under the same names."""
    queue.workers.order("office-1", "quiet", "ann", "why")
    with live_bridge(root) as bridge:
        near, far = (command("workers", "--json", *way).json for way in ([], ["--url", bridge.url]))
    assert near == far
    assert near["count"] == 2


def test_an_order(anywhere, queue):
    """It is given, shown with who gave it and why, and taken back; --json shows the worker."""
    assert anywhere("workers", "quiet", "office-1", "--by", "ann", "--reason", "an update").out.strip() == \
        "office-1 is told to take no new tasks"
    shown = anywhere("workers")
    assert shown.out.splitlines()[2].split()[:4] == ["office-1", "folder", "quiet", "yes"]
    assert "office-1: ann ordered quiet: an update" in shown.err
    assert anywhere("workers", "run", "office-1", "--json").json["order"] is None
    anywhere("workers", "terminate", "office-1")
    assert queue.workers.get("office-1").order.order == "terminate"


def test_nobody_is_ordered_who_is_not_there(anywhere, queue):
    """Code 1, and where to look."""
    done = anywhere("workers", "quiet", "nobody")
    assert (done.code, "WORKER_NOT_FOUND" in done.err) == (1, True)


def test_two_of_one_name_are_warned_of(command, queue):
    """Who looks is told that the list does not show both."""
    queue.workers.beat("w", {"pid": 1, "started_at": NOW})
    queue.workers.beat("w", {"pid": 2, "started_at": NOW + timedelta(seconds=1)})
    queue.workers.beat("w", {"pid": 1, "started_at": NOW})
    assert "warning: w: another process (1) uses this name too" in command("workers").err


def test_what_a_worker_tells_does_not_steer_the_terminal(command, root, queue):
    """Neither in the table nor beside it, nor in the live view."""
    path = root / "task_queue" / "workers" / "browser.json"
    told = parse(path.read_bytes()) | {"labels": {"x": "y"}, "kind": "evil\x1b[2J"}
    path.write_text(json.dumps(told))
    queue.workers.asked("한국", ["x"])
    for done in (command("workers"), command("watch", "--once"), command("workers", "--json")):
        assert "한국" in done.out
        assert "\x1b" not in done.out


def test_without_workers(command, queue, root):
    """An empty registry says so."""
    for path in (root / "task_queue" / "workers").iterdir():
        path.unlink()
    assert command("workers").out.strip() == "no worker is known"


# -- the live view ---------------------------------------------------------------------------------------------------


def test_watch_once(anywhere, queue):
    """Counts, workers, what runs and how far it is, what ended last; then it ends."""
    for name in ("ping", "report", "report"):
        queue.enqueue(NewTask(name, {}))
    first, second = queue.claim("office-1", max_tasks=2)
    queue.fail(first.task.id, first.lease.token, Failure("broke", retryable=False))
    queue.extend(second.task.id, second.lease.token, percent=40, message="row 4 of 10")
    done = anywhere("watch", "--once")
    lines = done.out.splitlines()
    assert (done.code, lines[1]) == (0, "scheduled 0 · ready 1 · claimed 1 · done 0 · dead 1 · cancelled 0")
    assert "workers: 2 alive, 0 gone" in lines
    assert "running: 1" in lines
    assert next(line for line in lines if "row 4" in line).split()[3:8] == ["####......", "40", "%", "row", "4"]
    assert lines[-1].split()[:2] == ["dead", "ping"]


def sight(number: int) -> Sight:
    """A queue with ``number`` of everything, under the longest names there are."""
    task = {"state": "claimed", "type": "t" * 128, "updated_at": "2026-01-31T11:59:00Z", "assigned_to": "한" * 120,
            "progress": {"percent": 100, "message": "m" * 1000}, "id": "01a20913-30fc-71d3-9a2e-6141cb3a4223"}
    worker = {"worker_id": "w" * 128, "kind": "k" * 32, "state": "running", "is_alive": True, "order": None,
              "running": [], "concurrency": 1, "done": 10**9, "failed": 10**9}
    counts = dict.fromkeys(("scheduled", "ready", "claimed", "done", "dead", "cancelled"), 10**7)
    overview = {"counts": counts, "paused": True, "paused_types": {"p" * 128: {}}}
    return Sight(overview, [worker] * number, [task] * number, [{**task, "state": "done"}] * number)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10), (200, 60), (1, 1)])
def test_a_frame_fits_its_terminal(columns, rows):
    """No line is wider, and there are fewer lines than rows: nothing scrolls."""
    lines = frame(sight(8), NOW, columns, rows)
    assert max(map(shown_width, lines)) <= columns
    assert len(lines) <= max(3, rows - 1)


def test_a_frame_without_an_index():
    """What ended last is not known then, and all else is shown."""
    text = "\n".join(map(click.unstyle, frame(Sight(sight(0).overview, [], [], None), NOW, 80, 24)))
    assert "not known this moment" in text
    assert "paused: the queue" in text


def test_an_interval_that_is_none(command, queue):
    """Refused by name."""
    assert command("watch", "--interval", "soon").code == 2


@POSIX
@pytest.mark.slow
def test_watch_on_a_terminal(root, queue):
    """It is drawn over itself, shows what changes, and Ctrl-C ends it with code 0."""
    import pty

    master, slave = pty.openpty()
    own = environment(TERM="xterm", COLUMNS="80", LINES="24")
    own.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "taskspool", "watch", "--root", str(root), "--interval", "0.2"],
        stdin=slave, stdout=slave, stderr=slave, env=own, start_new_session=True)
    os.close(slave)
    try:
        drawn = read_until(master, "office-1")
        assert drawn.startswith("\x1b[H\x1b[J")
        queue.enqueue(NewTask("report", {}))
        queue.claim("office-1", types=["report"])
        drawn = read_until(master, "running: 1")
        assert "\x1b[H" in drawn
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
        os.close(master)


def read_until(master: int, word: str, seconds: float = 30.0) -> str:
    """What the terminal was sent, until ``word`` is among it."""
    seen, ends_at = b"", time.monotonic() + seconds
    while word.encode() not in seen:
        assert time.monotonic() < ends_at, seen.decode(errors="replace")
        if select.select([master], [], [], 0.5)[0]:
            seen += os.read(master, 65_536)
    return seen.decode(errors="replace")


@POSIX
def test_watch_without_a_terminal(root, queue):
    """Each look is printed below the one before, without a code of a terminal; Ctrl-C ends it with code 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "taskspool", "watch", "--root", str(root), "--interval", "0.2"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment())
    try:
        assert process.stdout is not None
        text = read_until(process.stdout.fileno(), "\n\ntaskspool  ")
        assert "\x1b" not in text
        assert "running: 0" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(10)
