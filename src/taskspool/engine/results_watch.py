"""Watching ``results/``: count what comes, wake who waits for it, whoever wrote it.

Foreign workers may write a result slowly and in place; it counts from the moment it is whole. One that stays
unreadable for a minute goes to ``quarantine/``, and its task is waiting again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.layout import id_of
from taskspool.engine.place import QUARANTINE_AFTER_SECONDS, Due, Place, Suspect
from taskspool.engine.reading import Reading
from taskspool.engine.task import Result

READ_SLICE = 100
"""So many unknown results are read before others may go on."""


class Sight(NamedTuple):
    """A result that was found; ``since`` is before the look: what others do to its task after it comes later."""

    result: Result
    since: datetime


class ResultsWatch:
    def __init__(self, place: Place, reading: Reading, bell: Bell) -> None:
        self._place = place
        self._reading = reading
        self._bell = bell
        self._due = Due(place.path("results"), place.clock)
        self._glanced_at = 0
        self._halves: dict[str, Suspect] = {}

    def add(self, result: Result) -> None:
        self._reading.ledger.add(result)
        self._bell.ring_result(result.task_id)

    def is_due(self) -> bool:
        """Whether the folder is worth a look."""
        return self._due.is_due()

    def look(self, follow: Callable[[Sight], object]) -> Iterator[None]:
        """The folder's names against the ledger, in slices; ``follow`` is told of each new result."""
        ledger = self._reading.ledger
        gone, fresh = ledger.ids(), list[str]()
        for names in self._due.slices():
            ids = [task_id for task_id in map(id_of, names) if task_id is not None]
            fresh += [task_id for task_id in ids if task_id not in gone]
            gone.difference_update(ids)
            yield
        for task_id in gone:
            if not files.exists(self._place.result_path(task_id)):
                ledger.forget(task_id)
        while fresh:
            sight = self._read(fresh.pop())
            if sight is not None:
                follow(sight)
            if len(fresh) % READ_SLICE == 0:
                yield
        self._due.confirm()

    def revisit(self) -> list[Sight]:
        """New results among those that somebody waits for, and those that were not whole when they were seen."""
        halves = list(self._halves)
        return self._read_awaited() + [new for task_id in halves if (new := self._read(task_id)) is not None]

    def awaited(self) -> list[Sight]:
        """New results that somebody waits for, when the folder has changed since the last time."""
        changed_at = files.changed_at(self._place.path("results"))
        if changed_at == self._glanced_at:
            return []
        self._glanced_at = changed_at
        return self._read_awaited()

    def _read_awaited(self) -> list[Sight]:
        return [sight for task_id in self._bell.awaited_results if (sight := self._read(task_id)) is not None]

    def _read(self, task_id: str) -> Sight | None:
        """The result, noted, when it is new and whole; None otherwise."""
        if task_id in self._reading.ledger:
            self._bell.ring_result(task_id)
            return None
        since = self._place.clock.now()
        result = self._reading.result(task_id)
        if result is None:
            self._suspect(task_id)
            return None
        self._halves.pop(task_id, None)
        self.add(result)
        return Sight(result, since)

    def _suspect(self, task_id: str) -> None:
        now = self._place.clock.monotonic()
        try:
            number = files.file_number(self._place.result_path(task_id))
        except FileNotFoundError:
            self._halves.pop(task_id, None)
            return
        known = self._halves.get(task_id)
        if known is None or known.number != number:
            self._halves[task_id] = Suspect(number, now, "it is not a whole result")
        elif now - known.since >= QUARANTINE_AFTER_SECONDS:
            self._halves.pop(task_id)
            reason = f"{known.reason}; unchanged for {QUARANTINE_AFTER_SECONDS:.0f} seconds"
            self._place.quarantine("results", f"{task_id}.json", reason)
