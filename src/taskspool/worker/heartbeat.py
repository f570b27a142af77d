"""Signs of life beside running handlers, and what goes along with them.

One beat for everything in hand, at a third of the shortest lease or the source's own rhythm; it brings back whose lease
is lost and who is to stop. Between the beats, once a second, what handlers said of their progress, and what the worker
tells the registry of itself.
"""

from __future__ import annotations

import logging
import threading
import time

from taskspool.engine.task import Claim
from taskspool.errors import Conflict, InvalidRequest, NotFound, TaskspoolError
from taskspool.worker.hand import Hand
from taskspool.worker.registration import Registration
from taskspool.worker.source import WorkSource

BEATS_PER_LEASE = 3
TICK_SECONDS = 0.5
"""How soon a new claim is noticed."""
TELL_SECONDS = 1.0
"""Progress of one task is sent at most so often."""

log = logging.getLogger("taskspool.worker")


class Heartbeat:
    """A thread from ``start`` to ``stop``. A failed beat is tried again at the next; a lost lease is noted in hand."""

    def __init__(self, source: WorkSource, hand: Hand, registration: Registration | None = None) -> None:
        self._source = source
        self._hand = hand
        self._registration = registration
        self._beaten_at = time.monotonic()
        self._told_at = self._beaten_at
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No further beat begins. One that waits for an unreachable server is not waited for."""
        self._stopping.set()

    def _run(self) -> None:
        tick = TICK_SECONDS
        self._register()
        while not self._stopping.wait(tick):
            self._register()
            claims = self._hand.held()
            now = time.monotonic()
            pause = pause_seconds(claims, self._source.beat_seconds)
            tick = min(TICK_SECONDS, pause)
            if not claims:
                self._beaten_at = self._told_at = now
                continue
            if now - self._beaten_at >= pause - tick / 2:
                self._beaten_at = now
                self._beat(claims)
            if now - self._told_at >= TELL_SECONDS - TICK_SECONDS / 2:
                self._told_at = now
                self._tell(claims)

    def _register(self) -> None:
        if self._registration is not None:
            self._registration.tell()

    def _beat(self, claims: list[Claim]) -> None:
        try:
            heard = self._source.extend(claims)
        except TaskspoolError as error:
            log.warning("heartbeat failed, trying again: %s", error)
            return
        except Exception:  # whatever else goes wrong, a heart that stops would cost every task in hand
            log.exception("heartbeat failed, trying again")
            return
        for claim in self._hand.cancel(heard.cancelled):
            log.info("task %s is to be cancelled: its handler is told", claim.task.id)
        for claim in self._hand.lose(heard.lost):
            log.warning("lease of task %s lost: it was taken from this worker; its result will be dropped",
                        claim.task.id)

    def _tell(self, claims: list[Claim]) -> None:
        for claim in claims:
            contact = self._hand.contact(claim)
            if contact is None:
                continue
            try:
                contact.tell()
            except (Conflict, NotFound):
                self._hand.lose([claim.lease.token])
            except InvalidRequest as error:
                log.warning("what the handler of task %s said was refused: %s", claim.task.id, error)
            except TaskspoolError as error:  # the others would wait as long for the same: the next beat must not
                log.info("progress of task %s is sent again: %s", claim.task.id, error)
                return
            except Exception:  # as above: a heart that stops would cost every task in hand
                log.exception("progress of task %s could not be sent", claim.task.id)


def pause_seconds(claims: list[Claim], beat_seconds: float) -> float:
    """How long until the next beat: a third of the shortest lease among ``claims``, at most ``beat_seconds``."""
    leases = [claim.lease.lease_seconds for claim in claims if claim.lease.lease_seconds > 0]
    return min([beat_seconds, *(seconds / BEATS_PER_LEASE for seconds in leases)])
