"""The store of one folder: a directory per state, a rename per move.

Each method names the instant at which it becomes true. Before that line nothing has happened; after it only tidying
is left, which ``settle`` finishes if this process dies first. The order of the steps is docs/protocol.md, section
"The folder, step by step".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.engine.arrivals import Arrivals, Replace
from taskspool.engine.batch import BatchRecord
from taskspool.engine.batches import Batches
from taskspool.engine.bell import Bell
from taskspool.engine.cancels import Cancels
from taskspool.engine.claims import Claims
from taskspool.engine.disk import in_need
from taskspool.engine.documents import (
    result_document, task_document,
)
from taskspool.engine.events import Change
from taskspool.engine.index import Index
from taskspool.engine.intake import Intake
from taskspool.engine.layout import FOLDER_OF, claim_name
from taskspool.engine.pauses import PauseFile
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.recorder import Recorder
from taskspool.engine.rewriting import Rewriting
from taskspool.engine.store import Expired, IdempotencyKey, Overtaken
from taskspool.engine.taking import Taking
from taskspool.engine.upkeep import Upkeep
from taskspool.engine.task import (
    CancelRequest, Claim, Counts, Lease, Pauses, Result, Snapshot, State, Step, SweepReport, Task,
)
from taskspool.errors import LeaseLost, StoreFull, TaskCancelled
from taskspool.settings import Settings

log = logging.getLogger("taskspool.store")

_LETS_GO = ("fail", "expire", "release")
_ENDS = {State.DONE: "complete", State.DEAD: "fail", State.CANCELLED: "cancel"}


class FileStore(Rewriting):
    """Implements ``store.Store`` on the folder of ``settings``."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.bell = Bell()
        self._clock = clock
        self._place = Place(settings, clock)
        self.disk = self._place.disk
        self._presence = Presence(self._place)
        self._claims = Claims(self._place, self._presence)
        self._reading = Reading(self._place, self._claims)
        self._recorder = Recorder(self._place)
        self._intake = Intake(self._place, self._claims, self._reading, self.bell, self._recorder)
        self._upkeep = Upkeep(self._place, self._claims, self._reading, self._presence, self._recorder,
                              self._intake.chores)
        self.index = Index(self._reading, self._recorder, self._upkeep)
        self._batches = Batches(self._place, self._reading)
        self._cancels = Cancels(self._place)
        self._pauses = PauseFile(self._place)
        self._taking = Taking(self._place, self._claims, self._reading, self._intake, self._pauses, self._recorder)
        self._arrivals = Arrivals(self._place, self._reading, self._intake, self._batches, self._recorder)
        self._take_care()
        self._line = self._intake.line

    @property
    def durability(self) -> str:
        """``strict``, ``fast``, or ``degraded``: strict was asked for, but an fsync has failed since the start."""
        return "degraded" if self._place.is_durable and self.disk.is_degraded else self._place.settings.durability

    # -- taking part ---------------------------------------------------------------------------------------------

    def open(self) -> SweepReport:
        self._presence.take()
        self._recorder.open()
        self._claims.remove_empty()
        self.disk.look()
        report = self._when_there_is_room(self._recover)
        self._intake.open()
        return report

    @in_need
    def _recover(self) -> SweepReport:
        removed = self._intake.remove_temporary(self._presence)
        adopted = self._batches.finish_left(self._presence)
        return SweepReport(adopted=adopted, finished=self._intake.finish_claimed(), removed_temporary=removed)

    @staticmethod
    def _when_there_is_room(repair: Callable[..., SweepReport], *given: object) -> SweepReport:
        """On a full disk what needs room is put off to the next sweep, and the rest goes on."""
        try:
            return repair(*given)
        except StoreFull as error:
            log.warning("put off: %s", error)
            return SweepReport()

    def close(self) -> None:
        self._intake.close()
        self._recorder.close()
        self._presence.leave()

    # -- nowhere -> ready ----------------------------------------------------------------------------------------

    def put(self, tasks: Sequence[Task], key: IdempotencyKey | None,
            batch: BatchRecord | None = None) -> tuple[list[str], bool]:
        return self._arrivals.put(tasks, key, batch)

    def put_unique(self, task: Task, key: IdempotencyKey | None, on_conflict: str,
                   make_room: Replace) -> tuple[list[str], bool]:
        return self._arrivals.put_unique(task, key, on_conflict, make_room)

    def successor(self, task: Task) -> str | None:
        return self._arrivals.successor(task)

    # -- ready -> claimed ----------------------------------------------------------------------------------------

    @in_need
    def take(self, worker: str, types: Collection[str] | None, limit: int, lease_seconds: int) -> list[Claim]:
        return self._taking.take(worker, types, limit, lease_seconds)

    @in_need
    def take_one(self, task_id: str, worker: str, lease_seconds: int) -> Claim:
        return self._taking.take_one(task_id, worker, lease_seconds)

    @in_need
    def take_to_end(self, task_id: str, worker: str) -> Claim:
        return self._taking.take_to_end(task_id, worker)

    def put_back(self, claim: Claim) -> None:
        self._taking.put_back(claim)

    # -- claimed -> claimed --------------------------------------------------------------------------------------

    @in_need
    def extend(self, lease: Lease, task: Task | None, *, seen: Task | None = None, step: Step | None = None) -> None:
        path = self._place.lease_path(lease)
        contents = [] if task is None else [task_document(task, self._place.max_file_bytes)]
        try:
            with self._place.beside(*contents) as document, self._place.moves.of(lease.task_id):
                self._check_held(path, lease, None)  # an expiry under way ends first: then the beat is refused
                if document and files.exists(self._place.result_path(lease.task_id)):
                    raise _lost(lease)  # finished: its claim is on the way to done, and must not be written anew
                self._check_seen(path, lease, seen)
                for content in document:
                    files.move(content, path)  # the instant: the new content, and a sign of life, in one
                if not document:
                    files.touch(path)  # the instant: observers see a new sign of life
        except FileNotFoundError:
            raise _lost(lease) from None
        if task is not None:
            verb, worker, reason = ("extend", lease.worker, None) if step is None else (step.verb, step.worker, None)
            self._recorder.note(Change(verb, lease.task_id, State.CLAIMED, self._clock.now(), task, None, worker,
                                       lease.attempt, reason))

    # -- claimed -> done, dead, cancelled ------------------------------------------------------------------------

    @in_need
    def finish(self, lease: Lease, task: Task | None, result: Result, *, seen: Task | None = None,
               expired: Expired | None = None) -> Result:
        contents = [result_document(result, self._place.max_bytes)]
        if task is not None:
            contents.append(task_document(task, self._place.max_file_bytes))
        path = self._place.lease_path(lease)
        try:
            with self._place.beside(*contents) as (reply, *document), self._place.moves.of(lease.task_id):
                self._check_held(path, lease, expired)
                self._refuse_cancelled(lease, result.state)
                if document and files.exists(self._place.result_path(lease.task_id)):
                    raise FileExistsError  # its claim is on the way to done, and must not be written anew
                self._check_seen(path, lease, seen)
                for content in document:
                    files.move(content, path)
                self._place.publish(reply, self._place.result_path(lease.task_id))  # the instant: the task is finished
        except TaskCancelled:
            raise
        except (FileExistsError, LeaseLost) as error:
            return self._finished_before(lease, result, error)
        self._place.sync("results")
        self._intake.finished(result)
        self._claims.remove(lease)
        self._intake.move_finished(path, result)
        if result.state is State.CANCELLED:
            self._cancels.forget_finished(lease.task_id)
        self._recorder.note(Change(_ENDS[result.state], lease.task_id, result.state, result.completed_at, task, result,
                                   result.worker, result.attempt, result.error_message))
        return result

    def _refuse_cancelled(self, lease: Lease, state: State | None) -> None:
        """Holding the task's lock: nothing but a cancel ends what somebody wants cancelled."""
        if state is not State.CANCELLED and self._cancels.is_asked(lease.task_id):
            raise TaskCancelled(f"task {lease.task_id} is to be cancelled: its result is not wanted any more",
                                task_id=lease.task_id, worker=lease.worker)

    def _finished_before(self, lease: Lease, result: Result, error: Exception) -> Result:
        """The result this very lease wrote before; it may be visible and not on the disk yet. Raises LeaseLost, also
        when it was cancelled meanwhile and ``result`` is another end."""
        standing = self._reading.result(lease.task_id)
        if standing is None or not lease.token or standing.token != lease.token:
            raise _lost(lease) from error
        if standing.state is State.CANCELLED and result.state is not State.CANCELLED:
            raise _lost(lease) from error
        self._place.sync("results")
        return standing

    def _check_held(self, path: str, lease: Lease, expired: Expired | None) -> None:
        """Holding the task's lock: the claim's file is there, and its holder gave no sign since it was judged dead."""
        try:
            number = files.file_number(path)
        except FileNotFoundError:
            raise _lost(lease) from None
        if expired is not None and number[1] != expired.seen:
            raise _lost(lease)

    def _check_seen(self, path: str, lease: Lease, seen: Task | None) -> None:
        """Holding the task's lock: its content is the one that the new one was made from. Raises Overtaken."""
        if seen is not None and self._reading.task_at(path, lease.task_id) != seen:
            raise Overtaken(f"task {lease.task_id} was revised this moment; try again", task_id=lease.task_id)

    # -- claimed -> ready, scheduled -----------------------------------------------------------------------------

    def requeue(self, lease: Lease, task: Task | None, *, seen: Task | None = None,
                expired: Expired | None = None) -> None:
        state = State.READY if task is None or task.not_before is None else State.SCHEDULED
        self._let_go(lease, task, state, seen, expired)
        self._claims.remove(lease)
        self._place.sync(FOLDER_OF[state])
        self._intake.came_back(lease.task_id, state)
        steps = task.history[-1:] if task is not None else ()
        step = next((one for one in steps if one.verb in _LETS_GO), None)  # else it is put back as it was
        self._recorder.note(Change("release" if step is None else step.verb, lease.task_id, state, self._clock.now(),
                                   task, None, lease.worker, lease.attempt, None if step is None else step.reason))

    @in_need
    def _let_go(self, lease: Lease, task: Task | None, state: State, seen: Task | None,
                expired: Expired | None) -> None:
        contents = [] if task is None else [task_document(task, self._place.max_file_bytes)]
        path, target = self._place.lease_path(lease), self._place.task_path(state, lease.task_id)
        try:
            with self._place.beside(*contents) as document, self._place.moves.of(lease.task_id):
                self._check_held(path, lease, expired)
                self._refuse_cancelled(lease, None)
                if files.exists(self._place.result_path(lease.task_id)):
                    raise _lost(lease)
                self._check_seen(path, lease, seen)
                for content in document:
                    files.move(content, path)
                files.move(path, target)  # the instant: nobody holds it any more
        except FileNotFoundError:
            raise _lost(lease) from None

    # -- cancelling, pausing -------------------------------------------------------------------------------------

    @in_need
    def request_cancel(self, lease: Lease, request: CancelRequest) -> None:
        path = self._place.lease_path(lease)
        with self._place.beside(self._cancels.document(request)) as (document,), \
                self._place.moves.of(lease.task_id):
            self._check_held(path, lease, None)
            if files.exists(self._place.result_path(lease.task_id)):
                raise _lost(lease)
            self._cancels.ask(document, lease.task_id)
        self._place.sync("cancelling")

    def cancel_request(self, task_id: str) -> CancelRequest | None:
        return self._cancels.of(task_id)

    def cancel_requests(self) -> list[tuple[str, CancelRequest]]:
        return self._cancels.all()

    def forget_cancel(self, task_id: str) -> None:
        self._cancels.forget_finished(task_id)

    def set_paused(self, types: Collection[str] | None, note: CancelRequest | None) -> None:
        self._pauses.change(types, note)
        if note is None:
            self._intake.ring_for_waiting()

    def paused(self) -> Pauses:
        return self._pauses.now()

    # -- what happens without a caller ---------------------------------------------------------------------------

    def expired(self) -> list[Expired]:
        overdue: list[Expired] = []
        for watched, why in self._claims.overdue(self._claims.look()):
            lease = watched.lease
            task = self._reading.task_at(self._place.lease_path(lease), lease.task_id)
            if task is not None:
                overdue.append(Expired(Claim(task, lease), watched.sign[1], why))
            elif files.exists(self._place.lease_path(lease)):
                folder, _, name = claim_name(lease).rpartition("/")
                self._place.quarantine(f"claimed/{folder}", name, "it cannot be read, and its holder is gone")
        return overdue + self._intake.overdue_foreign()

    def past_deadline(self, now: datetime) -> list[Task]:
        return [*self._taking.take_past_deadline(), *self._intake.past_deadline(now)]

    def settle(self, now: datetime) -> SweepReport:
        self.disk.look()
        return self._when_there_is_room(self._settle, now)

    @in_need
    def _settle(self, now: datetime) -> SweepReport:
        self._place.remake_folders()
        self._taking.give_back_untold()
        self.workers.settle()
        finished = self._batches.finish_left(self._presence)
        removed = self._intake.remove_temporary(self._presence)
        self._upkeep.begin()
        report = self._intake.settle(now)
        return replace(report, removed_temporary=removed, adopted=report.adopted + finished,
                       pruned=self._retention.settle(now))

    def glance(self) -> None:
        if self.bell.waiting_types:
            self._intake.look_at_tasks(wait=False)
        if self.bell.awaited_results:
            self._intake.look_at_awaited()

    # -- looking -------------------------------------------------------------------------------------------------

    def lease_of(self, task_id: str, token: str | None = None) -> Lease | None:
        return self._claims.of(task_id, token) or self._intake.foreign_lease(task_id)

    def find(self, task_id: str) -> Snapshot | None:
        return self._reading.find(task_id)

    def confirm_ends(self) -> None:
        self._place.sync("results")

    def result(self, task_id: str) -> Result | None:
        return self._reading.result(task_id)

    def listing(self, state: State, types: Collection[str] | None, limit: int, *,
                oldest: bool = False) -> list[Snapshot]:
        if (found_by_index := self.index.first_of(state, types, limit, oldest=oldest)) is not None:
            return found_by_index
        if state is State.READY:
            self._intake.look_at_tasks()
            found = (self._reading.find(entry.task_id) for entry in self._line.first(types, limit, oldest=oldest))
            return [snapshot for snapshot in found if snapshot is not None and snapshot.state is State.READY]
        if state is State.CLAIMED:
            return [held for held, _ in self.leases() if types is None or held.task.type in types][:limit]
        return self._reading.listing(state, types, limit)

    def leases(self) -> list[tuple[Snapshot, Lease]]:
        held = self._reading.leases() + self._intake.popped()
        return sorted(held, key=lambda pair: pair[1].claimed_at)

    def latest_results(self, limit: int) -> list[Result]:
        self._intake.catch_up()
        results = (self._reading.result(task_id) for task_id in self._reading.ledger.newest(limit))
        return [result for result in results if result is not None]

    def counts(self) -> Counts:
        self._intake.look_at_tasks()
        self._intake.catch_up()
        counts = self._reading.counts(self._line, self.index.deep_total(State.SCHEDULED))
        return replace(counts, claimed=counts.claimed + len(self._intake.popped()))

    def position(self, task_id: str) -> int | None:
        return self._line.position(task_id)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"task {lease.task_id} is not held by this lease any more", task_id=lease.task_id,
                     worker=lease.worker)
