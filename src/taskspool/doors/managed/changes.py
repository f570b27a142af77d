"""Waking who waits for a change of some tasks: one thread hears what happens, and no waiter holds one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection

from taskspool.engine.index import RESET
from taskspool.engine.lifecycle import Queue
from taskspool.errors import StoreUnavailable
from taskspool.web.errors import TooManyStreams
from taskspool.web.waiting import Leave

POLL_SECONDS = 0.1
MAX_WAITERS = 1000
MAX_EVENTS = 1000

log = logging.getLogger("taskspool.web")


class Changes:
    """The thread lives while somebody waits. A wake is a hint: who is woken looks."""

    def __init__(self, queue: Queue, *, max_waiters: int = MAX_WAITERS, poll_seconds: float = POLL_SECONDS) -> None:
        self._queue = queue
        self._max_waiters = max_waiters
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._waiters: dict[object, tuple[frozenset[str], Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None

    def check_room(self) -> None:
        """Raises TooManyStreams when as many wait as may."""
        if len(self._waiters) >= self._max_waiters:
            raise TooManyStreams(f"{self._max_waiters} requests wait already; try again in a moment")

    def join(self, task_ids: Collection[str], wake: Callable[[], None]) -> Leave:
        """Wait for a change of one of these tasks. How to leave is returned."""
        key = object()
        with self._lock:
            self._waiters[key] = frozenset(task_ids), wake
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()

        def leave(_took: bool) -> None:
            with self._lock:
                self._waiters.pop(key, None)

        return leave

    def _run(self) -> None:
        """Who joined before the first look asks again by itself (``web.waiting``): nothing is missed before it."""
        place: str | None = None
        while True:
            place = self._hear(place)
            time.sleep(self._poll_seconds)
            with self._lock:
                if not self._waiters:
                    self._thread = None
                    return

    def _hear(self, place: str | None) -> str | None:
        """Wake those whom the events behind ``place`` concern; where the last of them is."""
        index = self._queue.store.index
        try:
            if place is None:
                place = index.last_event_id()
                self._wake(None)
                return place
            events = index.events(place, limit=MAX_EVENTS)
        except StoreUnavailable as error:
            log.warning("who waits for changes is told later: %s", error)
            return None
        except Exception:  # a thread that dies would leave every waiter waiting in silence
            log.exception("who waits for changes is told later")
            return None
        if events:
            self._wake(None if events[0].verb == RESET else {event.task_id for event in events})
        return events[-1].id if events else place

    def _wake(self, changed: Collection[str] | None) -> None:
        """None: all of them."""
        with self._lock:
            woken = [wake for ids, wake in self._waiters.values() if changed is None or not ids.isdisjoint(changed)]
        for wake in woken:
            wake()
