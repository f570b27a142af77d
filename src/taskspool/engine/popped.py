"""Tasks that old programs took by rewriting their files in place, as far as this process has seen it.

Such a file's changes are its holder's signs of life; unchanged for a lease, as measured here, it is given back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from taskspool.engine import files
from taskspool.engine.place import Place
from taskspool.engine.store import Expired
from taskspool.engine.task import Claim, Lease, Snapshot, State, Task


@dataclass(frozen=True, slots=True)
class Popped:
    """A task an old program took by rewriting its file in place; ``since`` is monotonic."""

    task: Task
    holder: str
    number: files.FileNumber
    since: float


class PoppedTasks:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._popped: dict[str, Popped] = {}

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._popped

    def ids(self) -> list[str]:
        return list(self._popped)

    def note(self, popped: Popped) -> bool:
        """It was seen so. True when it was not known to be popped."""
        known = self._popped.get(popped.task.id)
        if known is None or known.number != popped.number:
            self._popped[popped.task.id] = replace(popped, since=self._place.clock.monotonic())  # not before the look
        return known is None

    def discard(self, task_id: str) -> None:
        self._popped.pop(task_id, None)

    def lease_of(self, task_id: str) -> Lease | None:
        popped = self._popped.get(task_id)
        return None if popped is None else self._lease(popped)

    def _lease(self, popped: Popped) -> Lease:
        return Lease(popped.task.id, popped.holder, popped.task.next_attempt, "", self._place.settings.lease_seconds,
                     datetime.fromtimestamp(popped.number[1] / 1e9, self._place.clock.now().tzinfo))

    def all(self) -> list[tuple[Snapshot, Lease]]:
        held = ((popped.task, self._lease(popped)) for popped in list(self._popped.values()))
        return [(Snapshot(task, State.CLAIMED, lease.claimed_at, lease.worker), lease) for task, lease in held]

    def overdue(self) -> list[Expired]:
        now = self._place.clock.monotonic()
        return [Expired(Claim(popped.task, self._lease(popped)), popped.number[1])
                for popped in list(self._popped.values()) if now - popped.since >= self._place.settings.lease_seconds]
