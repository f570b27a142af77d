"""The store of one folder: a directory per state, a rename per move.

Each method names the instant at which it becomes true. Before that line nothing has happened; after it only tidying
is left, which ``settle`` finishes if this process dies first. The order of the steps is docs/protocol.md, section
"The folder, step by step".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.engine.batches import Batches
from taskspool.engine.bell import Bell
from taskspool.engine.claims import Claims
from taskspool.engine.documents import (
    Incomplete, Unreadable, foreign_holder, parse, result_document, task_document, task_of,
)
from taskspool.engine.intake import Intake
from taskspool.engine.keys import Keys
from taskspool.engine.layout import new_token, worker_folder
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.ready import Entry, entry_of
from taskspool.engine.store import Expired, IdempotencyKey
from taskspool.engine.task import (
    Claim, Counts, Lease, Result, Snapshot, State, SweepReport, Task,
)
from taskspool.errors import LeaseLost, StoreUnavailable, TaskNotClaimable, TaskNotFound
from taskspool.settings import Settings

CLAIM_TRIES = 5


class FileStore:
    """Implements ``store.Store`` on the folder of ``settings``."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.bell = Bell()
        self._clock = clock
        self._place = Place(settings, clock)
        self._presence = Presence(self._place)
        self._claims = Claims(self._place, self._presence)
        self._reading = Reading(self._place, self._claims)
        self._intake = Intake(self._place, self._claims, self._reading, self.bell)
        self._batches = Batches(self._place, self._reading)
        self._keys = Keys(self._place, self._reading)
        self._line = self._intake.line
        self._untold: list[Lease] = []

    # -- taking part ---------------------------------------------------------------------------------------------

    def open(self) -> SweepReport:
        self._presence.take()
        self._claims.remove_empty()
        removed = self._intake.remove_temporary(self._presence)
        adopted = self._batches.finish_left(self._presence)
        return SweepReport(adopted=adopted, finished=self._intake.finish_claimed(), removed_temporary=removed)

    def close(self) -> None:
        self._presence.leave()

    # -- nowhere -> ready ----------------------------------------------------------------------------------------

    def put(self, tasks: Sequence[Task], key: IdempotencyKey | None) -> tuple[list[str], bool]:
        if key is None:
            if len(tasks) == 1:
                self._put_one(tasks[0], task_document(tasks[0], self._place.max_bytes))
            else:
                self._put_all(tasks)
            return [task.id for task in tasks], True
        name = self._keys.name_of(key)
        with self._keys.lock_of(name):
            return self._put_keyed(tasks, key, name)

    def _put_one(self, task: Task, document: bytes) -> None:
        state = State.READY if task.not_before is None else State.SCHEDULED
        self._place.install(document, self._place.task_path(state, task.id))  # the instant: the task exists
        self._place.sync("tasks" if state is State.READY else "scheduled")
        self._intake.arrived(task)

    def _put_all(self, tasks: Sequence[Task]) -> None:
        """The instant is the manifest's rename: from then on all of them come, whoever has to finish it."""
        self._batches.put(tasks)
        for task in tasks:
            self._intake.arrived(task)

    def _put_keyed(self, tasks: Sequence[Task], key: IdempotencyKey, name: str) -> tuple[list[str], bool]:
        """Holding the key's lock. The key is on the disk before the task is visible: a crash between the two leaves
        a key without task, and whoever comes with the same key puts the task under the id the key names."""
        ids = self._keys.known_ids(key, name)
        if ids is None:
            for task in tasks:
                task_document(task, self._place.max_bytes)  # what cannot be written must not use up its key
            self._keys.remember([task.id for task in tasks], key, name)
        else:
            tasks = [replace(task, id=task_id) for task, task_id in zip(tasks, ids, strict=True)]
            tasks = [task for task in tasks if self._reading.find(task.id) is None]
            self._place.sync("keys")  # whoever put them may have died, or failed, before its names were on the disk
            self._place.sync("tasks")
            if not tasks:
                return ids, False
        new_ids, _ = self.put(tasks, None)
        return ids or new_ids, True

    # -- ready -> claimed ----------------------------------------------------------------------------------------

    def take(self, worker: str, types: Collection[str] | None, limit: int, lease_seconds: int) -> list[Claim]:
        worker_folder(worker)  # a name that makes no folder is refused before a task is touched
        claims: list[Claim] = []
        while len(claims) < limit:
            entry = self._line.pop(types) or self._look_and_pop(types)
            if entry is None:
                break
            try:
                claim = self._claim_or_put_back(entry, worker, lease_seconds)
            except StoreUnavailable:
                if claims:
                    break
                raise
            if claim is not None:
                claims.append(claim)
        return claims

    def _look_and_pop(self, types: Collection[str] | None) -> Entry | None:
        """Nothing in the line: other processes may have added something since the last sweep."""
        self._intake.look_at_tasks(wait=False)
        return self._line.pop(types)

    def take_one(self, task_id: str, worker: str, lease_seconds: int) -> Claim:
        worker_folder(worker)
        snapshot = self._reading.find(task_id)
        if snapshot is None:
            raise TaskNotFound(f"no task has the id {task_id}", task_id=task_id)
        claim = None
        if snapshot.state is State.READY:
            self._line.discard(task_id)
            claim = self._claim_or_put_back(entry_of(snapshot.task), worker, lease_seconds)
            snapshot = snapshot if claim else self._reading.find(task_id) or snapshot
        if claim is None and snapshot.state is State.READY:
            raise StoreUnavailable(f"task {task_id} cannot be read this moment", task_id=task_id)
        if claim is None:
            raise TaskNotClaimable(f"task {task_id} is not waiting: it is {snapshot.state.value}", task_id=task_id,
                                   state=snapshot.state.value)
        return claim

    def _claim_or_put_back(self, entry: Entry, worker: str, lease_seconds: int) -> Claim | None:
        try:
            return self._claim(entry, worker, lease_seconds)
        except StoreUnavailable:
            self._line.add(entry)
            raise

    def _claim(self, entry: Entry, worker: str, lease_seconds: int) -> Claim | None:
        """The claim, or None when the task is not to be had (any more): then it is out of the line, or will be."""
        path = self._place.task_path(State.READY, entry.task_id)
        found = self._intake.read_ready(entry.task_id)
        if found is None:
            return None
        task, number = found
        now = self._clock.now()
        token = new_token(self._place.epoch, self._place.slot, lease_seconds, now)
        lease = Lease(task.id, worker, task.next_attempt, token.text, lease_seconds, token.claimed_at)
        target = self._place.lease_path(lease)
        if not self._rename_claim(path, target):
            return None
        self._claims.add(lease)
        try:  # written anew between the look and the rename: look again
            current = task if files.file_number(target) == number else self._reread(target, task.id)
        except FileNotFoundError:  # a foreign result came this moment, and the file has followed it
            self._claims.remove(lease)
            return None
        except StoreUnavailable:
            self._untold.append(lease)
            self._give_back_untold()
            raise
        if current is None:
            self._untold.append(lease)
            self._give_back_untold()
            return None
        return Claim(current, lease)

    def _rename_claim(self, path: str, target: str) -> bool:
        """False when somebody was faster."""
        for _ in range(CLAIM_TRIES):
            try:
                files.move(path, target)  # the instant: the task is this worker's
            except FileNotFoundError:
                if not files.exists(path):
                    return False
                files.make_folder(target.rpartition("/")[0])  # a start may remove it again: it was empty
            else:
                return True
        raise StoreUnavailable(f"the folder of {target} does not stay")

    def _give_back_untold(self) -> None:
        """Claims -> ready, that nobody was told of because looking at them failed. Tried until it works."""
        for lease in [self._untold.pop() for _ in range(len(self._untold))]:
            try:
                with self._place.moves.of(lease.task_id):
                    files.move(self._place.lease_path(lease), self._place.task_path(State.READY, lease.task_id))
            except FileNotFoundError:
                pass  # finished, or given back, by somebody else
            except StoreUnavailable:
                self._untold.append(lease)
                continue
            self._claims.remove(lease)
            self._intake.came_back(lease.task_id, State.READY)

    def _reread(self, path: str, task_id: str) -> Task | None:
        """The task as it is now; None when it is not claimable as it stands."""
        try:
            document = parse(files.read(path, self._place.max_file_bytes)[0])
            return None if foreign_holder(document) else task_of(document, task_id, self._clock.now())
        except (Incomplete, Unreadable, files.NotRegular):
            return None

    # -- claimed -> claimed --------------------------------------------------------------------------------------

    def extend(self, lease: Lease) -> None:
        try:
            with self._place.moves.of(lease.task_id):  # an expiry under way ends first: then the beat is refused
                files.touch(self._place.lease_path(lease))  # the instant: observers see a new sign of life
        except FileNotFoundError:
            raise _lost(lease) from None

    # -- claimed -> done, dead -----------------------------------------------------------------------------------

    def finish(self, lease: Lease, task: Task | None, result: Result, *, expired: Expired | None = None) -> Result:
        contents = [result_document(result, self._place.max_bytes)]
        if task is not None:
            contents.append(task_document(task, self._place.max_file_bytes))
        path = self._place.lease_path(lease)
        try:
            with self._place.beside(*contents) as (reply, *document), self._place.moves.of(lease.task_id):
                self._check_held(path, lease, expired)
                for content in document:
                    files.move(content, path)
                files.publish(reply, self._place.result_path(lease.task_id))  # the instant: the task is finished
        except (FileExistsError, LeaseLost) as error:
            return self._finished_before(lease, error)
        self._place.sync("results")
        self._intake.finished(result)
        self._claims.remove(lease)
        self._intake.move_finished(path, result)
        return result

    def _finished_before(self, lease: Lease, error: Exception) -> Result:
        """The result this very lease wrote before; it may be visible and not on the disk yet. Raises LeaseLost."""
        standing = self._reading.result(lease.task_id)
        if standing is None or not lease.token or standing.token != lease.token:
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

    # -- claimed -> ready, scheduled -----------------------------------------------------------------------------

    def requeue(self, lease: Lease, task: Task | None, *, expired: Expired | None = None) -> None:
        state = State.READY if task is None or task.not_before is None else State.SCHEDULED
        contents = [] if task is None else [task_document(task, self._place.max_file_bytes)]
        path, target = self._place.lease_path(lease), self._place.task_path(state, lease.task_id)
        try:
            with self._place.beside(*contents) as document, self._place.moves.of(lease.task_id):
                self._check_held(path, lease, expired)
                if files.exists(self._place.result_path(lease.task_id)):
                    raise _lost(lease)
                for content in document:
                    files.move(content, path)
                files.move(path, target)  # the instant: nobody holds it any more
        except FileNotFoundError:
            raise _lost(lease) from None
        self._claims.remove(lease)
        self._place.sync("tasks" if state is State.READY else "scheduled")
        self._intake.came_back(lease.task_id, state)

    # -- what happens without a caller ---------------------------------------------------------------------------

    def expired(self) -> list[Expired]:
        overdue: list[Expired] = []
        for watched in self._claims.overdue(self._claims.look()):
            task = self._reading.task_at(self._place.lease_path(watched.lease), watched.lease.task_id)
            if task is not None:
                overdue.append(Expired(Claim(task, watched.lease), watched.sign[1]))
        return overdue + self._intake.overdue_foreign()

    def settle(self, now: datetime) -> SweepReport:
        self._give_back_untold()
        finished = self._batches.finish_left(self._presence)
        removed = self._intake.remove_temporary(self._presence)
        report = self._intake.settle(now)
        return replace(report, removed_temporary=removed, adopted=report.adopted + finished)

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

    def result(self, task_id: str) -> Result | None:
        return self._reading.result(task_id)

    def listing(self, state: State, types: Collection[str] | None, limit: int, *,
                oldest: bool = False) -> list[Snapshot]:
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
        counts = self._reading.counts(self._line)
        return replace(counts, claimed=counts.claimed + len(self._intake.popped()))

    def position(self, task_id: str) -> int | None:
        return self._line.position(task_id)

    def prune(self, before: datetime) -> int:
        self._intake.catch_up()
        pruned = self._reading.prune(before)
        self._keys.forget(before)
        return pruned

    def problems(self) -> Iterable[str]:
        return self._reading.problems()


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"task {lease.task_id} is not held by this lease any more", task_id=lease.task_id,
                     worker=lease.worker)
