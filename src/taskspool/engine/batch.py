"""A batch as a value: a set of tasks that were created together, and how far they are."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from taskspool.engine.names import check_name
from taskspool.engine.task import NewTask, Snapshot, State, Task
from taskspool.errors import InvalidRequest

MAX_BATCH_TASKS = 1000


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """Which tasks belong together: what is written down, once. ``name`` is for people and need not be unique."""

    id: str
    name: str | None
    task_ids: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it stands now. ``counts`` are its tasks per state, ``missing`` those that were pruned since.

    ``finished_at`` is when the last of them ended, None while one has not, or when all were pruned. ``created`` tells
    whether the call that returned it made it, or an idempotency key had brought it before.
    """

    record: BatchRecord
    counts: Mapping[State, int]
    missing: int
    finished_at: datetime | None
    created: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether none of its tasks waits or is worked on."""
        return not any(number for state, number in self.counts.items() if not state.is_final)


def batch_id_of(first_task_id: str) -> str:
    """The id of the batch that begins with this task: of the same age, but another. Whoever comes with the same
    idempotency key, which keeps the ids of tasks, so names the same batch."""
    return first_task_id[:24] + hashlib.sha256(first_task_id.encode()).hexdigest()[:12]


def record_of(tasks: Sequence[Task], name: str | None) -> BatchRecord:
    """The record of the batch that ``tasks`` make."""
    return BatchRecord(batch_id_of(tasks[0].id), name, tuple(task.id for task in tasks), tasks[0].created_at)


def belonging(tasks: Sequence[Task]) -> list[Task]:
    """``tasks`` with the id of the batch they make."""
    batch_id = batch_id_of(tasks[0].id)
    return [replace(task, options=replace(task.options, batch_id=batch_id)) for task in tasks]


def batch_of(record: BatchRecord, found: Collection[Snapshot | None], *, created: bool = False) -> Batch:
    """``record`` with what was found of its tasks, None for one that is gone."""
    there = [snapshot for snapshot in found if snapshot is not None]
    counted = Counter(snapshot.state for snapshot in there)
    batch = Batch(record, {state: counted[state] for state in State}, len(found) - len(there), None, created)
    if there and batch.is_finished:
        return replace(batch, finished_at=max(snapshot.updated_at for snapshot in there))
    return batch


def check_batch(news: Sequence[NewTask], name: str | None) -> None:
    """Raises InvalidRequest naming the field and the rule."""
    if not 1 <= len(news) <= MAX_BATCH_TASKS:
        rule = f"1..{MAX_BATCH_TASKS} tasks"
        raise InvalidRequest(f"a batch must hold {rule}, not {len(news)}", field="tasks", rule=rule)
    if name is not None:
        check_name("name", name)
    if any(new.options.unique_key is not None for new in news):
        raise InvalidRequest("unique_key is for tasks that are submitted one by one", field="unique_key",
                             rule="not in a batch")
