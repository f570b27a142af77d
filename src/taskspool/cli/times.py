"""Times and spans of time as people type them: ``90``, ``5m``, ``1h30m``; ``2026-01-31T09:00``, ``2h`` (from now)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from taskspool.clock import from_text

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
MAX_CHARS = 30
_SPAN = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


def seconds_of(text: str) -> float | None:
    """Seconds, plainly or with units (``1h30m``); None when it is neither, or without end."""
    if len(text) > MAX_CHARS:
        return None
    if _NUMBER.fullmatch(text):
        return float(text)
    if _SPAN.fullmatch(text):
        return sum(float(number) * UNITS[unit] for number, unit in _PART.findall(text))
    return None


class Span(click.ParamType):  # type: ignore[type-arg]  # not to be subscripted before click 8.4
    """Seconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = seconds_of(str(value).strip())
        if seconds is None:
            self.fail(f"{value!r} is no span of time: seconds, or like 30s, 5m, 1h30m, 2d", param, ctx)
        return seconds


class Instant(click.ParamType):  # type: ignore[type-arg]  # as above
    """A time, aware, UTC. ``direction``: where a bare span points to from now, 1 ahead or -1 back."""

    name = "time"

    def __init__(self, direction: int) -> None:
        self._direction = direction

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        try:
            seconds = seconds_of(text)
            if seconds is not None:
                return datetime.now(UTC) + self._direction * timedelta(seconds=seconds)
            return from_text(text)
        except (ValueError, OverflowError):
            way = "from now on" if self._direction > 0 else "back from now"
            self.fail(f"{value!r} is no time: like 2026-01-31T09:00, or {way}: 30s, 5m, 1h30m, 2d", param, ctx)


SPAN = Span()
AHEAD = Instant(1)
BACK = Instant(-1)
