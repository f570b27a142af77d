"""How many tasks may wait: beyond that a submit is refused, so that a queue nobody empties does not fill the disk."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from taskspool.errors import QueueFull, StoreUnavailable

FRESH_SECONDS = 1.0
"""So long only what was taken here is counted; before anything is refused, all is counted anew."""
DRAIN_SECONDS = 1.0
"""So long a count waits for submits that are being written: it does not see them. After that they count as not yet
seen."""


class Capacity:
    """``max_waiting`` 0: no bound. What other processes add within a second may go beyond it."""

    def __init__(self, queue: Queue, max_waiting: int) -> None:
        self._queue = queue
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._being_written = 0
        self._waiting = 0
        self._counted_at: float | None = None

    @contextmanager
    def room_for(self, count: int) -> Iterator[None]:
        """Room for ``count`` tasks more, which the block submits. Raises QueueFull."""
        if self._max_waiting:
            self._reserve(count)
        try:
            yield
        finally:
            with self._changed:
                self._being_written -= count if self._max_waiting else 0
                self._changed.notify_all()

    def _reserve(self, count: int) -> None:
        with self._changed:
            if not self._is_fresh() or self._waiting + count > self._max_waiting:
                self._changed.wait_for(lambda: not self._being_written, DRAIN_SECONDS)
                self._waiting = self._count() + self._being_written
                self._counted_at = self._queue.clock.monotonic()
            if self._waiting + count > self._max_waiting:
                raise QueueFull(f"{self._waiting} tasks wait already: more than {self._max_waiting} are not taken",
                                hint="try again when some are done", waiting=self._waiting, limit=self._max_waiting)
            self._waiting += count
            self._being_written += count

    def _is_fresh(self) -> bool:
        return self._counted_at is not None and self._queue.clock.monotonic() - self._counted_at < FRESH_SECONDS

    def _count(self) -> int:
        try:
            found = self._queue.figures().by_state
            return found.get(State.READY, 0) + found.get(State.SCHEDULED, 0)
        except StoreUnavailable:  # the index cannot be asked this moment: the folders can
            counts = self._queue.counts()
            return counts.ready + counts.scheduled
