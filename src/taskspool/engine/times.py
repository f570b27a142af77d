"""What is to happen when: ids by an instant, earliest first."""

from __future__ import annotations

import heapq
import threading


class Times:
    """An instant, in seconds of the wall clock, for each id. Gone ones are dropped lazily."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._at

    def put(self, task_id: str, at: float) -> None:
        with self._lock:
            if self._at.get(task_id) != at:
                self._at[task_id] = at
                heapq.heappush(self._heap, (at, task_id))
                if len(self._heap) > 64 + 2 * len(self._at):
                    self._heap = [(when, one) for one, when in self._at.items()]
                    heapq.heapify(self._heap)

    def discard(self, task_id: str) -> None:
        with self._lock:
            self._at.pop(task_id, None)

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._at)

    def due(self, now: float) -> list[str]:
        """Those whose time has come, earliest first; they are taken out."""
        found: list[str] = []
        with self._lock:
            while self._heap and self._heap[0][0] <= now:
                at, task_id = heapq.heappop(self._heap)
                if self._at.get(task_id) == at:
                    del self._at[task_id]
                    found.append(task_id)
        return found
