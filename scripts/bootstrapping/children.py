"""Processes this command started: start them, hear what they say, stop them in time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType

LINES_KEPT = 30
POLITE_SECONDS = 3.5
"""How long a child may take to stop by itself. With what comes after it, everything is over within 5 s."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came before the work was done."""


class Stopping:
    """Remembers that somebody wants us to stop. Made in the main thread, once."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        names = ["SIGINT", "SIGTERM", "SIGBREAK", "SIGHUP"]
        for number in (getattr(signal, name) for name in names if hasattr(signal, name)):
            signal.signal(number, self._on_signal)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def pause(self, seconds: float) -> bool:
        """Wait, at most ``seconds``; True when it is time to stop."""
        return self._asked.wait(seconds)


class Child:
    """One process of ours and the last lines it said."""

    def __init__(self, name: str, arguments: list[str], *, cwd: Path | None = None) -> None:
        self.name = name
        self.lines: deque[str] = deque(maxlen=LINES_KEPT)
        self.is_loud = False
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        self._process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd,
            env=environment, encoding="utf-8", errors="replace", **own_group())
        self._listener = threading.Thread(target=self._listen, name=f"listen-{name}", daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._process.stdout or ():
            self.lines.append(line.rstrip("\n"))
            if self.is_loud:
                print(f"{self.name:<7}| {line}", end="", flush=True)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def last_words(self) -> str:
        self._listener.join(timeout=1)
        return "\n".join(f"  {self.name} | {line}" for line in self.lines) or f"  ({self.name} said nothing)"

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):  # it is gone already
            if os.name == "nt":
                self._process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                self._process.terminate()

    def wait_or_kill(self, deadline: float) -> bool:
        """True when it stopped by itself before ``deadline`` (monotonic)."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
            return True
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(5)
            return False
        finally:
            self._listener.join(timeout=1)


def own_group() -> dict[str, object]:
    """Ctrl-C in the terminal reaches this command alone, which then stops its children in order."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def stop_all(children: list[Child]) -> list[str]:
    """Stop all of them, together; the names of those that had to be killed."""
    for child in children:
        child.ask_to_stop()
    deadline = time.monotonic() + POLITE_SECONDS
    return [child.name for child in children if not child.wait_or_kill(deadline)]


def run_to_end(arguments: list[str], stopping: Stopping, *, cwd: Path | None = None,
               output: int | None = None) -> int:
    """Run a command to its end; the exit code. ``output`` is the file descriptor for what it says, None is ours.

    Raises Interrupted when we are asked to stop, and stops the command first.
    """
    process = subprocess.Popen(arguments, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output,
                               stderr=None if output is None else subprocess.STDOUT, **own_group())
    while process.poll() is None:
        if stopping.pause(0.05):
            stop_process(process)
            raise Interrupted
    return process.returncode


def stop_process(process: subprocess.Popen[bytes]) -> None:
    """End it and the processes it started itself, as politely as there is time for."""
    tell(process, getattr(signal, "SIGINT", signal.SIGTERM) if os.name != "nt" else signal.CTRL_BREAK_EVENT)
    try:
        process.wait(POLITE_SECONDS)
    except subprocess.TimeoutExpired:
        tell(process, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
        process.wait(5)


def tell(process: subprocess.Popen[bytes], number: int) -> None:
    """Send a signal to the whole group of ``process``: a command is more than its first process."""
    with contextlib.suppress(OSError):  # it is gone already
        if sys.platform == "win32":
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)
