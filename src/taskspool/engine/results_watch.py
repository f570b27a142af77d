"""Watching ``results/``: count what comes, wake who waits for it, whoever wrote it.

Foreign workers may write a result slowly and in place; it counts from the moment it is whole. One that stays
unreadable for a minute goes to ``quarantine/``, and its task is waiting again.
"""

from __future__ import annotations

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.layout import id_of
from taskspool.engine.place import QUARANTINE_AFTER_SECONDS, Due, Place, Suspect
from taskspool.engine.reading import Reading
from taskspool.engine.task import Result

BUDGET_SECONDS = 0.1
"""How long one sweep may read results it has not seen; the rest waits for the next."""


class ResultsWatch:
    def __init__(self, place: Place, reading: Reading, bell: Bell) -> None:
        self._place = place
        self._reading = reading
        self._bell = bell
        self._due = Due(place.path("results"), place.clock)
        self._glanced_at = 0
        self._unread: list[str] = []
        self._halves: dict[str, Suspect] = {}

    def add(self, result: Result) -> None:
        self._reading.ledger.add(result)
        self._bell.ring_result(result.task_id)

    def settle(self, budget_seconds: float = BUDGET_SECONDS) -> list[Result]:
        """Results not seen before, as many as can be read in the time given; awaited ones always."""
        ledger = self._reading.ledger
        if self._due.is_due():
            names = set(filter(None, map(id_of, self._due.look())))
            known = ledger.ids()
            for task_id in known - names:
                if not files.exists(self._place.result_path(task_id)):
                    ledger.forget(task_id)
            self._unread = list(names - known)
        new = self._read_awaited()
        halves = [result for task_id in list(self._halves) if (result := self._read(task_id)) is not None]
        ends_at = self._place.clock.monotonic() + budget_seconds
        while self._unread and self._place.clock.monotonic() <= ends_at:
            result = self._read(self._unread.pop())
            if result is not None:
                new.append(result)
        return new + halves

    def awaited(self) -> list[Result]:
        """New results that somebody waits for, when the folder has changed since the last time."""
        changed_at = files.changed_at(self._place.path("results"))
        if changed_at == self._glanced_at:
            return []
        self._glanced_at = changed_at
        return self._read_awaited()

    def _read_awaited(self) -> list[Result]:
        return [result for task_id in self._bell.awaited_results if (result := self._read(task_id)) is not None]

    def catch_up(self) -> list[Result]:
        """All results not seen before."""
        return self.settle(budget_seconds=float("inf"))

    def _read(self, task_id: str) -> Result | None:
        """The result, noted, when it is new and whole; None otherwise."""
        if task_id in self._reading.ledger:
            self._bell.ring_result(task_id)
            return None
        result = self._reading.result(task_id)
        if result is not None:
            self._halves.pop(task_id, None)
            self.add(result)
        else:
            self._suspect(task_id)
        return result

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
