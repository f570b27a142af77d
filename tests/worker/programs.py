"""A program to run as a handler, and the other end of its context."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from taskspool.errors import ServerUnreachable
from taskspool.worker.contact import Contact, Said
from taskspool.worker.context import TaskContext
from taskspool.worker.guard import Guard
from taskspool.worker.process_tree import MARK
from taskspool.worker.program import Program

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
IMPORTS = "import json, os, signal, subprocess, sys, time\n"
SLEEPER = 'subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"]{})'
Make = Callable[..., Program]


def maker(guard: Guard) -> Make:
    """``make("python text")``: that program, ready to run."""
    def make(text: str, **options: Any) -> Program:
        command = [sys.executable, "-S", "-c", IMPORTS + text]
        return Program(command, guard, **({"grace_seconds": 20.0} | options))

    return make


class Heard:
    """The other end of a context: what came through it."""

    def __init__(self, **about: Any) -> None:
        self.lines: list[tuple[str, str]] = []
        self.said: list[Said] = []
        self.is_reachable = True
        self.contact = Contact(self._take, open_log=lambda: self)
        fields = {"task_id": "the-id", "type": "convert", "requester": "tester", "attempt": 1, "worker": "here"}
        self.context = TaskContext(**(fields | about), contact=self.contact)

    def _take(self, said: Said) -> bool:
        if not self.is_reachable:
            raise ServerUnreachable("no answer")
        self.said.append(said)
        return False

    def write(self, stream: str, text: str) -> None:
        self.lines.append((stream, text))

    def close(self, seconds: float) -> None:
        pass

    def texts(self, stream: str) -> list[str]:
        return [text for name, text in self.lines if name == stream]


def alive(mark: str) -> list[int]:
    """Who carries a mark of the programs that ``mark`` stands for."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(mark) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (psutil.Error, OSError):
            pass  # another's, or gone
    return found
