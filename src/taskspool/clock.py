"""The only clock and the only id maker.

Times that are never mixed: ``now()`` (wall clock, aware UTC) is written down and shown; ``monotonic()`` (seconds since
some instant) measures how long something lasts, and is what leases are judged by, so that a clock that is set back or
forward expires nothing early. ``boottime()`` does so too, and goes on while the machine sleeps: who was silent then was
not dead, but a delay that ended in its sleep is over.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary instant; never goes back."""

    def boottime(self) -> float:
        """The same, from another instant, with the time in which the machine slept."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def boottime(self) -> float:
        return _boottime()


def _boottime() -> float:
    if sys.platform == "win32":
        return time.monotonic()  # it counts sleep there
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))  # of macOS the latter counts it


def to_text(instant: datetime) -> str:
    """RFC 3339 with microseconds and ``Z``, e.g. ``2026-01-31T12:00:00.000000Z``."""
    if instant.tzinfo is not UTC:
        instant = instant.astimezone(UTC)
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"


def from_text(text: str) -> datetime:
    """The instant in ``text`` (ISO 8601). Without an offset it is this machine's wall clock: that is how programs write
    a time that know no zones, and whoever shares our folder shares our machine. We ourselves always write the offset.

    Raises ValueError when it is none.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (OSError, OverflowError) as error:  # beyond what the system's calendar can turn into another zone
        raise ValueError(f"{text!r} is out of range") from error


class IdMaker:
    """Makes UUIDv7 texts that sort in the order they were made, within one process and a clock step of it.

    Source: RFC 9562, section 5.7 and 6.2 method 3 (the bits below the millisecond carry time and keep ids of one
    process strictly rising). 62 random bits keep two processes apart.
    """

    RANDOM_BYTES = 4096

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0
        self._random = b""
        self._used = 0
        self._process = 0

    def __call__(self) -> str:
        with self._lock:
            self._last = tick = max(self._last + 1, time.time_ns() * 4096 // 1_000_000)
            if self._used + 8 > len(self._random) or self._process != os.getpid():  # a fork must not repeat ids
                self._random, self._used, self._process = os.urandom(self.RANDOM_BYTES), 0, os.getpid()
            tail = int.from_bytes(self._random[self._used:self._used + 8], "big")
            self._used += 8
        time_part = tick >> 12
        tail = tail & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        return (f"{time_part >> 16:08x}-{time_part & 0xFFFF:04x}-7{tick & 0xFFF:03x}"
                f"-{tail >> 48:04x}-{tail & 0xFFFF_FFFF_FFFF:012x}")
