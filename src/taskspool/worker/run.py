"""One attempt on one task, as its handler sees it, and what a handler may raise.

    @handler("import")
    def import_rows(data, run):
        done = run.previous_checkpoint or 0              # where the attempt before this one was
        for number in range(done, data["rows"]):
            run.raise_if_cancelled()                     # somebody wants it stopped: leave
            ...
            run.progress(100 * number / data["rows"], f"row {number}")
            if number % 1000 == 0:
                run.checkpoint(number)                   # kept for the next attempt
        return {"rows": data["rows"]}
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from taskspool.engine.task import JsonValue
from taskspool.worker.contact import Cancelled, Contact

MAX_AFTER_SECONDS = 31_536_000.0


class Retry(Exception):
    """Raised by a handler: it did not work now, try again after ``after_seconds`` (0 to a year)."""

    def __init__(self, after_seconds: float, message: str = "the handler asked to be tried again later") -> None:
        super().__init__(message)
        self.after_seconds = _within_a_year(after_seconds)


class GiveUp(Exception):
    """Raised by a handler: it will never work, do not try again whatever retries are left."""


class Snooze(Exception):
    """Raised by a handler: not now, but nothing failed. The task waits ``delay_seconds`` (0 to a year) and comes again;
    it costs no attempt."""

    def __init__(self, delay_seconds: float, reason: str = "the handler put it off") -> None:
        super().__init__(reason)
        self.delay_seconds = _within_a_year(delay_seconds)


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt on one task by one worker. ``attempt`` counts from 1.

    ``previous_error`` is how the attempt before ended, ``previous_checkpoint`` what an earlier one kept. ``deadline``:
    from then on the result is refused, and the task given to another, or up; None when it has no timeout.
    """

    task_id: str
    type: str
    requester: str
    attempt: int
    worker: str
    previous_error: str | None = None
    previous_checkpoint: JsonValue = None
    deadline: datetime | None = None
    contact: Contact = field(default_factory=Contact, repr=False, compare=False)

    @property
    def is_cancelled(self) -> bool:
        """Whether to stop: somebody wants the task cancelled, or it is not this worker's any more. What the handler
        returns from then on is thrown away."""
        return self.contact.is_ended

    def raise_if_cancelled(self) -> None:
        """Raises Cancelled when ``is_cancelled``: let it through, and the run ends."""
        if self.contact.is_ended:
            raise Cancelled

    def progress(self, percent: float | None, message: str | None = None) -> None:
        """Show how far it is: ``percent`` in 0..100 (what is beyond is cut to it), ``message`` for people.

        Costs nothing: the last of what was said is sent once a second.
        """
        self.contact.say(percent, message)

    def checkpoint(self, value: JsonValue) -> None:
        """Keep ``value`` (JSON; None forgets it) for the attempts that come after this one.

        When this has returned it is stored; while the bridge cannot be reached it is sent as soon as it can.
        Raises InvalidRequest when it is no JSON or too large, Cancelled when it is not wanted any more.
        """
        self.contact.keep(value)


def _within_a_year(seconds: float) -> float:
    return max(0.0, min(float(seconds), MAX_AFTER_SECONDS))
