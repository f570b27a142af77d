"""Looking without moving: find a task, its result, list, count."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from taskspool.engine import files
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Unreadable, foreign_holder, parse, result_of, task_of
from taskspool.engine.layout import FINAL_STATES, FOLDER_OF, id_of
from taskspool.engine.ledger import Ledger
from taskspool.engine.place import Place
from taskspool.engine.ready import ReadyLine
from taskspool.engine.task import Counts, Lease, Result, Snapshot, State, Task


class Reading:
    def __init__(self, place: Place, claims: Claims) -> None:
        self.ledger = Ledger()
        self._place = place
        self._claims = claims

    # -- one task ------------------------------------------------------------------------------------------------

    def find(self, task_id: str) -> Snapshot | None:
        """Where the task is. A task in flight between two folders can be missed, so nothing is called unknown before
        a second look with its lock held: then only moves *along* the order of looking can happen."""
        snapshot = self._look(task_id)
        if snapshot is None:
            with self._place.moves.of(task_id):
                snapshot = self._look(task_id)
        return snapshot

    def _look(self, task_id: str) -> Snapshot | None:
        result = self.result(task_id)
        if result is not None:
            return self._finished(task_id, result)
        for state in (State.SCHEDULED, State.READY):
            if (snapshot := self._waiting(state, task_id)) is not None:
                return snapshot
        lease = self._claims.of(task_id)
        if lease is not None:
            return self._claimed(lease)
        result = self.result(task_id)
        return None if result is None else self._finished(task_id, result)

    def _waiting(self, state: State, task_id: str) -> Snapshot | None:
        try:
            content, number = files.read(self._place.task_path(state, task_id), self._place.max_file_bytes)
            document = parse(content)
            task = task_of(document, task_id, _instant(number))
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None
        holder = foreign_holder(document)
        if holder is not None:
            return Snapshot(task, State.CLAIMED, _instant(number), holder)
        return Snapshot(task, state, task.created_at)

    def _claimed(self, lease: Lease) -> Snapshot | None:
        path = self._place.lease_path(lease)
        task = self.task_at(path, lease.task_id)
        try:
            seen_at = _instant(files.file_number(path))  # a rename keeps it: it may be older than the lease
        except FileNotFoundError:
            return None
        if task is None:
            return None
        return Snapshot(task, State.CLAIMED, lease.claimed_at, lease.worker, lease, max(seen_at, lease.claimed_at))

    def _finished(self, task_id: str, result: Result) -> Snapshot:
        """A result makes a task finished, wherever its file is; a foreign worker may have deleted the file."""
        paths = (self._place.task_path(state, task_id) for state in (*FINAL_STATES, State.READY, State.SCHEDULED))
        task = next((task for path in paths if (task := self.task_at(path, task_id)) is not None), None)
        if task is None and (lease := self._claims.of(task_id)) is not None:
            task = self.task_at(self._place.lease_path(lease), task_id)
        if task is None:
            task = Task(task_id, "unknown", {}, "unknown", result.completed_at)
        return Snapshot(task, result.state, result.completed_at, result.worker)

    def task_at(self, path: str, task_id: str) -> Task | None:
        """The task in the file; None when there is none that can be read."""
        try:
            content, number = files.read(path, self._place.max_file_bytes)
            return task_of(parse(content), task_id, _instant(number))
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None

    def waiting_at(self, path: str, task_id: str) -> Task | None:
        """As ``task_at``, for a task that waits: None also when an old program has popped it in place."""
        try:
            content, number = files.read(path, self._place.max_file_bytes, only_link=True)
            document = parse(content)
            return None if foreign_holder(document) else task_of(document, task_id, _instant(number))
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None

    def result(self, task_id: str) -> Result | None:
        """The result; None while there is none, or while a foreign worker is still writing it."""
        try:
            content, number = files.read(self._place.result_path(task_id), self._place.max_file_bytes)
            return result_of(content, task_id, _instant(number))
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None

    def heard(self, task_id: str, state: str) -> None:
        """Another process says where the task is now: a result known here may be gone, or another one, by a retry."""
        if self.ledger.state_of(task_id) not in (None, state):
            self.ledger.forget(task_id)
            if (result := self.result(task_id)) is not None:
                self.ledger.add(result)

    # -- many tasks ----------------------------------------------------------------------------------------------

    def listing(self, state: State, types: Collection[str] | None, limit: int) -> list[Snapshot]:
        """What is scheduled, or the newest of what is finished; by name, as ``ls`` shows them."""
        names = sorted(filter(None, map(id_of, files.names(self._place.path(FOLDER_OF[state])))))
        names = names[-limit:] if state.is_final and types is None else names
        found = [self.find(name) for name in names]
        kept = [one for one in found if one is not None and (types is None or one.task.type in types)]
        return kept[-limit:] if state.is_final else kept[:limit]

    def leases(self) -> list[tuple[Snapshot, Lease]]:
        found = ((self._claimed(lease), lease) for lease in self._claims.look())
        return [(snapshot, lease) for snapshot, lease in found if snapshot is not None]

    def counts(self, line: ReadyLine, scheduled: int | None) -> Counts:
        """``scheduled`` None: few enough to count them in their folder."""
        def size(folder: str) -> int:
            return sum(id_of(name) is not None for name in files.names(self._place.path(folder)))

        failures, cancelled, results = self.ledger.failures, self.ledger.cancelled, len(self.ledger)
        reasons = sum(name.endswith(".reason.txt") for name in files.names(self._place.path("quarantine")))
        return Counts(
            scheduled=size("scheduled") if scheduled is None else scheduled, ready=len(line),
            claimed=len(self._claims.look()),
            done=results - failures - cancelled, dead=failures, cancelled=cancelled, results=results,
            quarantined=reasons, ready_by_priority=line.sizes(), mean_duration_seconds=self.ledger.mean_seconds,
        )


def _instant(number: files.FileNumber) -> datetime:
    return datetime.fromtimestamp(number[1] / 1e9, UTC)
