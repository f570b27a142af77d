"""Ending a program together with everything it has started.

What belongs to a program: its descendants; on POSIX also whatever is in the session it heads, so that a grandchild
whose parent has left is found; and every process that carries the run's mark in its environment, so that one that made
a session of its own is found too. What has belonged once belongs until it has ended.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

MARK = "TASKSPOOL_RUN"
"""The variable that marks whatever a program starts: ``<mark of the worker>/<number of the run>``."""
KILL_SECONDS = 10.0
"""How long the kernel is given to remove what was killed; a process that hangs in a device may take longer."""
FIRST_PAUSE_SECONDS = 0.005
LONGEST_PAUSE_SECONDS = 0.1

if sys.platform == "win32":
    OWN_TREE: Mapping[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
else:
    OWN_TREE: Mapping[str, Any] = {"start_new_session": True}
"""For ``subprocess.Popen``: the child heads a session (Windows: a group) of its own, apart from the worker's."""

log = logging.getLogger("taskspool.worker")


def end_tree(pid: int, grace_seconds: float, mark: str | None = None) -> None:
    """End the process ``pid`` and all it has started: politely, and by force what is left after ``grace_seconds``.

    Politely is SIGTERM, on Windows Ctrl-Break to its group. ``mark``: what carries it, or is below it, belongs too.
    Returns when none is left. Nothing is reaped: a child of ours that was not waited for stays as a zombie, and while
    it does its id cannot become somebody else's; so call this before you wait for it. Harmless when all have ended.
    """
    if pid == os.getpid():
        raise ValueError("a process cannot end itself together with its children")
    tree = _Tree(pid, mark)
    if not tree.look():
        return
    if grace_seconds > 0:
        _ask_to_end(tree, time.monotonic() + grace_seconds)
    _kill(tree, time.monotonic() + KILL_SECONDS)


def end_marked(mark: str, grace_seconds: float) -> None:
    """The same for whatever carries ``mark``, whoever started it."""
    end_tree(-1, grace_seconds, mark)


def _ask_to_end(tree: _Tree, ends_at: float) -> None:
    asked: set[psutil.Process] = set()
    pause = _Pause()
    while (members := tree.look()) and time.monotonic() < ends_at:
        tree.ask(each for each in members if each not in asked)
        asked.update(members)
        pause(ends_at)


def _kill(tree: _Tree, ends_at: float) -> None:
    pause = _Pause()
    while members := tree.look():
        if time.monotonic() >= ends_at:
            log.error("could not be ended: %s", ", ".join(str(each.pid) for each in members))
            return
        for each in members:
            _tell(each, getattr(signal, "SIGKILL", signal.SIGTERM))
        pause(ends_at)


class _Pause:
    """Short at first, then longer."""

    def __init__(self) -> None:
        self._seconds = FIRST_PAUSE_SECONDS

    def __call__(self, ends_at: float) -> None:
        threading.Event().wait(max(0.0, min(self._seconds, ends_at - time.monotonic())))
        self._seconds = min(2 * self._seconds, LONGEST_PAUSE_SECONDS)


class _Tree:
    """The processes that belong to ``pid`` or ``mark``. ``pid`` -1: none does by its descent."""

    def __init__(self, pid: int, mark: str | None) -> None:
        self._pid = pid
        self._mark = mark
        self._seen: dict[int, psutil.Process] = {}
        self._spared = {os.getpid(), *(each.pid for each in _parents())}
        self._heads_session = _session_of(pid) in (pid, None)

    def look(self) -> list[psutil.Process]:
        """Those that live now. A number that was given to another process since is not mistaken for the first."""
        everyone = {process.pid: process for process in psutil.process_iter() if process.pid not in self._spared}
        members = {number for number, process in self._seen.items() if everyone.get(number) == process}
        members |= {number for number, process in everyone.items() if self._belongs(process)}
        members = _with_descendants(members, everyone)
        self._seen = {number: everyone[number] for number in members}
        return [process for process in self._seen.values() if _lives(process)]

    def _belongs(self, process: psutil.Process) -> bool:
        if process.pid == self._pid or (self._heads_session and _session_of(process.pid) == self._pid):
            return True
        return self._mark is not None and _carries(process, self._mark)

    def ask(self, processes: Iterable[psutil.Process]) -> None:
        """Ask ``processes`` to end. One that was stopped goes on, so that it can."""
        if sys.platform == "win32":
            for each in processes:
                if each.pid == self._pid:  # Ctrl-Break goes to its whole group
                    _tell(each, signal.CTRL_BREAK_EVENT)
        else:
            for each in processes:
                _tell(each, signal.SIGTERM)
                _tell(each, signal.SIGCONT)


def _with_descendants(members: set[int], everyone: Mapping[int, psutil.Process]) -> set[int]:
    """``members``, their children, the children of these, ..."""
    children: dict[int, list[int]] = {}
    for number, process in everyone.items():
        children.setdefault(_parent_of(process), []).append(number)
    found, fresh = set(members), list(members)
    while fresh:
        parent = fresh.pop()
        below = [child for child in children.get(parent, ())
                 if child not in found and _is_younger(everyone[child], everyone[parent])]
        found.update(below)
        fresh += below
    return found


def _parents() -> list[psutil.Process]:
    try:
        return psutil.Process().parents()
    except psutil.Error:  # one of them ended while we looked: it needs no sparing then
        return []


def _parent_of(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return -1


def _is_younger(child: psutil.Process, parent: psutil.Process) -> bool:
    """Windows leaves a child the number of its parent after that has ended, and gives the number to another."""
    try:
        return bool(child.create_time() >= parent.create_time())
    except psutil.Error:
        return False


def _session_of(pid: int) -> int | None:
    """The session ``pid`` is in; None when there is no such process, or no such thing."""
    if sys.platform == "win32" or pid <= 0:
        return None
    try:
        return os.getsid(pid)
    except OSError:
        return None


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        value = process.environ().get(MARK, "")
    except (psutil.Error, OSError):  # another user's, or gone
        return False
    return value == mark or value.startswith(f"{mark}/")


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _tell(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.AccessDenied as error:
        log.debug("process %d cannot be told to end: %s", process.pid, error)
    except (psutil.NoSuchProcess, OSError):
        pass  # it has ended meanwhile
