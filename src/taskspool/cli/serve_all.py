"""All doors behind one command: a process each, started together and stopped together.

Each child is told to stop by the end of its stdin. So it stops too when this process is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from types import FrameType

from taskspool.cli.codes import ExitCode
from taskspool.cli.doors import DOORS
from taskspool.settings import Settings, as_environment

STOP_SECONDS = 10.0
"""How long a door may take to stop; then it is ended."""
LOOK_SECONDS = 0.2

log = logging.getLogger("taskspool.serve")


def serve_all(settings: Settings) -> int:
    """Every door of DOORS until a signal comes, or until one of them ends: then its exit code."""
    stopping = threading.Event()
    before = {number: signal.signal(number, _setting(stopping)) for number in _signals()}
    children = {name: _start(name, settings) for name in DOORS}
    try:
        while not stopping.wait(LOOK_SECONDS):
            for name, child in children.items():
                if child.poll() is not None:
                    log.error("%s has ended (code %d): the other doors are closed too", DOORS[name].title,
                              child.returncode)
                    return child.returncode or ExitCode.FAILED
        return ExitCode.OK
    finally:
        _stop(children)
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(name: str, settings: Settings) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", "taskspool", "serve", name, "--until-stdin-ends"]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, env={**os.environ, **as_environment(settings)},
                            creationflags=_OWN_GROUP, start_new_session=sys.platform != "win32")


_OWN_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""Ctrl-C reaches this process alone, which then stops its children."""


def _stop(children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for child in children.values():
        if child.stdin is not None:
            child.stdin.close()
    for name, child in children.items():
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %g seconds, and was ended", DOORS[name].title, STOP_SECONDS)
            child.kill()
            child.wait()


def _setting(stopping: threading.Event) -> Callable[[int, FrameType | None], None]:
    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    return on_signal


def _signals() -> list[int]:
    return [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
