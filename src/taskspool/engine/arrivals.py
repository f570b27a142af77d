"""Nowhere -> ready, scheduled: one task, many at once, with an idempotency key, with a unique key.

Locks are taken in one order everywhere: unique key, idempotency key, task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import datetime

from taskspool.engine.batch import BatchRecord, belonging, record_of
from taskspool.engine.batches import Batches
from taskspool.engine.documents import task_document
from taskspool.engine.events import Change
from taskspool.engine.intake import Intake
from taskspool.engine.keys import UNIQUE, Keys
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.recorder import Recorder
from taskspool.engine.store import IdempotencyKey
from taskspool.engine.task import Snapshot, State, Task
from taskspool.errors import DuplicateTask

Replace = Callable[[Snapshot, str], AbstractContextManager[bool]]
"""(the task that has the key, the id of the one that wants it) -> a context in which it is held, if that is True; it
ends with the context."""


class Arrivals:
    def __init__(self, place: Place, reading: Reading, intake: Intake, batches: Batches, recorder: Recorder) -> None:
        self._place = place
        self._reading = reading
        self._intake = intake
        self._batches = batches
        self._recorder = recorder
        self._keys = Keys(place, reading)

    def forget_keys(self, before: datetime, names: Iterable[str] | None = None) -> None:
        """See ``Keys.forget``."""
        self._keys.forget(before, names)

    def put(self, tasks: Sequence[Task], key: IdempotencyKey | None,
            batch: BatchRecord | None = None) -> tuple[list[str], bool]:
        if key is None:
            if len(tasks) == 1 and batch is None:
                self._put_one(tasks[0])
            else:
                self._put_all(tasks, batch)
            return [task.id for task in tasks], True
        name = self._keys.name_of(key.key)
        with self._keys.lock_of(name):
            return self._put_keyed(tasks, key, name, batch)

    def _put_one(self, task: Task) -> None:
        self._place.disk.refuse_if_low()
        state = State.READY if task.not_before is None else State.SCHEDULED
        document = task_document(task, self._place.max_bytes)
        self._place.install(document, self._place.task_path(state, task.id))  # the instant: the task exists
        self._place.sync("tasks" if state is State.READY else "scheduled")
        self._arrived(task)

    def _put_all(self, tasks: Sequence[Task], batch: BatchRecord | None) -> None:
        """The instant is the manifest's rename: from then on all of them come, whoever has to finish it."""
        self._place.disk.refuse_if_low()
        self._batches.put(tasks, batch)
        for task in tasks:
            self._arrived(task)

    def _arrived(self, task: Task) -> None:
        self._intake.arrived(task)
        state = State.READY if task.not_before is None else State.SCHEDULED
        self._recorder.note(Change("enqueue", task.id, state, task.created_at, task))

    def _put_keyed(self, tasks: Sequence[Task], key: IdempotencyKey, name: str,
                   batch: BatchRecord | None = None) -> tuple[list[str], bool]:
        """Holding the key's lock. The key is on the disk before the task is visible: a crash between the two leaves
        a key without task, and whoever comes with the same key puts the task under the id the key names."""
        ids = self._keys.known_ids(key, name)
        if ids is None:
            self._place.disk.refuse_if_low()
            for task in tasks:
                task_document(task, self._place.max_bytes)  # what cannot be written must not use up its key
            self._keys.remember([task.id for task in tasks], key, name)
        else:
            tasks = [replace(task, id=task_id) for task, task_id in zip(tasks, ids, strict=True)]
            if batch is not None:
                tasks = belonging(tasks)
                batch = record_of(tasks, batch.name)
            tasks = [task for task in tasks if self._reading.find(task.id) is None]
            for folder in ("keys", "tasks", "scheduled", *(() if batch is None else ("meta", "batches"))):
                self._place.sync(folder)  # whoever put them may have died, or failed, before the names were on the disk
            if not tasks and (batch is None or self._batches.record(batch.id) is not None):
                return ids, False
        new_ids, _ = self.put(tasks, None, batch)
        return ids or new_ids, True

    # -- unique among the unfinished -----------------------------------------------------------------------------

    def put_unique(self, task: Task, key: IdempotencyKey | None, on_conflict: str,
                   make_room: Replace) -> tuple[list[str], bool]:
        """``put`` for a task with a unique key. The record of the key is on the disk before the task is visible; one
        that names no unfinished task says nothing, so a crash between the two leaves no trace. The one that is to be
        replaced is held meanwhile, and stands second in the record until this one is there.

        Raises DuplicateTask.
        """
        name = self._unique_name(task)
        with self._place.uniques.of(name):
            known = None if key is None else self._keys.known_ids(key, self._keys.name_of(key.key))
            if known is not None:
                task = replace(task, id=known[0])  # its key came before, with it or without
                if self._reading.find(task.id) is not None:
                    return self.put([task], key)
            standing = self._holder(name)
            if standing is None:
                return self._put_owner(task, key, [task.id])
            if on_conflict == "existing":
                return self._same_again(standing.task.id, key)
            if on_conflict != "replace":
                raise _duplicate(task, standing)
            with make_room(standing, task.id) as is_free:
                if is_free:
                    return self._put_owner(task, key, [task.id, standing.task.id])
            raise _duplicate(task, standing)

    def _unique_name(self, task: Task) -> str:
        return f"{UNIQUE}{self._keys.name_of(str(task.options.unique_key))}"

    def _put_owner(self, task: Task, key: IdempotencyKey | None, ids: list[str]) -> tuple[list[str], bool]:
        self._place.disk.refuse_if_low()
        task_document(task, self._place.max_bytes)  # what cannot be written must not use up its key
        name = self._unique_name(task)
        self._keys.remember(ids, IdempotencyKey(name, ""), name)
        return self.put([task], key)

    def _same_again(self, task_id: str, key: IdempotencyKey | None) -> tuple[list[str], bool]:
        """The task that has the key stands for this one; the idempotency key remembers that."""
        self._place.sync("tasks")  # whoever put it may have died, or failed, before its name was on the disk
        self._place.sync("scheduled")
        if key is not None:
            name = self._keys.name_of(key.key)
            with self._keys.lock_of(name):
                self._keys.known_ids(key, name)  # raises IdempotencyConflict: it came this moment with another body
                self._keys.remember([task_id], key, name)
        return [task_id], False

    def successor(self, task: Task) -> str | None:
        """The task that was put in the place of this one, and has its unique key; None when it was not put."""
        if task.options.unique_key is None:
            return None
        name = self._unique_name(task)
        with self._place.uniques.of(name):  # a put under way comes first
            ids = self._keys.known_ids(IdempotencyKey(name, ""), name)
            if not ids or ids[0] == task.id or self._reading.find(ids[0]) is None:
                return None
            return ids[0]

    @contextmanager
    def unique_again(self, task: Task) -> Iterator[None]:
        """While a finished task is made to wait again its unique key, if it has one, is nobody else's.

        Raises DuplicateTask.
        """
        if task.options.unique_key is None:
            yield
            return
        name = self._unique_name(task)
        with self._place.uniques.of(name):
            standing = self._holder(name)
            if standing is not None and standing.task.id != task.id:
                raise _duplicate(task, standing)
            self._keys.remember([task.id], IdempotencyKey(name, ""), name)
            yield

    def _holder(self, name: str) -> Snapshot | None:
        """The unfinished task that has the unique key."""
        found = map(self._reading.find, self._keys.known_ids(IdempotencyKey(name, ""), name) or ())
        return next((one for one in found if one is not None and not one.state.is_final), None)


def _duplicate(task: Task, standing: Snapshot) -> DuplicateTask:
    return DuplicateTask(f"task {standing.task.id} has the unique key {task.options.unique_key!r} and is "
                         f"{standing.state.value}", task_id=standing.task.id, field="unique_key",
                         rule="one unfinished task", state=standing.state.value)
