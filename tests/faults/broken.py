"""The protocol, broken on purpose: one small mistake each, of the kind that looks right in a review.

Every function here changes the engine of the *calling process*: it is called in a forked child that is thrown away.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from taskspool.engine import endings, file_store, files, intake, lifecycle, presence
from taskspool.engine.arrivals import Arrivals
from taskspool.engine.batches import Batches
from taskspool.engine.claims import Claims
from taskspool.engine.file_store import FileStore
from taskspool.engine.intake import Intake
from taskspool.engine.layout import owner_of
from taskspool.engine.lifecycle import Queue
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.retention import Retention
from taskspool.engine.taking import Taking
from taskspool.engine.task import Lease, State, Task

BROKEN: dict[str, Callable[[], None]] = {}


def variant(change: Callable[[], None]) -> Callable[[], None]:
    BROKEN[change.__name__] = change
    return change


@variant
def visible_before_it_is_written() -> None:
    """The public name is given first, the content written after."""
    def install(self: Place, content: bytes, target: str) -> None:
        files.write_new(f"{target}.new", b"", sync=False)
        files.move(f"{target}.new", target)
        descriptor = files.os.open(target, os.O_WRONLY)
        files.os.write(descriptor, content)
        os.close(descriptor)

    Place.install = install  # type: ignore[method-assign]


@variant
def written_in_place() -> None:
    """The claim's content is rewritten where it stands, not beside and over."""
    real = files.move

    def move(source: str, target: str) -> None:
        if "/tmp/" not in source or "/claimed/" not in target:
            real(source, target)
            return
        with open(source, "rb") as file:
            content = file.read()
        descriptor = files.os.open(target, os.O_WRONLY | os.O_TRUNC)
        files.os.write(descriptor, content)
        os.close(descriptor)
        os.unlink(source)

    files.move = move


@variant
def result_after_the_move() -> None:
    """The task goes to done first, its result is written after: a crash between leaves a task done without one."""
    def finish(self: FileStore, lease: Lease, task: Task | None, result: Any, *, seen: Any = None,
               expired: Any = None) -> Any:
        path = self._place.lease_path(lease)
        with self._place.moves.of(lease.task_id):
            self._check_held(path, lease, expired)
            self._intake.move_finished(path, result)
        content = file_store.result_document(result, self._place.max_bytes)
        self._place.install(content, self._place.result_path(lease.task_id))
        self._intake.finished(result)
        return result

    FileStore.finish = finish  # type: ignore[method-assign]


@variant
def lease_not_checked() -> None:
    """Whoever has a token, however old, may finish."""
    FileStore._check_held = lambda *_: None  # type: ignore[method-assign]
    Queue._held = lambda self, task_id, token: Lease(  # type: ignore[method-assign]
        task_id, "w", 1, token, 60, self.clock.now())


@variant
def token_not_compared() -> None:
    """Whoever knows the id may finish what somebody else holds."""
    def held(self: Queue, task_id: str, token: str) -> Lease:
        lease = self.store.lease_of(task_id)
        if lease is None:
            self.task(task_id)
            raise lifecycle.LeaseLost("nobody holds it", task_id=task_id)
        return lease

    Queue._held = held  # type: ignore[method-assign]


@variant
def key_after_the_task() -> None:
    """The idempotency key is written when the task is there already: a crash between makes two tasks of one key."""
    def put_keyed(self: Arrivals, tasks: Any, key: Any, name: str, batch: Any = None) -> Any:
        ids = self._keys.known_ids(key, name)
        if ids is not None:
            return ids, False
        ids, _ = self.put(tasks, None, batch)
        self._keys.remember(ids, key, name)
        return ids, True

    Arrivals._put_keyed = put_keyed  # type: ignore[method-assign]


@variant
def batch_without_manifest() -> None:
    """The tasks of a batch are put one after the other."""
    Batches.put = Batches._deliver  # type: ignore[method-assign, assignment]


@variant
def batch_manifest_goes_first() -> None:
    """The manifest is removed before the tasks are delivered."""
    real = Batches._deliver

    def deliver(self: Batches, tasks: Any) -> None:
        for name in files.names(self._place.path("meta")):
            if name.startswith("batch-"):
                files.discard(self._place.path("meta", name))
        real(self, tasks)

    Batches._deliver = deliver  # type: ignore[method-assign]


@variant
def undelivered_batch_is_forgotten() -> None:
    """Nobody finishes what a dead writer had accepted."""
    Batches.finish_left = lambda *_: 0  # type: ignore[method-assign]


@variant
def expiry_ignores_the_result() -> None:
    """A claim whose result stands is given back when its holder is gone."""
    real = files.exists
    file_store.files = changed(files, exists=lambda path: False if "/results/" in path else real(path))
    Intake.finish_claimed = lambda self: 0  # type: ignore[method-assign]


@variant
def claim_by_copy_and_unlink() -> None:
    """The claim is written anew and the waiting file removed after: for a moment it is there twice."""
    real = files.move

    def move(source: str, target: str) -> None:
        if "/tasks/" not in source or "/claimed/" not in target:
            real(source, target)
            return
        with open(source, "rb") as file:
            content = file.read()
        os.makedirs(os.path.dirname(target), exist_ok=True)
        files.write_new(target, content, sync=False)
        files.os.unlink(source)

    files.move = move


@variant
def claim_without_rename() -> None:
    """The claim is only remembered, the file stays where it is."""
    def rename(self: Taking, path: str, target: str) -> bool:
        if not files.exists(path):
            return False
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            files.os.link(path, target)
        except FileExistsError:
            return False
        return True

    Taking._rename_claim = rename  # type: ignore[method-assign]


@variant
def recovery_drops_claims_with_a_result() -> None:
    """A claim whose result stands is deleted at the start, not moved to done."""
    def finish_claimed(self: Intake) -> int:
        for lease in self._claims.look():
            if files.exists(self._place.result_path(lease.task_id)):
                files.discard(self._place.lease_path(lease))
                self._place.install(b"{}", self._place.task_path(State.DONE, lease.task_id))
        return 0

    Intake.finish_claimed = finish_claimed  # type: ignore[method-assign]


@variant
def local_claims_of_the_dead_live_for_ever() -> None:
    """A slot number is taken for a living process, whoever has it now."""
    presence.Presence.is_alive = lambda self, slot, epoch: True  # type: ignore[method-assign]


@variant
def everything_expires_at_the_start() -> None:
    """A process that just came takes every claim for one whose lease is over."""
    def overdue(self: Claims, leases: list[Lease]) -> list[Any]:
        return [(watched, "silent") for lease in leases if (watched := self._observe(lease)) is not None]

    Claims.overdue = overdue  # type: ignore[method-assign]


@variant
def half_a_file_is_quarantined_at_once() -> None:
    """What cannot be read yet is put aside without waiting: a slow writer loses its task."""
    Intake._suspect = lambda self, name, reason, now: self._quarantine(name, reason)  # type: ignore[method-assign]


@variant
def half_a_file_is_believed() -> None:
    """What is not whole JSON is a task without content."""
    real = intake.parse

    def parse(content: bytes) -> Any:
        try:
            return real(content)
        except intake.Unreadable:
            return {"type": "unknown", "data": {}}

    intake.parse = parse


@variant
def sweep_removes_what_the_living_write() -> None:
    """Files in tmp are unlinked whoever they belong to."""
    def remove(self: Intake, presence: Any) -> int:
        names = [name for name in files.names(self._place.path("tmp")) if owner_of(name) != (0, 0)]
        return sum(files.discard(self._place.path("tmp", name)) for name in names)

    Intake.remove_temporary = remove  # type: ignore[method-assign]


@variant
def names_in_tmp_are_used_again() -> None:
    """What a dead process left in tmp stays: its successor meets its own name there, and does not start."""
    presence.Presence._remove_predecessors = lambda self: None  # type: ignore[method-assign]


@variant
def failed_fsync_is_acknowledged() -> None:
    """An fsync that failed is logged and forgotten."""
    real = files.DirectorySync._fsync

    def fsync(self: files.DirectorySync) -> None:
        try:
            real(self)
        except OSError:
            pass

    files.DirectorySync._fsync = fsync  # type: ignore[method-assign]


@variant
def name_not_fsynced() -> None:
    """The file is on the disk, its name is not."""
    files.DirectorySync.wait = lambda self: None  # type: ignore[method-assign]


@variant
def content_not_fsynced() -> None:
    """The name is on the disk, the content may not be."""
    real = files.write_new
    files.write_new = lambda path, content, *, sync, **_: real(path, content, sync=False)


@variant
def replay_without_fsync() -> None:
    """A result that stands is acknowledged although its name may not be on the disk."""
    def standing(self: Queue, task_id: str, token: str) -> Any:
        result = self.store.result(task_id)
        if result is None or result.token != token:
            raise lifecycle.LeaseLost("gone", task_id=task_id)
        return result

    Queue._standing = standing  # type: ignore[method-assign]


@variant
def retry_counts_twice() -> None:
    """A failure whose content was written before the crash is counted again after it."""
    lifecycle.uncounted = endings.uncounted = lambda task, lease: 1


@variant
def no_lock_between_check_and_move() -> None:
    """A finish and an expiry may come between each other's check and move."""
    files.ShardLocks.of = lambda self, name: nullcontext()  # type: ignore[method-assign, assignment, return-value]


@variant
def publish_over_what_is_there() -> None:
    """A result is renamed over whatever stands: the second one wins."""
    files.publish = os.rename


@variant
def prune_takes_the_result_first() -> None:
    """A crash between leaves a finished task without result."""
    def forget(self: Retention, task_id: str, limits: Any) -> bool:
        files.discard(self._place.result_path(task_id))
        for state in (State.DONE, State.DEAD):
            files.discard(self._place.task_path(state, task_id))
        return True

    Retention._forget = forget  # type: ignore[method-assign]


@variant
def find_looks_only_once() -> None:
    """A task that moves while it is looked for is called unknown."""
    def look(self: Reading, task_id: str) -> Any:
        for state in (State.READY, State.SCHEDULED):
            if (snapshot := self._waiting(state, task_id)) is not None:
                return snapshot
        result = self.result(task_id)
        if result is not None:
            return self._finished(task_id, result)
        lease = self._claims.of(task_id)
        return None if lease is None else self._claimed(lease)

    Reading.find = look  # type: ignore[method-assign]


def changed(module: Any, **names: Any) -> Any:
    """``module`` with some names changed, for one of its users."""
    class Changed:
        def __getattr__(self, name: str) -> Any:
            return names.get(name) or getattr(module, name)

    return Changed()
