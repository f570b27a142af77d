"""The sweeper: one thread per process that calls ``Queue.sweep`` twice a second, and at once when hinted.

Any number of processes may sweep one folder; every step is a compare-and-swap, so they only share the work.
"""

from __future__ import annotations

import logging
import threading

from taskspool.engine.lifecycle import Queue
from taskspool.errors import StoreUnavailable

TICK_SECONDS = 0.5
"""A worker killed on this machine is noticed within this time, plus the time of one sweep."""

log = logging.getLogger("taskspool.sweep")


class Sweeper:
    """Runs from ``start`` to ``stop``. ``hint`` says: look now (a file event; may be wrong or missing)."""

    def __init__(self, queue: Queue, tick_seconds: float = TICK_SECONDS) -> None:
        self._queue = queue
        self._tick_seconds = tick_seconds
        self._nudge = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._nudge.set()
        self._thread.join(timeout=5)

    def hint(self) -> None:
        self._nudge.set()

    def _run(self) -> None:
        while not self._is_stopping:
            self._nudge.wait(self._tick_seconds)
            self._nudge.clear()
            try:
                report = self._queue.sweep()
            except StoreUnavailable as error:
                log.warning("sweep put off: %s", error)
                continue
            except Exception:  # a sweeper that dies would end every expiry in silence: say so, and go on
                log.exception("sweep failed")
                continue
            if report.total:
                log.info("swept: %s", report)
