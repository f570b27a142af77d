"""What is known of the results, in memory: counts, mean duration, the newest. Filled from the files, never the truth.

Results are written once and do not change, so each is read once: by whom wrote it, or when its name is first seen.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Iterable

from taskspool.engine.task import Result, State


class Ledger:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._completed_at: dict[str, float] = {}
        self._failures: set[str] = set()
        self._cancelled: set[str] = set()
        self._durations = 0
        self._seconds = 0.0

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._completed_at

    def __len__(self) -> int:
        return len(self._completed_at)

    def add(self, result: Result) -> None:
        self.add_known([(result.task_id, result.completed_at.timestamp(), result.state, result.duration_seconds)])

    def add_known(self, rows: Iterable[tuple[str, float, str, float | None]]) -> None:
        """(id, completed at in seconds since 1970, final state, duration in seconds) of results."""
        with self._lock:
            for task_id, completed_at, state, seconds in rows:
                if task_id in self._completed_at:
                    continue
                self._completed_at[task_id] = completed_at
                if state == State.DEAD:
                    self._failures.add(task_id)
                elif state == State.CANCELLED:
                    self._cancelled.add(task_id)
                if seconds is not None:
                    self._durations += 1
                    self._seconds += seconds

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._completed_at)

    def state_of(self, task_id: str) -> State | None:
        """How it ended, as far as is known here; None: not known to have ended."""
        with self._lock:
            if task_id not in self._completed_at:
                return None
            if task_id in self._failures:
                return State.DEAD
            return State.CANCELLED if task_id in self._cancelled else State.DONE

    def forget(self, task_id: str) -> None:
        """Its file is gone. The mean keeps what it told."""
        with self._lock:
            self._completed_at.pop(task_id, None)
            self._failures.discard(task_id)
            self._cancelled.discard(task_id)

    def newest(self, limit: int) -> list[str]:
        with self._lock:
            items = list(self._completed_at.items())
        return [task_id for task_id, _ in heapq.nlargest(limit, items, key=lambda item: (item[1], item[0]))]

    @property
    def failures(self) -> int:
        return len(self._failures)

    @property
    def cancelled(self) -> int:
        return len(self._cancelled)

    @property
    def mean_seconds(self) -> float | None:
        return self._seconds / self._durations if self._durations else None
