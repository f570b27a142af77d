"""What waits for its time, by the clock that counts for it, as one process has seen it.

An instant that was asked for is one of the wall clock. A wait of so many seconds is measured by this process, from when
it first saw it: a wall clock that is set does not change it. What is left of it then is told by the wall clock, but it
is never more than the whole.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from taskspool.clock import Clock
from taskspool.engine.task import Task
from taskspool.engine.times import Times

GRAIN_SECONDS = 2e-6
"""What the clocks, as floating point numbers, do not tell apart."""


class Wait(NamedTuple):
    """Until ``not_before`` (seconds since 1970), or (not None) ``delay_seconds`` from when that was asked for.

    Two waits of one task differ in it: what is known of an earlier one says nothing of the later.
    """

    not_before: float
    delay_seconds: float | None = None


def wait_of(task: Task) -> Wait:
    return Wait(0.0 if task.not_before is None else task.not_before.timestamp(), task.delay_seconds)


class Waits:
    """Ids with what each waits for. Safe for many threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._instants = Times()
        self._delays = Times()
        self._measured: dict[str, Wait] = {}
        """The waits that ``_delays`` tells the ends of."""

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._instants or task_id in self._delays

    def ids(self) -> set[str]:
        return self._instants.ids() | self._delays.ids()

    def put(self, task_id: str, wait: Wait) -> None:
        """``task_id`` waits for that from now on. What is being measured already goes on."""
        with self._lock:
            if wait.delay_seconds is None:
                self._drop_delay(task_id)
                self._instants.put(task_id, wait.not_before)
            elif self._measured.get(task_id) != wait or task_id not in self._delays:
                self._instants.discard(task_id)
                left = min(wait.delay_seconds, wait.not_before - self._clock.now().timestamp())
                self._measured[task_id] = wait
                self._delays.put(task_id, self._clock.boottime() + left)

    def put_back(self, task_id: str, wait: Wait | None) -> None:
        """One that was told as due, and could not be dealt with: it is due again at once."""
        with self._lock:
            if wait is None:
                self._instants.put(task_id, 0.0)
            elif task_id not in self._delays:
                self._measured[task_id] = wait
                self._delays.put(task_id, self._clock.boottime())

    def discard(self, task_id: str) -> None:
        with self._lock:
            self._instants.discard(task_id)
            self._drop_delay(task_id)

    def due(self) -> list[tuple[str, Wait | None]]:
        """Those whose time has come, taken out; with the wait that this process has measured to its end, None where it
        was an instant."""
        with self._lock:
            found: list[tuple[str, Wait | None]] = [
                (task_id, None) for task_id in self._instants.due(self._clock.now().timestamp())]
            found += [(task_id, self._measured.pop(task_id))
                      for task_id in self._delays.due(self._clock.boottime() + GRAIN_SECONDS)]
            return found

    def _drop_delay(self, task_id: str) -> None:
        self._delays.discard(task_id)
        self._measured.pop(task_id, None)
