"""`bootstrap.py run` once the environment stands: a bridge, a worker, a ping, and a clean end."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import PROJECT, Service, Services, services, taskspool
from waiting import eventually

RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bootstrapping import command
from bootstrapping.environment import Environment
Environment.ready = lambda self, purpose: Path(sys.executable)   # this Python is the environment
sys.exit(command.command(sys.argv[2:]))
"""
OTHER_WORKER = """
from bootstrapping import first_run
first_run.ANSWER_SECONDS = {seconds}
as_it_is = first_run.start
other = {other}
first_run.start = lambda python, name, *rest: (
    as_it_is(python, name, *rest) if name == "bridge" else first_run.Child(name, [str(python), *other]))
"""
IDLE = ["-c", "import threading; threading.Event().wait(60)"]
SICK = "from taskspool import handler\n\n\n@handler('ping')\ndef ping(data):\n    raise ValueError('sick')\n"
ON_POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path) as made:
        yield made


def run(started: Services, root: Path, port: int, *options: str, **more: str) -> Service:
    return started.start("-c", RUN, PROJECT / "scripts", "run", "--port", str(port), "--root", root, *options, **more)


def children_of(pid: int) -> list[int]:
    """Processes that ``pid`` started and that still live."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(status.parent.name))
        except OSError:
            continue  # it has just ended
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_once_shows_task_result_and_folders(started: Services, tmp_path: Path, free_port: int) -> None:
    """`run --once`: the task, its result, the folders; exit code 0; a sound folder and nobody left behind."""
    root = tmp_path / "out puts"
    service = run(started, root, free_port, "--once")
    assert service.process.wait(60) == 0, service.said()
    said = service.said()
    task = json.loads(next(line for line in said.splitlines() if line.startswith("task ")).partition(" ")[2])
    result = json.loads(next(line for line in said.splitlines() if line.startswith("result ")).partition(" ")[2])
    assert (task["type"], result["task_id"], result["data"]["message"]) == ("ping", task["id"], "pong")
    assert f"{task['id']}.json" in said.partition("$ ls")[2]
    assert said.endswith("stopped\n")
    assert taskspool("doctor", "--root", root).returncode == 0


@ON_POSIX
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="children are found in /proc")
@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_signals_stop_everything_within_5_seconds(started: Services, tmp_path: Path, free_port: int,
                                                  number: int) -> None:
    """Ctrl-C and SIGTERM: bridge and worker stop by themselves, exit code 0, nothing had to be killed."""
    service = run(started, tmp_path / "outputs", free_port)
    eventually(lambda: "up: http" in service.said(), 30, "everything is up")
    children = children_of(service.process.pid)
    assert len(children) == 2
    begin = time.monotonic()
    os.kill(service.process.pid, number)
    assert service.process.wait(8) == 0, service.said()
    assert time.monotonic() - begin < 5
    assert not any(map(is_alive, children))
    assert "had to be killed" not in service.said()
    assert taskspool("doctor", "--root", tmp_path / "outputs").returncode == 0


@ON_POSIX
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="children are found in /proc")
@pytest.mark.slow
def test_a_child_that_dies_is_told_with_its_last_words(started: Services, tmp_path: Path, free_port: int) -> None:
    """When bridge or worker ends by itself: which one, its exit code, what it last said; the other is stopped."""
    service = run(started, tmp_path / "outputs", free_port)
    eventually(lambda: "up: http" in service.said(), 30, "everything is up")
    first, second = sorted(children_of(service.process.pid))
    os.kill(first, signal.SIGKILL)
    assert service.process.wait(10) == 1
    assert "error: the bridge stopped by itself with exit code -9; its last words:" in service.said()
    assert "the bridge listens on" in service.said().partition("last words")[2]
    assert not is_alive(second)


def test_a_bridge_that_cannot_start_says_why(started: Services, tmp_path: Path, free_port: int) -> None:
    """A root that is a file: exit code 1 and the bridge's own words."""
    (tmp_path / "outputs").write_text("in the way")
    service = run(started, tmp_path / "outputs", free_port, "--once")
    assert service.process.wait(30) == 1
    assert "error: the bridge stopped by itself" in service.said()


@pytest.mark.parametrize("worker", [pytest.param("idle", marks=pytest.mark.slow), "sick"])
@pytest.mark.slow
def test_no_good_answer_is_no_success(started: Services, tmp_path: Path, free_port: int, worker: str) -> None:
    """`--once` ends with 0 only if the answer came: a worker that does nothing, or fails, makes it 1."""
    root = tmp_path / "outputs"
    (tmp_path / "sick.py").write_text(SICK)
    sick = ["-m", "taskspool", "work", "--root", str(root), "--no-builtin", "--handlers", str(tmp_path / "sick.py")]
    other = OTHER_WORKER.format(other=IDLE if worker == "idle" else sick, seconds=1 if worker == "idle" else 20)
    program = RUN.replace("from bootstrapping import command", other + "from bootstrapping import command")
    service = started.start("-c", program, PROJECT / "scripts", "run", "--once", "--port", str(free_port),
                            "--root", root)
    assert service.process.wait(60) == 1, service.said()
    why = {"idle": "no worker answered the ping within 1 s", "sick": "the ping was answered with an error"}
    assert f"error: {why[worker]}" in service.said()
