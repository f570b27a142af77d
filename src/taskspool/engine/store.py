"""The Store protocol: what a place that keeps tasks must be able to do, and what each method promises.

A store moves tasks between states atomically and durably; it knows nothing of retries, poison or who may ask.
Every method is safe to call from many threads and, on the same folder or database, from many processes.
Promises that hold for all of them:

* A method that returned has happened, and survives a crash (``durability = "strict"``: also a power cut).
* A method that raised StoreUnavailable may be called again; nothing was acknowledged.
* A lease is checked and its task moved in one step that nobody can come between: a stale lease raises LeaseLost
  and changes nothing.

``tests/contract`` is the exam every store passes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from taskspool.engine.bell import Bell
from taskspool.engine.task import Claim, Counts, Lease, Result, Snapshot, State, SweepReport, Task


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """``key`` as the caller sent it (1..255 printable characters), ``fingerprint`` of what was asked with it."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Expired:
    """A claim whose holder died or fell silent. ``seen`` is what the store saw, to notice a late sign of life."""

    claim: Claim
    seen: int


class Store(Protocol):
    """Where tasks live. States and legal moves: ``task.TRANSITIONS``."""

    bell: Bell
    """Rung by the store whenever a task becomes ready or gets its result, whoever caused it."""

    def open(self) -> SweepReport:
        """Take part: make what is missing, count the epoch up, repair what a crash left.

        Raises RefusedToStart with the reason (unsafe folder, network file system).
        """

    def close(self) -> None:
        """Stop taking part. Claims held by this process's own lock become free."""

    def put(self, tasks: Sequence[Task], key: IdempotencyKey | None) -> tuple[list[str], bool]:
        """Nowhere -> ready (or scheduled, when ``not_before`` is set), all of them or none.

        Returns (ids, created). A known key with the same fingerprint returns the first ids and False, and completes
        what a crash interrupted; another fingerprint raises IdempotencyConflict.
        """

    def take(self, worker: str, types: Collection[str] | None, limit: int, lease_seconds: int) -> list[Claim]:
        """Ready -> claimed: up to ``limit`` tasks, highest priority and oldest first, each given to one caller only.

        ``types`` None means any. ``lease_seconds`` 0 claims for this process: the claim lasts as long as it lives.
        """

    def take_one(self, task_id: str, worker: str, lease_seconds: int) -> Claim:
        """Ready -> claimed for exactly this task. Raises TaskNotFound or TaskNotClaimable."""

    def extend(self, lease: Lease) -> None:
        """The lease starts anew. Raises LeaseLost."""

    def finish(self, lease: Lease, task: Task | None, result: Result, *, expired: Expired | None = None) -> Result:
        """Claimed -> done (success) or dead (error), with the result. ``task`` None: its content did not change.

        Returns the result that stands: this one, or the one the same token wrote before. Any other is there, or the
        lease is stale: LeaseLost. With ``expired`` the move is made only if its holder gave no sign since.
        """

    def requeue(self, lease: Lease, task: Task | None, *, expired: Expired | None = None) -> None:
        """Claimed -> ready, or scheduled when ``task.not_before`` is set. ``task`` None: its content did not change.

        Raises LeaseLost, also when the task has a result or (``expired``) its holder gave a late sign of life.
        """

    def expired(self) -> list[Expired]:
        """The claims whose holder is dead, or was silent for its whole lease as this process measured it."""

    def settle(self, now: datetime) -> SweepReport:
        """Everything a sweep does but expiry: promote what is due, adopt foreign files, finish half-made moves,
        quarantine what cannot be read, remove what the dead left in ``tmp``."""

    def glance(self) -> None:
        """A cheap look for what other processes added, on behalf of those who wait now. Called 50 times a second."""

    def lease_of(self, task_id: str, token: str | None = None) -> Lease | None:
        """Who holds the task now. With ``token``: its lease as far as is known here; the move that follows checks."""

    def find(self, task_id: str) -> Snapshot | None:
        """The task and its state; None only if it is in none."""

    def result(self, task_id: str) -> Result | None:
        """The task's result; None while there is none."""

    def listing(self, state: State, types: Collection[str] | None, limit: int, *,
                oldest: bool = False) -> list[Snapshot]:
        """Up to ``limit`` tasks of one state: ready ones in the order they would be claimed, or (``oldest``) in which
        they came, others newest last."""

    def leases(self) -> list[tuple[Snapshot, Lease]]:
        """Everything claimed now, longest held first."""

    def latest_results(self, limit: int) -> list[Result]:
        """Up to ``limit`` results, newest first."""

    def counts(self) -> Counts: ...

    def position(self, task_id: str) -> int | None:
        """Place in line among the waiting, 1 = next; None when it is not waiting."""

    def prune(self, before: datetime) -> int:
        """Done, dead, cancelled -> nowhere, results included, for tasks completed before ``before``. How many.

        Idempotency keys used before it go with their tasks: the same key then makes a new task."""

    def problems(self) -> Iterable[str]:
        """What is not a legal combination of files or rows, a sentence each; a sound store yields nothing."""
