"""Long work in slices: who is there gives it a moment, a thread of its own does the rest.

Looking through a folder of a million names takes seconds. No claim, no sweep and no request waits for the whole of it:
each does a slice or two, and goes on with what is known by then.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator

from taskspool.clock import Clock
from taskspool.errors import StoreUnavailable

RANKS = {"fill": 0, "tasks": 1, "scheduled": 1, "results": 1, "index": 2}
"""What goes first: what can be claimed before what can be listed; equals take turns."""
PAUSE_SECONDS = 0.001
"""Between two slices of the thread, so that who serves comes first."""

log = logging.getLogger("taskspool.chores")


class Chores:
    """Generators by name; what they yield between is a good place to stop. One thread at a time moves them on."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._under_way: OrderedDict[str, Iterator[None]] = OrderedDict()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, name: str, slices: Callable[[], Iterator[None]]) -> None:
        """Begin it, unless it is under way."""
        self._under_way.setdefault(name, slices())

    def is_under_way(self, name: str) -> bool:
        return name in self._under_way

    def work(self, budget_seconds: float, *, until: Callable[[], bool] = lambda: False) -> None:
        """Go on for about ``budget_seconds``, until ``until()`` holds or all is done; a thread does what is left.

        Whoever else is at it waits for a slice, not for the whole. Raises what a slice raises; that chore is over then.
        """
        ends_at = self._clock.monotonic() + budget_seconds
        while self._under_way:
            with self._lock:
                self._slice()
            if self._clock.monotonic() > ends_at or until():
                break
        if self._under_way:
            self._start_thread()

    def close(self) -> None:
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def _slice(self) -> None:
        """One slice of the chore that goes first, if there is one."""
        name = min(list(self._under_way), key=RANKS.__getitem__, default=None)
        if name is None:
            return
        try:
            next(self._under_way[name])
        except StopIteration:
            del self._under_way[name]
        except BaseException:  # whatever it was, it goes on upward: the next look begins anew
            del self._under_way[name]
            raise
        else:
            self._under_way.move_to_end(name)

    def _start_thread(self) -> None:
        with self._lock:
            if not self._closing.is_set() and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="chores", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(PAUSE_SECONDS):
            with self._lock:
                if not self._under_way:
                    return
                try:
                    self._slice()
                except StoreUnavailable as error:
                    log.warning("put off: %s", error)
                    return
                except Exception:  # a thread that dies would leave the rest undone in silence: say so
                    log.exception("a chore failed")
                    return
