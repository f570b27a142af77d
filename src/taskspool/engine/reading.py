"""Looking without moving: find a task, its result, list, count, and say what is not in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime

from taskspool.engine import files
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Unreadable, foreign_holder, parse, result_of, task_of
from taskspool.engine.layout import FINAL_STATES, FOLDER_OF, id_of, is_temporary
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
        task = self.task_at(self._place.lease_path(lease), lease.task_id)
        return None if task is None else Snapshot(task, State.CLAIMED, lease.claimed_at, lease.worker, lease)

    def _finished(self, task_id: str, result: Result) -> Snapshot:
        """A result makes a task finished, wherever its file is; a foreign worker may have deleted the file."""
        paths = (self._place.task_path(state, task_id) for state in (*FINAL_STATES, State.READY, State.SCHEDULED))
        task = next((task for path in paths if (task := self.task_at(path, task_id)) is not None), None)
        if task is None and (lease := self._claims.of(task_id)) is not None:
            task = self.task_at(self._place.lease_path(lease), task_id)
        if task is None:
            task = Task(task_id, "unknown", {}, "unknown", result.completed_at)
        return Snapshot(task, State.DONE if result.is_success else State.DEAD, result.completed_at, result.worker)

    def task_at(self, path: str, task_id: str) -> Task | None:
        """The task in the file; None when there is none that can be read."""
        try:
            content, number = files.read(path, self._place.max_file_bytes)
            return task_of(parse(content), task_id, _instant(number))
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None

    def result(self, task_id: str) -> Result | None:
        """The result; None while there is none, or while a foreign worker is still writing it."""
        try:
            content, number = files.read(self._place.result_path(task_id), self._place.max_file_bytes)
            return result_of(content, task_id, _instant(number))
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return None

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

    def counts(self, line: ReadyLine) -> Counts:
        def size(folder: str) -> int:
            return sum(id_of(name) is not None for name in files.names(self._place.path(folder)))

        failures, results = self.ledger.failures, len(self.ledger)
        reasons = sum(name.endswith(".reason.txt") for name in files.names(self._place.path("quarantine")))
        return Counts(
            scheduled=size("scheduled"), ready=len(line), claimed=len(self._claims.look()), done=results - failures,
            dead=failures, cancelled=size("cancelled"), results=results, quarantined=reasons,
            ready_by_priority=line.sizes(), mean_duration_seconds=self.ledger.mean_seconds,
        )

    def prune(self, before: datetime) -> int:
        """The task's file goes first: what a crash leaves is a result alone, which counts as a finished task."""
        pruned = 0
        for task_id in self.ledger.ids():
            result = self.result(task_id)
            if result is None or result.completed_at >= before:
                continue
            with self._place.moves.of(task_id):
                paths = [self._place.task_path(state, task_id) for state in FINAL_STATES]
                for path in paths:
                    files.discard(path)
                if any(map(files.exists, paths)) or not files.discard(self._place.result_path(task_id)):
                    continue  # the disk refused: its result stays, until both can go
                self.ledger.forget(task_id)
                pruned += 1
        return pruned

    # -- is everything in order ----------------------------------------------------------------------------------

    def problems(self) -> Iterator[str]:
        """A sentence for every combination of files that is not legal (docs/lifecycle.md)."""
        seen: dict[str, str] = {}
        results = set(filter(None, map(id_of, files.names(self._place.path("results")))))
        for folder in ("scheduled", "tasks", "done", "dead", "cancelled"):
            for name in files.names(self._place.path(folder)):
                yield from self._problems_of(folder, name, seen, results)
        for lease in self._claims.look():
            if lease.task_id in seen:
                yield f"{lease.task_id} is in claimed/ and in {seen[lease.task_id]}/"
            if lease.task_id in results:
                yield f"{lease.task_id} has a result, but is still in claimed/"
            if self._claimed(lease) is None and files.exists(self._place.lease_path(lease)):
                yield f"claimed: {lease.task_id} cannot be read"
        yield from self._broken_results(results)
        yield from self._leftovers()

    def _problems_of(self, folder: str, name: str, seen: dict[str, str], results: set[str]) -> Iterator[str]:
        task_id = id_of(name)
        if task_id is None:
            if not is_temporary(name) or folder != "tasks":
                yield f"{folder}/{name} is not the name of a task"
            return
        if task_id in seen:
            yield f"{task_id} is in {seen[task_id]}/ and in {folder}/"
        seen[task_id] = folder
        path = f"{self._place.path(folder)}/{name}"
        if self.task_at(path, task_id) is None and files.exists(path):
            yield f"{folder}/{name} cannot be read"
        is_final = folder in ("done", "dead", "cancelled")
        if is_final and task_id not in results and not files.exists(self._place.result_path(task_id)):
            yield f"{folder}/{name} has no result"
        if not is_final and task_id in results:
            yield f"{task_id} has a result, but is still in {folder}/"

    def _broken_results(self, results: set[str]) -> Iterator[str]:
        for task_id in results:
            if self.result(task_id) is None and files.exists(self._place.result_path(task_id)):
                yield f"results/{task_id}.json cannot be read"

    def _leftovers(self) -> Iterator[str]:
        own = f"{self._place.slot}-{self._place.epoch}-"
        for name in files.names(self._place.path("tmp")):
            if not name.startswith(own):
                yield f"tmp/{name} was left by a process that died"
        for name in files.names(self._place.path("meta")):
            if name.startswith("batch-"):
                yield f"meta/{name} was accepted, but not delivered"


def _instant(number: files.FileNumber) -> datetime:
    return datetime.fromtimestamp(number[1] / 1e9, UTC)
