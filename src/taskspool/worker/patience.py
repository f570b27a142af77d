"""Time that is over, and handlers that do not stop.

A run learns at the end of its time that it is to stop. In a thread nothing can make it: after a moment its task is
taken from it and handed in without it; what it gives later is dropped, and its runner is busy until it ends. A process
is ended by its executor.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from taskspool.engine.task import Claim
from taskspool.worker.contact import Contact
from taskspool.worker.hand import Hand

TOLD_SECONDS = 0.25
"""How long a handler that is told to stop may take to do so, before its process is ended."""
KILL_SECONDS = 0.25
"""How long that process has between SIGTERM and SIGKILL."""
THREAD_SECONDS = TOLD_SECONDS + KILL_SECONDS
"""How long a thread may take, before its task is taken from it: it may have a process of its own to end."""

log = logging.getLogger("taskspool.worker")


class Patience:
    """A thread from ``start`` to ``stop``. ``take_away`` must not block; None: nothing is taken from anybody."""

    def __init__(self, hand: Hand, grace_seconds: float, take_away: Callable[[Claim], None] | None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._hand = hand
        self._grace_seconds = grace_seconds
        self._take_away = take_away
        self._clock = clock
        self._changed = threading.Event()
        self._is_stopping = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="patience", daemon=True).start()

    def stop(self) -> None:
        self._is_stopping = True
        self._changed.set()

    def notice(self) -> None:
        """A run with an end in time has begun, or one was told to stop."""
        self._changed.set()

    def _run(self) -> None:
        pause: float | None = None
        while not self._is_stopping:
            self._changed.wait(pause)
            self._changed.clear()
            try:
                pause = self.look()
            except Exception:  # a fault of ours: without this thread no time would ever be over
                log.exception("could not look after what runs, trying again")
                pause = 1.0

    def look(self) -> float | None:
        """Do what is due now; seconds until something will be, None when nothing waits for its time."""
        now = self._clock()
        dues = []
        for claim, contact in self._hand.runs():
            due = contact.ends_at
            if contact.stop_reason is None and due is not None and now >= due:
                log.warning("task %s: its time of %g s is over, its handler is told", claim.task.id, contact.seconds)
                contact.end("timeout")
            if contact.stop_reason is not None:
                due = self._is_given_up_at(contact)
                if due is not None and now >= due and self._take_away is not None:
                    self._take_away(claim)
                    continue
            if due is not None:
                dues.append(due)
        return max(0.001, min(dues) - now) if dues else None

    def _is_given_up_at(self, contact: Contact) -> float | None:
        """When the task is taken from a handler that was told to stop. None: never, or somebody else sees to it."""
        if self._take_away is None or contact.stopped_at is None:
            return None
        if contact.stop_reason == "timeout":
            return contact.stopped_at + THREAD_SECONDS
        if contact.stop_reason == "cancelled":
            return contact.stopped_at + self._grace_seconds + THREAD_SECONDS
        return None
