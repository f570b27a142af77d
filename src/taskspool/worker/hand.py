"""What a worker has in hand: the claims it must answer for, and what has become of each."""

from __future__ import annotations

import threading
from collections.abc import Collection
from enum import Enum, auto

from taskspool.engine.task import Claim
from taskspool.worker.contact import Contact, StopReason


class Fate(Enum):
    """What may still be done with a claim."""

    RUNNING = auto()
    """Its handler runs: it may be finished, lost, or given back."""
    FINISHING = auto()
    """Its result is being handed in."""
    TAKEN_AWAY = auto()
    """Its handler did not stop: its end is being handed in without it."""
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
        """Running -> finishing. False: it was lost, given back or taken away meanwhile."""
        return self._move(claim, Fate.FINISHING)

    def take_away(self, claim: Claim) -> bool:
        """Running -> taken away. False: it has ended meanwhile."""
        return self._move(claim, Fate.TAKEN_AWAY)

    def _move(self, claim: Claim, to: Fate) -> bool:
        with self._lock:
            _, fate = self._claims.get(claim.lease.token, (claim, Fate.LOST))
            if fate is not Fate.RUNNING:
                return False
            self._claims[claim.lease.token] = (claim, to)
            return True

    def lose(self, tokens: Collection[str], reason: StopReason = "lease_lost") -> list[Claim]:
        """Those among ``tokens`` that were still running: they are told to stop, and their results will be dropped.

        One that is finishing stays: the queue itself answers whether its result came too late.
        """
        with self._lock:
            lost = [claim for token in tokens for claim, fate in [self._claims.get(token, (None, Fate.LOST))]
                    if claim is not None and fate is Fate.RUNNING]
            for claim in lost:
                self._claims[claim.lease.token] = (claim, Fate.LOST)
            contacts = [self._contacts[claim.lease.token] for claim in lost]
        for contact in contacts:
            contact.end(reason)
        return lost

    def cancel(self, tokens: Collection[str]) -> list[Claim]:
        """Those among ``tokens`` that run, and are told to stop now for the first time. They stay in hand until they
        do, and are given back then."""
        with self._lock:
            told = [claim for token in tokens for claim, fate in [self._claims.get(token, (None, Fate.LOST))]
                    if claim is not None and fate is Fate.RUNNING and not self._contacts[token].is_ended]
            contacts = [self._contacts[claim.lease.token] for claim in told]
        for contact in contacts:
            contact.end("cancelled")
        return told

    def running(self) -> list[Claim]:
        """The claims whose handlers still run."""
        with self._lock:
            return [claim for claim, fate in self._claims.values() if fate is Fate.RUNNING]

    def is_lost(self, claim: Claim) -> bool:
        """Whether the queue, or we, gave it to somebody else while its handler ran."""
        with self._lock:
            return self._claims.get(claim.lease.token, (claim, Fate.FINISHING))[1] is Fate.LOST

    def has_taken_away(self) -> bool:
        """Whether the end of a task is being handed in without its handler."""
        with self._lock:
            return any(fate is Fate.TAKEN_AWAY for _, fate in self._claims.values())

    def runs(self) -> list[tuple[Claim, Contact]]:
        """The claims whose handlers still run, with the line to each."""
        with self._lock:
            return [(claim, self._contacts[token]) for token, (claim, fate) in self._claims.items()
                    if fate is Fate.RUNNING]

    def put_down(self, claim: Claim, *, is_taken_away: bool = False) -> None:
        """It is done with. What was taken away is put down by who took it, not by its runner."""
        with self._lock:
            _, fate = self._claims.get(claim.lease.token, (claim, Fate.LOST))
            if is_taken_away or fate is not Fate.TAKEN_AWAY:
                self._claims.pop(claim.lease.token, None)
                self._contacts.pop(claim.lease.token, None)

    def held(self) -> list[Claim]:
        """The claims to show a sign of life for."""
        with self._lock:
            return [claim for claim, fate in self._claims.values() if fate is not Fate.LOST]
