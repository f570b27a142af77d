"""Nothing a program has started outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taskspool.worker.process_tree import MARK, OWN_TREE, end_marked, end_tree
from waiting import eventually
from worker_processes import SOURCE

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="sessions and signals are POSIX")
BEGIN = """
import os, signal, subprocess, sys, time
def say(number): open(os.path.join(sys.argv[1], str(number)), "w").close()
def sleeper(**options):
    say(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"], **options).pid)
"""


class Family:
    """A program and those it started, each of which left a file named by its process id."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._head: subprocess.Popen[bytes] | None = None

    def start(self, text: str, members: int, mark: str = "") -> int:
        """Run ``text``; the id of its process, when all ``members`` of the family have said who they are."""
        environ = {**os.environ, "PYTHONPATH": str(SOURCE), **({MARK: mark} if mark else {})}
        self._head = subprocess.Popen([sys.executable, "-c", BEGIN + textwrap.dedent(text), str(self._folder)],
                                      env=environ, **OWN_TREE)
        eventually(lambda: len(self.numbers()) == members, 30, "everybody has said who it is")
        return self._head.pid

    def numbers(self) -> list[int]:
        return [int(path.name) for path in self._folder.iterdir()]

    def alive(self) -> list[int]:
        """Who of them lives; a zombie does not."""
        return [number for number in self.numbers() if lives(number)]

    def exit_code(self) -> int:
        assert self._head is not None
        return self._head.wait(20)

    def end(self) -> None:
        for number in self.alive():
            psutil.Process(number).kill()
        if self._head is not None:
            self.exit_code()


def lives(number: int) -> bool:
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    folder = tmp_path / "family"
    folder.mkdir()
    made = Family(folder)
    yield made
    made.end()


def test_children_end_with_their_parent(family: Family) -> None:
    """A program and its child are both gone when end_tree returns."""
    head = family.start("sleeper(); say(os.getpid()); time.sleep(300)", 2)
    end_tree(head, 20)
    assert family.alive() == []


@POSIX
def test_a_program_that_obeys_is_not_killed(family: Family) -> None:
    """SIGTERM comes first: who ends by it keeps its own exit code."""
    head = family.start("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        say(os.getpid()); time.sleep(300)""", 1)
    end_tree(head, 20)
    assert family.exit_code() == 7


@POSIX
def test_a_program_that_does_not_obey_is_killed_after_the_grace(family: Family) -> None:
    """Who ignores SIGTERM gets SIGKILL."""
    head = family.start("signal.signal(signal.SIGTERM, signal.SIG_IGN); say(os.getpid()); time.sleep(300)", 1)
    end_tree(head, 0.1)
    assert family.exit_code() == -signal.SIGKILL


@POSIX
def test_without_grace_nobody_is_asked(family: Family) -> None:
    """A grace of 0 kills at once."""
    head = family.start("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        say(os.getpid()); time.sleep(300)""", 1)
    end_tree(head, 0)
    assert family.exit_code() == -signal.SIGKILL


@POSIX
def test_a_stopped_program_ends(family: Family) -> None:
    """One that stands still by SIGSTOP is woken, so that it hears the SIGTERM."""
    head = family.start("""
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        say(os.getpid()); time.sleep(300)""", 1)
    os.kill(head, signal.SIGSTOP)
    end_tree(head, 20)
    assert family.exit_code() == 7


@POSIX
def test_a_grandchild_whose_parent_has_left_ends_too(family: Family) -> None:
    """The session says that it belongs, when no line of parents does any more."""
    head = family.start("""
        if os.fork() == 0:
            sleeper(); os._exit(0)
        os.wait(); say(os.getpid()); time.sleep(300)""", 2)
    end_tree(head, 20)
    assert family.alive() == []


@POSIX
def test_those_left_behind_by_a_program_that_has_ended_end(family: Family) -> None:
    """The head is gone, but not waited for: its session is still known by its number."""
    head = family.start("sleeper()", 1)
    eventually(lambda: not lives(head), 30)
    assert len(family.alive()) == 1
    end_tree(head, 20)
    assert family.alive() == []


@POSIX
def test_one_that_left_parents_and_session_is_known_by_its_mark(family: Family) -> None:
    """A daemon, by all its means, still carries the environment it was started with."""
    head = family.start("""
        if os.fork() == 0:
            sleeper(start_new_session=True); os._exit(0)
        os.wait(); say(os.getpid()); time.sleep(300)""", 2, mark="worker-1/5")
    end_tree(head, 20)
    assert len(family.alive()) == 1
    end_tree(head, 20, "worker-1/5")
    assert family.alive() == []


def test_all_that_carry_the_mark_of_a_worker_end(family: Family) -> None:
    """The mark of a worker stands for all its runs; that of another worker, whose name begins alike, does not."""
    family.start("say(os.getpid()); time.sleep(300)", 1, mark="worker-1/7")
    end_marked("worker", 20)
    end_marked("worker-1/70", 20)
    assert len(family.alive()) == 1
    end_marked("worker-1", 20)
    assert family.alive() == []


def test_a_program_that_has_ended_is_nothing_to_end() -> None:
    """No error, and nobody else is hurt."""
    head = subprocess.Popen([sys.executable, "-S", "-c", ""], **OWN_TREE)
    assert head.wait(20) == 0
    end_tree(head.pid, 20)


def test_nobody_ends_itself() -> None:
    """The worker's own process is refused; and it is spared when it carries the mark of the worker above it."""
    with pytest.raises(ValueError):
        end_tree(os.getpid(), 0)


@POSIX
def test_who_ends_a_tree_is_not_part_of_it(family: Family) -> None:
    """A worker that runs inside the task of another, and so carries its mark, does not end itself."""
    family.start("""
        from taskspool.worker.process_tree import end_marked
        say(os.getpid()); sleeper(); end_marked("outer", 5); sys.exit(9)""", 2, mark="outer/1")
    assert family.exit_code() == 9
    assert family.alive() == []
