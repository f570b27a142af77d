"""A handler for each fate a run may have."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from taskspool import GiveUp, Retry, Snooze, handler

SLEEPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"


@handler("fine")
def fine(data, context):
    """Says whatever a handler can say."""
    print("on stdout")
    context.log("a line\nanother")
    context.progress(50, "half")
    context.checkpoint({"at": 1})
    child = context.submit("nobody-does-it", {"n": 1}, tags=["child"], priority="high", delay=3600)
    return {"got": data, "pid": os.getpid(), "child": child, "attempts": [context.attempt, context.max_attempts]}


@handler("broken")
def broken(_data):
    raise ValueError("it broke")


@handler("later")
def later(_data, context):
    if context.attempt == 1:
        raise Retry(0.05, "not yet")
    return {"attempt": context.attempt}


@handler("hopeless")
def hopeless(_data):
    raise GiveUp("the account is closed")


@handler("put-off")
def put_off(data, context):
    if not Path(data["free"]).exists():
        Path(data["free"]).touch()
        raise Snooze(0.05, "the line is busy")
    return {"attempt": context.attempt}


@handler("obedient")
def obedient(data, context):
    """Works until it is told to stop, and says why."""
    Path(data["began"]).touch()
    context.wait(60)
    Path(data["why"]).write_text(str(context.stop_reason), encoding="utf-8")
    context.raise_if_cancelled()


@handler("parting")
def parting(data, context):
    """Comes to an end when it is told to stop, with a result."""
    say(data["began"], "")
    context.wait(60)
    return {"why": context.stop_reason}


@handler("awaiting")
async def awaiting(data, context):
    """The same, as an ``async`` handler that waits."""
    say(data["began"], "")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        say(data["why"], str(context.stop_reason))
        raise


def say(path, text):
    Path(path).write_text(text, encoding="utf-8")


@handler("soon")
async def soon(data, context):
    await asyncio.sleep(0)
    return {"got": data, "attempt": context.attempt}


@handler("deaf")
def deaf(data, context):
    """Hears nothing, and has started another that is as deaf; ends when a file appears (60 s at most)."""
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", SLEEPER])
        Path(data["pids"]).write_text(f"{os.getpid()} {child.pid}", encoding="utf-8")
    Path(data["began"]).touch()
    pause, deadline = threading.Event(), time.monotonic() + 60
    while not Path(data["until"]).exists() and time.monotonic() < deadline:
        pause.wait(0.02)
    return {"nobody": "wants it"}


@handler("chatty")
def chatty(data):
    """Says much, with empty lines, and ends in the middle of a line."""
    for number in range(data["lines"]):
        print(number, end="\n\n")
    sys.stdout.write("the end")


@handler("killed")
def killed(_data):
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


@handler("leaves")
def leaves(data):
    print("last words")
    os._exit(data["code"])


@handler("counted")
class Counted:
    """Made once per process; its number goes up with each task."""

    def __init__(self):
        self.number = 0

    def run(self, _data, context):
        self.number += 1
        return {"number": self.number, "pid": os.getpid(), "worker": context.worker}


@handler("crowd")
def crowd(data):
    """Leaves its mark while it runs, and says how many marks there were of its kind."""
    mine = Path(data["folder"], f"{data['kind']}-{data['name']}")
    mine.touch()
    number = len(list(Path(data["folder"]).glob(f"{data['kind']}-*")))
    threading.Event().wait(0.03)
    mine.unlink()
    return {"at_once": number}


@handler("greedy")
def greedy(data):
    """Takes so much memory and keeps it."""
    KEPT.append(bytearray(os.urandom(1)) * data["bytes"])
    return {"pid": os.getpid()}


KEPT: list[bytearray] = []
