"""What was handed out under a request id: asked again, a worker whose answer was lost gets the same tasks again.

Kept in the memory of this process only: after a restart the tasks come back when their leases run out, as ever.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection

from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import Claim
from taskspool.errors import LeaseLost, TaskNotFound

MAX_KEPT = 10_000
"""Answers kept; the oldest are forgotten first."""

Asker = tuple[str, str]
"""A worker's name and its request id."""


class ToldClaims:
    def __init__(self, queue: Queue, max_kept: int = MAX_KEPT) -> None:
        self._queue = queue
        self._max_kept = max_kept
        self._lock = threading.Lock()
        self._kept: OrderedDict[Asker, list[Claim]] = OrderedDict()

    def take(self, asker: Asker, take: Callable[[], list[Claim]]) -> tuple[list[Claim], bool]:
        """What ``asker`` was told before, as far as it still holds it and with its leases begun anew, and True; else
        what ``take`` gives, and False."""
        with self._lock:  # the same question twice at once: the second waits for the first one's answer
            again = [claim for claim in self._kept.get(asker, ()) if self._is_held(claim)]
            claims = again or take()
            if claims:
                self._kept[asker] = claims
                self._kept.move_to_end(asker)
            else:
                self._kept.pop(asker, None)
            while len(self._kept) > self._max_kept:
                self._kept.popitem(last=False)
        return claims, bool(again)

    def forget(self, claims: Collection[Claim]) -> None:
        """They were given back: nobody was told of them."""
        with self._lock:
            for asker in [asker for asker, kept in self._kept.items() if kept == claims]:
                del self._kept[asker]

    def _is_held(self, claim: Claim) -> bool:
        try:
            self._queue.extend(claim.task.id, claim.lease.token)
        except (LeaseLost, TaskNotFound):  # finished, or given to another: that is what was asked
            return False
        return True
