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

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Protocol

from taskspool.engine.batch import BatchRecord
from taskspool.engine.bell import Bell
from taskspool.engine.index import Index
from taskspool.engine.task import (
    CancelRequest, Claim, Counts, Lease, Pauses, Result, Snapshot, State, Step, SweepReport, Task,
)
from taskspool.engine.workers import Workers
from taskspool.engine.task_logs import TaskLogs
from taskspool.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """``key`` as the caller sent it (1..255 printable characters), ``fingerprint`` of what was asked with it."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Expired:
    """A claim whose time is over. ``seen`` is what the store saw, to notice a late sign of life.

    ``why``: its holder is dead or ``silent``, or the ``timeout`` of the attempt or the ``total`` time of the task is
    over.
    """

    claim: Claim
    seen: int
    why: str = "silent"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. ``path`` is below the place of the queue, ``cure`` what would mend it.

    ``is_legal``: a leftover that changes nothing of what anybody sees; all else is a bug, or damage.
    """

    kind: str
    path: str
    sentence: str
    cure: str
    task_id: str | None = None
    is_legal: bool = False


@dataclass(frozen=True, slots=True)
class Exported:
    """How many tasks and records (keys, batches, cancel requests) were written; ``left_out`` says which could not be
    read."""

    tasks: int
    records: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Imported:
    """How many tasks and records came in, and how many tasks existed; ``left_out`` says which did not, and why."""

    tasks: int
    records: int
    existed: int
    left_out: tuple[str, ...] = ()


class Overtaken(StoreUnavailable):
    """The task has another content by now than the one the new one was made from. Nothing has changed: look again."""


class Store(Protocol):
    """Where tasks live. States and legal moves: ``task.TRANSITIONS``."""

    bell: Bell
    """Rung by the store whenever a task becomes ready or gets its result, whoever caused it."""

    @property
    def durability(self) -> str:
        """``strict``; ``fast``; or ``degraded``: strict was asked for, but the disk has failed an fsync since."""

    workers: Workers
    """Who works here, what each does and was told; nothing of a task depends on it."""

    index: Index
    """Lists with filter and order, statistics, events: a cache that may be thrown away."""

    logs: TaskLogs
    """What the workers of its tasks say while they work."""

    def open(self) -> SweepReport:
        """Take part: make what is missing, count the epoch up, repair what a crash left.

        Raises RefusedToStart with the reason (unsafe folder, network file system).
        """

    def close(self) -> None:
        """Stop taking part. Claims held by this process's own lock become free."""

    def put(self, tasks: Sequence[Task], key: IdempotencyKey | None,
            batch: BatchRecord | None = None) -> tuple[list[str], bool]:
        """Nowhere -> ready (or scheduled, when ``not_before`` is set), all of them or none; with ``batch`` its record.

        Returns (ids, created). A known key with the same fingerprint returns the first ids and False, and completes
        what a crash interrupted; another fingerprint raises IdempotencyConflict.
        """

    def put_unique(self, task: Task, key: IdempotencyKey | None, on_conflict: str,
                   make_room: Callable[[Snapshot, str], AbstractContextManager[bool]]) -> tuple[list[str], bool]:
        """``put`` for a task whose ``options.unique_key`` only one unfinished task may have.

        Another has it: ``existing`` returns that one's id and False, ``replace`` puts this one if
        ``make_room(that one, this id)``, a context that lasts as long as the put, says that it made room, and
        everything else raises DuplicateTask.
        """

    def successor(self, task: Task) -> str | None:
        """The task that was put to replace this one, and has its unique key; None when none was put."""

    def take(self, worker: str, types: Collection[str] | None, limit: int, lease_seconds: int) -> list[Claim]:
        """Ready -> claimed: up to ``limit`` tasks, highest priority and oldest first, each given to one caller only.

        ``types`` None means any. ``lease_seconds`` 0 claims for this process: the claim lasts as long as it lives.
        """

    def take_one(self, task_id: str, worker: str, lease_seconds: int) -> Claim:
        """Ready -> claimed for exactly this task. Raises TaskNotFound or TaskNotClaimable (also while it is paused)."""

    def take_to_end(self, task_id: str, worker: str) -> Claim:
        """Scheduled, ready -> claimed by this process, whatever is paused or overdue: to be ended without being run.
        Its lease has attempt 0: whoever finds it after a crash knows that there is no run to be counted.

        Its lease has attempt 0. Raises TaskNotFound or TaskNotClaimable.
        """

    def put_back(self, claim: Claim) -> None:
        """Claimed -> scheduled, ready, wherever ``take_to_end`` took it from: the end could not be written."""

    def rewrite(self, seen: Snapshot, task: Task, step: Step) -> None:
        """Scheduled, ready -> the same, or scheduled -> ready (``step.state``), with the content of ``task``, if it is
        still there as it was ``seen``. Raises TaskNotClaimable when it is not.

        Its place in line follows its content. A crash leaves it where it was, with its old content or the new one.
        """

    def extend(self, lease: Lease, task: Task | None, *, seen: Task | None = None, step: Step | None = None) -> None:
        """The lease starts anew, with the content of ``task`` (None: it did not change). Raises LeaseLost.

        Here and below: Overtaken when ``seen`` is given, and the content is another one by now. ``step`` says who did
        it, if it was not the holder.
        """

    def finish(self, lease: Lease, task: Task | None, result: Result, *, seen: Task | None = None,
               expired: Expired | None = None) -> Result:
        """Claimed -> done, dead or cancelled (``result.state``), with the result. ``task`` None: its content did not
        change.

        Returns the result that stands: this one, or the one the same token wrote before. Any other is there, or the
        lease is stale: LeaseLost. Somebody wants it cancelled, and this is another end: TaskCancelled.
        With ``expired`` the move is made only if its holder gave no sign since.
        """

    def requeue(self, lease: Lease, task: Task | None, *, seen: Task | None = None,
                expired: Expired | None = None) -> None:
        """Claimed -> ready, or scheduled when ``task.not_before`` is set. ``task`` None: its content did not change.

        Raises LeaseLost, also when the task has a result or (``expired``) its holder gave a late sign of life;
        TaskCancelled when somebody wants it cancelled.
        """

    def renew(self, task: Task, result: Result) -> None:
        """Dead, cancelled -> ready, with the content of ``task``, while ``result`` stands, which is gone then.

        Raises NotRetryable, DuplicateTask.
        """

    def request_cancel(self, lease: Lease, request: CancelRequest) -> None:
        """From now on, and over a power cut, the task of ``lease`` can only end as cancelled. Raises LeaseLost."""

    def cancel_request(self, task_id: str) -> CancelRequest | None: ...

    def cancel_requests(self) -> list[tuple[str, CancelRequest]]:
        """All of them, with the ids of their tasks."""

    def forget_cancel(self, task_id: str) -> None:
        """The task has ended: its request is of no use any more."""

    def set_paused(self, types: Collection[str] | None, note: CancelRequest | None) -> None:
        """Hand out nothing of ``types`` (None: at all), from now on and in every process; ``note`` None ends it."""

    def paused(self) -> Pauses: ...

    def expired(self) -> list[Expired]:
        """The claims whose time is over, as this process measured it."""

    def past_deadline(self, now: datetime) -> list[Task]:
        """What waits, and whose deadline (``Task.deadline``) has passed."""

    def settle(self, now: datetime) -> SweepReport:
        """Everything a sweep does but expiry: promote what is due, adopt foreign files, finish half-made moves,
        quarantine what cannot be read, remove what the dead left in ``tmp``."""

    def glance(self) -> None:
        """A cheap look for what other processes added, on behalf of those who wait now. Called 50 times a second."""

    def lease_of(self, task_id: str, token: str | None = None) -> Lease | None:
        """Who holds the task now. With ``token``: its lease as far as is known here; the move that follows checks."""

    def find(self, task_id: str) -> Snapshot | None:
        """The task and its state; None only if it is in none."""

    def confirm_ends(self) -> None:
        """Every end that can be seen is on the disk when this returns, whoever wrote it: for who is told of one
        again. Raises StoreUnavailable."""

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

    def prune(self, before: datetime, states: Collection[State] | None = None) -> int:
        """Done, dead, cancelled -> nowhere, results included, for tasks of ``states`` (None: all) that ended before it.

        How many. Idempotency keys used before it go with their tasks: the same key then makes a new task; so do the
        records of batches of which no task is left."""

    def batch(self, batch_id: str) -> BatchRecord | None:
        """Which tasks belong together; None when there is no such batch."""

    def batches(self, limit: int) -> list[BatchRecord]:
        """Up to ``limit`` of them, newest first."""

    def export(self, stream: IO[bytes]) -> Exported:
        """Write every task, with its result, as a tar of plain files; the store goes on working meanwhile."""

    def bring_in(self, stream: IO[bytes]) -> Imported:
        """Read such a tar, which begins where the (seekable) stream stands: each task whole or not at all, and none
        that exists. Raises InvalidRequest naming a member that is not the plain file of a queue; then nothing came."""

    def findings(self) -> Iterable[Finding]:
        """What is not as it should be; looked for without moving anything, also by who has not opened the store."""

    def mend(self, finding: Finding) -> bool:
        """Do what its cure says, if it is still so. Deletes nothing that may hold a task. False: nothing was done."""

    def problems(self) -> Iterable[str]:
        """The sentences of those findings that are not legal; a sound store yields nothing."""
