"""One flush for all who wait: what many threads have written at once goes to the disk together.

The first who comes flushes for everybody who has come by then; who comes meanwhile is served by the next round. A
round of a few is flushed file by file. A larger one is flushed by one ``syncfs`` where the system has one that
reports write errors (Linux 5.8 and newer, syncfs(2)): 2 to 4 times faster with 16 writers. ``syncfs`` also waits for
what other programs have written to the same disk, so a slow round switches it off for a while.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from taskspool.clock import Clock
from taskspool.engine import files

FROM_WRITERS = 3
"""From so many files on one syncfs is cheaper than an fsync each."""
SLOW_SECONDS = 0.05
REST_SECONDS = 5.0


@dataclass(eq=False, slots=True)
class Waiting:
    descriptor: int
    is_flushed: bool = False
    failure: OSError | None = field(default_factory=lambda: OSError(errno.EINTR, "the flush was interrupted"))


class GroupCommit:
    """``flush(descriptor)`` returns when the file's content is on the disk, or raises the OSError that kept it off.

    ``syncfs`` reports each write error once to each descriptor that was open when it happened; ``open`` opens one
    that has seen every error since.
    """

    def __init__(self, clock: Clock, sync_file_system: Callable[[int], None] | None) -> None:
        self._witness = -1
        self._clock = clock
        self._sync_file_system = sync_file_system
        self._turn = threading.Condition()
        self._waiting: list[Waiting] = []
        self._is_running = False
        self._not_before = 0.0

    def open(self, folder: str) -> None:
        if self._sync_file_system is not None:
            try:
                self._witness = os.open(folder, os.O_RDONLY)
            except OSError as error:
                raise files.translate(error, f"open {folder}") from error

    def close(self) -> None:
        if self._witness >= 0:
            os.close(self._witness)
            self._witness = -1

    def flush(self, descriptor: int) -> None:
        if self._sync_file_system is None or self._clock.monotonic() < self._not_before:
            files.flush(descriptor)  # each its own, at the same time: the journal groups them
            return
        mine = Waiting(descriptor)
        with self._turn:
            self._waiting.append(mine)
            while not mine.is_flushed:
                if self._is_running:
                    self._turn.wait()
                else:
                    self._run()
        if mine.failure is not None:
            raise mine.failure

    def _run(self) -> None:
        """One round for everybody who waits now; the turn is given up while it lasts."""
        round_, self._waiting = self._waiting, []
        self._is_running = True
        self._turn.release()
        try:
            self._flush_all(round_)
        finally:
            self._turn.acquire()
            self._is_running = False
            for one in round_:
                one.is_flushed = True
            self._turn.notify_all()

    def _flush_all(self, round_: list[Waiting]) -> None:
        began = self._clock.monotonic()
        if self._sync_file_system is None or len(round_) < FROM_WRITERS:
            for one in round_:
                one.failure = _failure_of(files.flush, one.descriptor)
            return
        failure = _failure_of(self._sync_file_system, self._witness)
        for one in round_:
            one.failure = failure
        if failure is not None:
            self._sync_file_system = None  # no second try on a descriptor that told of a failure: each its own now
        if self._clock.monotonic() - began > SLOW_SECONDS:
            self._not_before = began + REST_SECONDS


def _failure_of(flush: Callable[[int], None], descriptor: int) -> OSError | None:
    try:
        flush(descriptor)
    except OSError as error:
        return error
    return None


def system_syncfs() -> Callable[[int], None] | None:
    """``syncfs`` of this system; None where there is none, or one that keeps write errors to itself."""
    if sys.platform != "linux":
        return None
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    if version is None or (int(version[1]), int(version[2])) < (5, 8):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if not hasattr(library, "syncfs"):
        return None

    def syncfs(descriptor: int) -> None:
        if library.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    return syncfs
