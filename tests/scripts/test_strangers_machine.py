"""A stranger's machine: a fresh copy, a new environment, the commands of the README, more than once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scripts.copies import copy_project, strangers_environment
from waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def bootstrap(place: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """`python scripts/bootstrap.py ARGUMENTS`, started from elsewhere."""
    return subprocess.run([sys.executable, str(place / "scripts" / "bootstrap.py"), *arguments], cwd=place.parent,
                          env=strangers_environment(**more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", timeout=500)


def test_the_two_commands_work_from_nothing_twice(tmp_path: Path, free_port: int) -> None:
    """Twice in a row: the first time it installs, the second time it only runs; then the tests start too."""
    place = copy_project(tmp_path)
    first = bootstrap(place, "run", "--once", "--port", str(free_port))
    assert first.returncode == 0, first.stdout
    assert "installing" in first.stdout
    begin = time.monotonic()
    second = bootstrap(place, "run", "--once", "--port", str(free_port))
    assert second.returncode == 0, second.stdout
    assert "installing" not in second.stdout
    assert time.monotonic() - begin < 15
    assert len(list((place / "outputs" / "task_queue" / "results").iterdir())) == 2
    tests = bootstrap(place, "test", "tests/cli/test_command.py")
    assert tests.returncode == 0, tests.stdout
    assert " passed" in tests.stdout
    command = place / ".venv" / ("Scripts" if os.name == "nt" else "bin") / "taskspool"
    shown = subprocess.run([str(command), "ls", "--root", str(place / "outputs")], capture_output=True, timeout=30)
    assert shown.returncode == 0
    moved = place.rename(place.with_name("moved elsewhere"))
    third = bootstrap(moved, "run", "--once", "--port", str(free_port))
    assert third.returncode == 0, third.stdout


def test_without_a_network_it_says_so(tmp_path: Path, free_port: int) -> None:
    """Nothing can be fetched: exit code 1, pip's last words, and what to set for a proxy, a mirror or wheels."""
    place = copy_project(tmp_path)
    done = bootstrap(place, "run", "--once", PIP_INDEX_URL=f"http://127.0.0.1:{free_port}/simple",
                     PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1", PIP_EXTRA_INDEX_URL="", PIP_FIND_LINKS="")
    assert done.returncode == 1, done.stdout
    assert "error: pip could not install" in done.stdout
    assert "is there a network?" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent another way there")
def test_installing_can_be_interrupted(tmp_path: Path) -> None:
    """SIGTERM while pip works: it stops within 5 s with code 130, and the next start begins anew."""
    place = copy_project(tmp_path)
    log = tmp_path / "log"
    with socket.socket() as silent, log.open("wb") as output:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = subprocess.Popen(
            [sys.executable, "-u", str(place / "scripts" / "bootstrap.py"), "run"], stdin=subprocess.DEVNULL,
            stdout=output, stderr=output,
            env=strangers_environment(PIP_INDEX_URL=f"http://127.0.0.1:{silent.getsockname()[1]}/simple",
                                      PIP_CONFIG_FILE=os.devnull, PIP_NO_CACHE_DIR="1"))
        try:
            silent.settimeout(60)
            silent.accept()[0].close()  # pip asks: it is at work
            eventually(lambda: b"installing" in log.read_bytes(), 60, "it installs")
            begin = time.monotonic()
            started.send_signal(signal.SIGTERM)
            assert started.wait(10) == 130
            assert time.monotonic() - begin < 5
        finally:
            started.kill()
            started.wait(10)
    assert not list((place / ".venv").glob("installed-for-*"))
