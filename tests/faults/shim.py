"""A stand-in for the module ``os`` inside ``taskspool.engine.files``: it counts, dies, fails or writes things down.

Every call that changes the disk is a *point*. At a chosen point the process dies (before the call, after it, or, for a
write, in the middle of it), or the call fails with a chosen errno.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from taskspool.engine import files

CHANGING = ("write", "fsync", "rename", "replace", "link", "unlink", "utime", "makedirs", "rmdir", "chmod")
LOOKING = ("read", "lstat", "stat", "fstat", "listdir")
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT
Point = tuple[str, tuple[Any, ...]]
"""(name of the call, its arguments)."""


class ShimmedOs:
    """Looks like ``os``; ``at_point(name, arguments, call)`` stands between every point and the real call."""

    def __init__(self, at_point: Callable[[str, tuple[Any, ...], Callable[[], Any]], Any],
                 watched: tuple[str, ...] = CHANGING) -> None:
        self._at_point = at_point
        self._watched = watched
        self._thread = threading.get_ident()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if name == "open":
            return self._open
        if name not in self._watched or threading.get_ident() != self._thread:
            return real  # other threads tidy up when they like: their calls would make every run another one
        return lambda *arguments, **named: self._at_point(name, arguments, lambda: real(*arguments, **named))

    def _open(self, path: str, flags: int, mode: int = 0o777) -> int:
        is_watched = bool(flags & WRITE_FLAGS) or "read" in self._watched
        if not is_watched or threading.get_ident() != self._thread:
            return os.open(path, flags, mode)
        return self._at_point("open", (path, flags), lambda: os.open(path, flags, mode))  # type: ignore[no-any-return]


@contextmanager
def shimmed(shim: ShimmedOs) -> Iterator[None]:
    """While it lasts the engine's file calls go through ``shim``."""
    files.os = shim  # type: ignore[assignment]
    try:
        yield
    finally:
        files.os = os


def die() -> None:
    """What kill -9 does: no handler, no flush, no unlock."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.monotonic_ns()     # never reached: SIGKILL to oneself is delivered before kill returns


class Killer(ShimmedOs):
    """Dies at the ``number``-th point (from 0): ``before`` the call, ``after`` it, or ``torn``: half a write."""

    def __init__(self, number: int, how: str) -> None:
        super().__init__(self._maybe_die)
        self._left = number
        self._how = how

    def _maybe_die(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left != -1:
            return call()
        if self._how == "torn":
            if name == "write":
                os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
            die()
        try:
            if self._how == "after":
                call()
        finally:
            die()


class Counter(ShimmedOs):
    """Dies never; ``points`` is what happened."""

    def __init__(self, watched: tuple[str, ...] = CHANGING) -> None:
        super().__init__(self._note, watched)
        self.points: list[Point] = []

    def _note(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        self.points.append((name, arguments))
        return call()


class Failing(ShimmedOs):
    """The ``number``-th point (from 0), and the ``times - 1`` that follow, fail with ``error``. A failed write has
    written half; a failed fsync or utime has done nothing. ``SHORT``: a write is half done, and says so."""

    SHORT = -1

    def __init__(self, number: int, error: int, times: int = 1) -> None:
        super().__init__(self._maybe_fail, (*CHANGING, *LOOKING))
        self._left = number
        self._times = times
        self._error = error
        self.failed: list[str] = []

    def _maybe_fail(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        self._left -= 1
        if self._left >= 0 or self._left < -self._times:
            return call()
        self.failed.append(name)
        written = os.write(arguments[0], arguments[1][: (len(arguments[1]) + 1) // 2]) if name == "write" else 0
        if self._error == self.SHORT:
            return written if name == "write" else call()
        raise OSError(self._error, os.strerror(self._error))
