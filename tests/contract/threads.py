"""Running one function in many threads at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Value = TypeVar("Value")


def together(threads: int, action: Callable[[int], Value]) -> list[Value]:
    """``action(0..threads-1)``, started at once; what each returned. What one raises is raised."""
    gate = threading.Barrier(threads, timeout=30)

    def run(number: int) -> Value:
        gate.wait()
        return action(number)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))
