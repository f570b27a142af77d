"""What is known of the disk below the queue: the room left on it, and whether it ever failed an fsync.

Room is kept for those who finish. New tasks are refused (StoreFull) while less is free than the low-water mark;
claims, results and reads go on in what is left. When another program takes that too, the ballast is given up: a file
of real blocks, ``meta/ballast``, and some empty ones for their inodes, laid in when the disk began to fill up. The file
stays, empty, so that every process knows; it is laid in again when there is the mark beside it.

An fsync that failed once means that the disk, or what is below it, cannot be relied on: nothing was acknowledged on
its strength, what was acknowledged before stands, and ``is_degraded`` says so until the process ends. And an fsync that
succeeds is not believed by itself: of a folder whose fsync has failed the next one succeeds at once, with nothing
written (ext4 after its journal was aborted, XFS after it has shut itself down). See ``prove_alive``.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.errors import StoreFull

LEAST_MARK_BYTES = 64 << 20
MOST_BALLAST_BYTES = 16 << 20
SPARE_FILES = 64
NEAR = 16
"""Ballast is laid in when less than so many times the mark is free: a disk with more room has no need of it."""
LOOK_SECONDS = 0.25
"""Submits look at the disk no more often than this; every sweep looks too."""

Parameters = ParamSpec("Parameters")
Answer = TypeVar("Answer")

log = logging.getLogger("taskspool.disk")


@dataclass(frozen=True, slots=True)
class Room:
    """What is left, in bytes and in files (inodes), and the marks below which new tasks are refused.

    ``free_files`` None: the file system does not count them.
    """

    free_bytes: int
    mark_bytes: int
    free_files: int | None = None
    mark_files: int = 0

    @property
    def is_low(self) -> bool:
        return self._is_under(1)

    @property
    def is_scarce(self) -> bool:
        return self._is_under(0.5)

    @property
    def ballast_bytes(self) -> int:
        return min(MOST_BALLAST_BYTES, self.mark_bytes // 4)

    def wants_ballast(self, *, again: bool) -> bool:
        """The disk fills up, and the ballast is the lesser half of what is left; ``again``: the mark is left beside
        it."""
        free_files = None if self.free_files is None else self.free_files - SPARE_FILES - 1
        after = replace(self, free_bytes=self.free_bytes - self.ballast_bytes, free_files=free_files)
        if again:
            return self.is_near and not after.is_low
        has_half = after.free_bytes >= self.ballast_bytes and (free_files is None or free_files > SPARE_FILES)
        return self.is_near and has_half

    @property
    def is_near(self) -> bool:
        return self._is_under(NEAR)

    def _is_under(self, times: float) -> bool:
        return self.free_bytes < times * self.mark_bytes or (
            self.free_files is not None and self.free_files < times * self.mark_files)


class Disk:
    """One per ``Place``. ``min_free_bytes`` 0: 64 MiB or 1 % of the disk, whichever is more, but at most a tenth."""

    def __init__(self, folder: str, clock: Clock, min_free_bytes: int) -> None:
        self._folder = folder
        self._ballast = f"{folder}/meta/ballast"
        self._spares = [f"{self._ballast}-{number}" for number in range(SPARE_FILES)]
        self._clock = clock
        self._min_free_bytes = min_free_bytes
        self._lock = threading.Lock()
        self._room: Room | None = None
        self._looked_at = 0.0
        self.failed_flushes = 0

    # -- room ----------------------------------------------------------------------------------------------------

    def refuse_if_low(self) -> None:
        """For new tasks. Raises StoreFull while there is less room than the mark."""
        room = self._room
        if room is None or self._clock.monotonic() - self._looked_at >= LOOK_SECONDS:
            room = self.look()
        if room is not None and room.is_low:
            raise StoreFull(f"the disk is nearly full: new tasks are refused while less than {room.mark_bytes} bytes "
                            f"or {room.mark_files} files are free",
                            hint="free some space; what was accepted is safe, claims and results go on")

    def is_scarce(self) -> bool:
        """Whether less than half the mark is left now: for what can be done without."""
        room = self.look()
        return room is not None and room.is_scarce

    def look(self) -> Room | None:
        """How much room there is now, and the ballast laid in if it is time. None: the system does not tell."""
        self._looked_at = self._clock.monotonic()
        try:
            self._room = room_of(self._folder, self._min_free_bytes)
        except OSError as error:  # a disk that cannot be asked is not therefore full; the next verb meets its error
            log.debug("the room on the disk of %s is not known: %s", self._folder, error)
            self._room = None
        if self._room is not None and self._room.is_near:
            self._lay_in(self._room)
        return self._room

    def _lay_in(self, room: Room) -> None:
        with self._lock:
            try:
                size = _size_of(self._ballast)
                if size < room.ballast_bytes and room.wants_ballast(again=size == 0):
                    for spare in self._spares:
                        _reserve(spare, 0)
                    _reserve(self._ballast, room.ballast_bytes)
                    self._room = room_of(self._folder, self._min_free_bytes)
            except OSError as error:  # somebody was faster to fill the disk; the next look tries again
                log.debug("no ballast in %s: %s", self._folder, error)
                self._release()

    def give_up_ballast(self) -> bool:
        """Whether there was any: its room is free now, for whoever comes first."""
        with self._lock:
            had_some = self._release()
        if had_some:
            log.warning("the disk below %s is full: its ballast was given up, so that what was begun can be finished",
                        self._folder)
        return had_some

    def _release(self) -> bool:
        try:
            has_blocks = _size_of(self._ballast) > 0
            if has_blocks:
                os.truncate(self._ballast, 0)  # the instant: its blocks are free, and it says that it was given up
        except OSError:
            has_blocks = False
        return sum(map(files.discard, self._spares)) > 0 or has_blocks

    # -- fsync ---------------------------------------------------------------------------------------------------

    @property
    def is_degraded(self) -> bool:
        return self.failed_flushes > 0

    def watched(self, flush: Callable[[int], None]) -> Callable[[int], None]:
        """``flush``, and a note of each failure."""
        def watch(descriptor: int) -> None:
            try:
                flush(descriptor)
            except OSError as error:
                self.failed_flushes += 1
                if self.failed_flushes == 1:
                    log.error("an fsync failed below %s (%s): nothing was acknowledged on its strength; look at the "
                              "disk, then restart", self._folder, error)
                raise

        return watch


class OnDisk(Protocol):
    disk: Disk


Self = TypeVar("Self", bound=OnDisk)


def in_need(verb: Callable[Concatenate[Self, Parameters], Answer]) -> Callable[Concatenate[Self, Parameters], Answer]:
    """The verb once more, from its beginning, in the room of the ballast, when there was none.

    Not when it was an fsync that told so: that is never tried again.
    """
    @functools.wraps(verb)
    def again(owner: Self, /, *given: Parameters.args, **named: Parameters.kwargs) -> Answer:
        failed_flushes = owner.disk.failed_flushes
        try:
            return verb(owner, *given, **named)
        except StoreFull:
            if owner.disk.failed_flushes != failed_flushes:
                raise
            owner.disk.give_up_ballast()  # or another thread, or process, did so a moment ago
        return verb(owner, *given, **named)

    return again


def prove_alive(path: str) -> None:
    """After an fsync: the file system still takes changes, so it has not given up, so it has kept what it said.

    ``path`` is a file of ours whose times mean nothing. Raises OSError.
    """
    os.utime(path)  # XFS and Btrfs refuse this; ext4 notices while it does this that its journal is gone
    os.utime(path)  # and refuses this


def room_of(folder: str, min_free_bytes: int) -> Room:
    """Raises OSError."""
    usage = shutil.disk_usage(folder)
    mark = min_free_bytes or min(max(LEAST_MARK_BYTES, usage.total // 100), usage.total // 10)
    if not hasattr(os, "statvfs"):
        return Room(usage.free, mark)
    found: Any = os.statvfs(folder)
    if not found.f_files:
        return Room(usage.free, mark)
    return Room(usage.free, mark, found.f_favail, min(max(2 * SPARE_FILES, found.f_files // 100), found.f_files // 4))


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1


def _reserve(path: str, size: int) -> None:
    """A file that really has ``size`` bytes of the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0),
                         0o600)
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        elif size:
            os.truncate(descriptor, 0)
            for _ in range(0, size, 65_536):
                os.write(descriptor, bytes(65_536))
    finally:
        os.close(descriptor)
