"""The only clock and the only id maker.

Two times, never mixed: ``now()`` (wall clock, aware UTC) is written down and shown; ``monotonic()`` (seconds since
some instant) measures how long something lasts, and is what leases are judged by, so that a clock that is set back or
forward expires nothing early.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """Wall clock, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary instant; never goes back."""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def to_text(instant: datetime) -> str:
    """RFC 3339 with microseconds and ``Z``, e.g. ``2026-01-31T12:00:00.000000Z``."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def from_text(text: str) -> datetime:
    """The instant in ``text`` (ISO 8601; without an offset it is taken as UTC).

    Raises ValueError when it is none.
    """
    instant = datetime.fromisoformat(text)
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


class IdMaker:
    """Makes UUIDv7 texts that sort in the order they were made, within one process and a clock step of it.

    Source: RFC 9562, section 5.7 and 6.2 method 3 (the bits below the millisecond carry time and keep ids of one
    process strictly rising). 62 random bits keep two processes apart.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> str:
        with self._lock:
            tick = max(self._last + 1, time.time_ns() * 4096 // 1_000_000)
            self._last = tick
        tail = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
        number = ((tick >> 12) << 80) | 0x7000 << 64 | (tick & 0xFFF) << 64 | 0x8000_0000_0000_0000 | tail
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
