"""What a worker has in hand: the claims it must answer for, and what has become of each."""

from __future__ import annotations

import threading
from collections.abc import Collection
from enum import Enum, auto

from taskspool.engine.task import Claim
from taskspool.worker.contact import Contact


class Fate(Enum):
    """What may still be done with a claim."""

    RUNNING = auto()
    """Its handler runs: it may be finished, lost, or given back."""
    FINISHING = auto()
    """Its result is being handed in."""
    LOST = auto()
    """The queue gave it to somebody else, or we gave it back: its result must be dropped."""


class Hand:
    """The claims of one worker, by lease token. Every question is answered and acted on in one step."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claims: dict[str, tuple[Claim, Fate]] = {}
        self._contacts: dict[str, Contact] = {}

    def take(self, claim: Claim, contact: Contact) -> None:
        with self._lock:
            self._claims[claim.lease.token] = (claim, Fate.RUNNING)
            self._contacts[claim.lease.token] = contact

    def contact(self, claim: Claim) -> Contact | None:
        """The line to the handler of ``claim``; None when that was put down."""
        with self._lock:
            return self._contacts.get(claim.lease.token)

    def begin_finish(self, claim: Claim) -> bool:
        """Running -> finishing. False: it was lost or given back meanwhile."""
        with self._lock:
            _, fate = self._claims.get(claim.lease.token, (claim, Fate.LOST))
            if fate is not Fate.RUNNING:
                return False
            self._claims[claim.lease.token] = (claim, Fate.FINISHING)
            return True

    def lose(self, tokens: Collection[str]) -> list[Claim]:
        """Those among ``tokens`` that were still running: they are told to stop, and their results will be dropped.

        One that is finishing stays: the queue itself answers whether its result came too late.
        """
        with self._lock:
            lost = [claim for token in tokens for claim, fate in [self._claims.get(token, (None, Fate.LOST))]
                    if claim is not None and fate is Fate.RUNNING]
            for claim in lost:
                self._claims[claim.lease.token] = (claim, Fate.LOST)
                self._contacts[claim.lease.token].end()
            return lost

    def cancel(self, tokens: Collection[str]) -> list[Claim]:
        """Those among ``tokens`` that run, and are told to stop now for the first time. They stay in hand until they
        do, and are given back then."""
        with self._lock:
            told = [claim for token in tokens for claim, fate in [self._claims.get(token, (None, Fate.LOST))]
                    if claim is not None and fate is Fate.RUNNING and not self._contacts[token].is_ended]
            for claim in told:
                self._contacts[claim.lease.token].end()
            return told

    def running(self) -> list[Claim]:
        """The claims whose handlers still run."""
        with self._lock:
            return [claim for claim, fate in self._claims.values() if fate is Fate.RUNNING]

    def put_down(self, claim: Claim) -> None:
        with self._lock:
            self._claims.pop(claim.lease.token, None)
            self._contacts.pop(claim.lease.token, None)

    def held(self) -> list[Claim]:
        """The claims to show a sign of life for."""
        with self._lock:
            return [claim for claim, fate in self._claims.values() if fate is not Fate.LOST]
