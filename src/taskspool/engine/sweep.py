"""What goes on without a caller: the sweeper twice a second, and the lookout for those who wait.

Any number of processes may sweep one folder; every step is a compare-and-swap, so they only share the work.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from taskspool.engine.lifecycle import Queue
from taskspool.errors import StoreUnavailable

TICK_SECONDS = 0.5
"""A worker killed on this machine is noticed within this time, plus the time of one sweep."""
GLANCE_SECONDS = 0.02
"""How soon the lookout sees what another process added."""

log = logging.getLogger("taskspool.sweep")


class Ticker:
    """Calls ``action`` every ``seconds``, and at once when hinted, in a thread of its own, from start to stop."""

    def __init__(self, action: Callable[[], object], seconds: float, name: str) -> None:
        self._action = action
        self._seconds = seconds
        self._nudge = threading.Event()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._is_stopping = True
        self._nudge.set()
        self._thread.join(timeout=5)

    def hint(self) -> None:
        """Look now (a file event; may be wrong or missing)."""
        self._nudge.set()

    def _run(self) -> None:
        while not self._is_stopping:
            self._nudge.wait(self._seconds)
            self._nudge.clear()
            try:
                self._action()
            except StoreUnavailable as error:
                log.warning("%s put off: %s", self._thread.name, error)
            except Exception:  # a sweeper that dies would end every expiry in silence: say so, and go on
                log.exception("%s failed", self._thread.name)


class Sweeper(Ticker):
    """Sweeps the queue twice a second."""

    def __init__(self, queue: Queue, tick_seconds: float = TICK_SECONDS) -> None:
        self._queue = queue
        super().__init__(self._sweep, tick_seconds, "sweeper")

    def _sweep(self) -> None:
        report = self._queue.sweep()
        if report.total:
            log.info("swept: %s", report)


class Lookout(Ticker):
    """Sees for a server's waiting clients what other processes put into the folder.

    A server is told of each of its own moves if it listens to file events: a third of its time went there. Looking at
    two time stamps, and only while somebody waits, costs next to nothing and cannot lose an event.
    """

    def __init__(self, queue: Queue, glance_seconds: float = GLANCE_SECONDS) -> None:
        super().__init__(queue.glance, glance_seconds, "lookout")
