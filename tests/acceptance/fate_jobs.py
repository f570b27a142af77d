"""One job with every fate a task may ask for: as handler of a worker, and, started as a program, for ``--exec``.

Each attempt leaves a line when it begins and one when it ends, in one file that all processes append to:
``<task> begin|end <process> <whether every attempt before it has ended or is dead>``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from taskspool import GiveUp, Retry, TaskContext, handler

FOLDER = Path(os.environ.get("FATE_FOLDER", "."))
STAMPS = FOLDER / "stamps"
SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"


def stamp(task_id: str, what: str, word: str = "-") -> None:
    """One line, written in one go."""
    descriptor = os.open(STAMPS, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{task_id} {what} {os.getpid()} {word}\n".encode())
    os.close(descriptor)


def begin(task_id: str) -> None:
    stamp(task_id, "begin", "beside" if any(lives(number) for number in unended(task_id)) else "alone")


def unended(task_id: str) -> set[int]:
    """The processes of earlier attempts that have not said that they ended."""
    found: set[int] = set()
    lines = STAMPS.read_text().splitlines() if STAMPS.exists() else []
    for who, what, number, _ in map(str.split, lines):
        if who == task_id and what in ("begin", "end"):
            found ^= {int(number)} if what == "begin" or int(number) in found else set()
    return found


def lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_first(task_id: str) -> bool:
    """Once true for each task, whichever process asks."""
    try:
        (FOLDER / f"{task_id}.first").touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def act(data: dict[str, Any], task_id: str, wait: Callable[[float], bool]) -> dict[str, Any]:
    """Meet the fate ``data`` asks for. ``wait``: so long, or until told to stop; whether it was told."""
    begin(task_id)
    fate, first = data["fate"], is_first(task_id)
    if fate in ("hang", "ignore") and (first or not data["can_be_killed"]):
        ignore_everything(data)
    if fate == "obey":
        stamp(task_id, "told", str(wait(120)))
    if fate == "span":
        while not (FOLDER / "go").exists():
            threading.Event().wait(0.05)
    stamp(task_id, "end")
    if fate == "die" and first:
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "error":
        raise ValueError("it broke")
    if fate == "retry" and first:
        raise Retry(0.1, "not yet")
    if fate == "give_up":
        raise GiveUp("hopeless")
    return {"task": task_id}


def ignore_everything(data: dict[str, Any]) -> None:
    """Long, and with a child that is as bad; what cannot be killed ends by itself."""
    if data["can_be_killed"]:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-S", "-c", SLEEPER])
    threading.Event().wait(300 if data["can_be_killed"] else 4)


@handler(os.environ.get("FATE_TYPE", "fate"))
def fate(data: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    return act(data, context.task_id, context.wait)


def main() -> NoReturn:
    """As a program: the same, told and answered as ``--exec`` does it."""
    task, told = json.load(sys.stdin), threading.Event()
    if task["data"]["fate"] == "obey":
        signal.signal(signal.SIGTERM, lambda *_: told.set())
    try:
        print(json.dumps(act(task["data"], task["id"], told.wait)))
    except Retry as error:
        print(f"retry_after={error.after_seconds}")
        print(error, file=sys.stderr)
        sys.exit(75)
    except GiveUp as error:
        print(error, file=sys.stderr)
        sys.exit(65)
    sys.exit(0)


if __name__ == "__main__":
    main()
