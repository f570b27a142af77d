"""Signs of life beside running handlers: one beat for everything in hand, at a third of the shortest lease."""

from __future__ import annotations

import logging
import threading

from taskspool.engine.task import Claim
from taskspool.errors import TaskspoolError
from taskspool.worker.hand import Hand
from taskspool.worker.source import WorkSource

BEATS_PER_LEASE = 3
IDLE_SECONDS = 0.5
"""How soon a claim with a lease is noticed after there was none."""

log = logging.getLogger("taskspool.worker")


class Heartbeat:
    """A thread from ``start`` to ``stop``. A failed beat is tried again at the next; a lost lease is noted in hand."""

    def __init__(self, source: WorkSource, hand: Hand) -> None:
        self._source = source
        self._hand = hand
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No further beat begins. One that waits for an unreachable server is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        pause = IDLE_SECONDS
        while not self._stopping.wait(pause):
            claims = [claim for claim in self._hand.held() if claim.lease.lease_seconds > 0]
            pause = pause_seconds(claims)
            if claims:
                self._beat(claims)

    def _beat(self, claims: list[Claim]) -> None:
        try:
            lost = self._source.extend(claims)
        except TaskspoolError as error:
            log.warning("heartbeat failed, trying again: %s", error)
            return
        except Exception:  # whatever else goes wrong, a heart that stops would cost every task in hand
            log.exception("heartbeat failed, trying again")
            return
        for claim in self._hand.lose(lost):
            log.warning("lease of task %s lost: it was given to another worker; its result will be dropped",
                        claim.task.id)


def pause_seconds(claims: list[Claim]) -> float:
    """How long until the next beat: a third of the shortest lease among ``claims``, less while nothing is held."""
    shortest = min((claim.lease.lease_seconds for claim in claims), default=None)
    return IDLE_SECONDS if shortest is None else min(shortest / BEATS_PER_LEASE, 20.0)
