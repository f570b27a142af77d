"""Waiting in tests: for a condition, with a deadline; never for a length of time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")

POLL_SECONDS = 0.02


def eventually(condition: Callable[[], Value], seconds: float = 10.0, why: str = "") -> Value:
    """What ``condition`` returns as soon as it is true; looked at every 20 ms, and once more at the end.

    Raises AssertionError with ``why`` and the last value when it is not true within ``seconds``. What ``condition``
    raises goes through: a condition that may fail while waiting says so itself.
    """
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while True:
        is_last_look = time.monotonic() >= deadline
        value = condition()
        if value:
            return value
        if is_last_look:
            raise AssertionError(f"not within {seconds:g} s: {why or condition!r} (last value: {value!r})")
        pause.wait(POLL_SECONDS)
