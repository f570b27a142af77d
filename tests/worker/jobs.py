"""Handlers the tests' worker processes run."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from taskspool import handler
from taskspool.worker.handlers import GiveUp, Retry, Snooze

BARRIERS: dict[int, threading.Barrier] = {}
LOCK = threading.Lock()


@handler("count")
def count(data, run):
    """Writes the task's id to a file of this process: how often each task ran can be counted afterwards."""
    with Path(data["folder"], f"{os.getpid()}.ran").open("a", encoding="utf-8") as log:
        log.write(f"{run.task_id}\n")
    return {"pid": os.getpid()}


@handler("hold")
def hold(data, run):
    """Says that it began, then runs until a file appears (30 s at most)."""
    Path(data["began"]).write_text(f"{os.getpid()} {run.attempt}", encoding="utf-8")
    pause, deadline = threading.Event(), time.monotonic() + 30
    while not Path(data["until"]).exists() and time.monotonic() < deadline:
        pause.wait(0.02)
    return {"worker": run.worker, "attempt": run.attempt}


@handler("together")
def together(data):
    """Ends only when ``n`` of its kind run at once in this process."""
    with LOCK:
        barrier = BARRIERS.setdefault(data["n"], threading.Barrier(data["n"]))
    barrier.wait(10)
    return {"n": data["n"]}


@handler("boom")
def boom(data):
    raise ValueError(data.get("message", "it broke"))


@handler("leave")
def leave(_data):
    sys.exit(3)


@handler("later")
def later(data, run):
    """Asks for another attempt, and succeeds in the second."""
    if run.attempt < 2:
        raise Retry(data["after_seconds"], "not yet")
    return {"attempt": run.attempt}


@handler("hopeless")
def hopeless(_data):
    raise GiveUp("the account is closed")


@handler("obey")
def obey(data, run):
    """Says that it began, works until it is told to stop (30 s at most), and says that it was."""
    Path(data["began"]).touch()
    pause, deadline = threading.Event(), time.monotonic() + 30
    while not run.is_cancelled and time.monotonic() < deadline:
        pause.wait(0.02)
    Path(data["ended"]).touch()
    if not data.get("ignores"):
        run.raise_if_cancelled()
    return {"nobody": "wants it"}


@handler("climb")
def climb(data, run):
    """Shows how far it is and keeps where it was; the attempt after that tells what it was given."""
    if run.previous_checkpoint is not None:
        return {"previous": run.previous_checkpoint, "attempt": run.attempt}
    run.checkpoint({"row": 4})
    run.progress(10, "soon told no more")
    run.progress(40, "row 4 of 10")
    hold(data, run)
    raise ValueError("it fell")


@handler("busy")
def busy(data):
    """Puts itself off until a file appears."""
    if not Path(data["free"]).exists():
        raise Snooze(0.05, "the line is busy")
    return {"at": "last"}
