"""One attempt on one task, as its handler sees it, and what a handler may raise.

    @handler("import")
    def import_rows(data, context):
        done = context.previous_checkpoint or 0              # where the attempt before this one was
        for number in range(done, data["rows"]):
            context.raise_if_cancelled()                     # it is to stop: leave
            ...
            context.progress(100 * number / data["rows"], f"row {number}")
            if number % 1000 == 0:
                context.checkpoint(number)                   # kept for the next attempt
        context.log("all rows are there")                    # a line of its live log
        context.submit("report", {"rows": data["rows"]})     # a task of its own, linked to this one
        return {"rows": data["rows"]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from taskspool.client_wire import submission
from taskspool.engine.task import JsonValue
from taskspool.worker.contact import Cancelled, Contact, Seen, StopReason

MAX_AFTER_SECONDS = 31_536_000.0


class Retry(Exception):
    """Raised by a handler: it did not work now, try again after ``after_seconds`` (0 to a year; None: after the usual
    backoff)."""

    def __init__(self, after_seconds: float | None,
                 message: str = "the handler asked to be tried again later") -> None:
        super().__init__(message)
        self.after_seconds = None if after_seconds is None else _within_a_year(after_seconds)


class GiveUp(Exception):
    """Raised by a handler: it will never work, do not try again whatever retries are left."""


class Snooze(Exception):
    """Raised by a handler: not now, but nothing failed. The task waits ``delay_seconds`` (0 to a year) and comes again;
    it costs no attempt."""

    def __init__(self, delay_seconds: float, reason: str = "the handler put it off") -> None:
        super().__init__(reason)
        self.delay_seconds = _within_a_year(delay_seconds)


@dataclass(frozen=True, slots=True)
class TaskContext:
    """One attempt on one task by one worker. ``attempt`` counts from 1, up to ``max_attempts``.

    ``previous_error`` is how the attempt before ended, ``previous_checkpoint`` what an earlier one kept. ``deadline``:
    from then on the result is refused, and the task given to another, or up; None when it has no timeout. ``group`` and
    ``parent``: what it belongs to, and the id of the task whose handler submitted it; None: nothing, nobody.
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
    max_attempts: int = 1
    priority: str = "normal"
    group: str | None = None
    parent: str | None = None
    _performer: Callable[[TaskContext, str, JsonValue], JsonValue] | None = field(default=None, repr=False,
                                                                                  compare=False)

    @property
    def is_cancelled(self) -> bool:
        """Whether to stop, for whatever ``stop_reason``."""
        return self.contact.is_ended

    @property
    def stop_reason(self) -> StopReason | None:
        """Why to stop: ``cancelled`` (somebody wants that), ``lease_lost`` (it is not this worker's any more),
        ``timeout`` (its time is over), ``shutdown`` (the worker ends, and its grace is over). None: go on.

        What the handler returns from then on is thrown away; only a result after ``shutdown`` still counts.
        """
        return self.contact.stop_reason

    def raise_if_cancelled(self) -> None:
        """Raises Cancelled when ``is_cancelled``: let it through, and the run ends."""
        if self.contact.is_ended:
            raise Cancelled

    def wait(self, seconds: float) -> bool:
        """Wait so long, but end at once when it is to stop. Whether it is."""
        return self.contact.wait(seconds)

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

    def log(self, text: str, stream: str = "log") -> None:
        """Lines for the task's live log. ``stream``: out, err or log.

        Sent a moment later, and never a reason to fail: what nobody can be told is dropped in the end.
        """
        self.contact.log(stream, text)

    def submit(self, type: str, data: Mapping[str, JsonValue] | None = None,  # noqa: A002  # the word of the wire
               **options: Any) -> str:
        """Hand over a task whose parent is this one; its id. ``options`` are those of ``Client.submit``.

        It is not waited for. An attempt that is made again submits again, unless it is given a ``unique_key`` or an
        ``idempotency_key``. Raises InvalidRequest, DuplicateTask, StoreUnavailable, ServerUnreachable.
        """
        key = options.pop("idempotency_key", None)
        wishes = {"requester": f"task {self.task_id}", "parent": self.task_id, **options}
        return self.contact.submit(submission(type, data, wishes), key)

    def perform(self, type: str, data: JsonValue) -> JsonValue:  # noqa: A002  # the word of the wire
        """Do the work of another type within this attempt, with the handler this worker has for it; what it returns.

        Raises GiveUp when there is none, and whatever that handler raises.
        """
        if self._performer is None:
            raise GiveUp(f"this worker has no handler for {type!r}")
        return self._performer(replace(self, type=type), type, data)

    def look(self, task_ids: Sequence[str]) -> Mapping[str, Seen]:
        """How other tasks stand, by id: ``state`` and ``error``. Those that are not there any more are left out.

        Raises StoreUnavailable, ServerUnreachable.
        """
        return self.contact.look(task_ids)

    def cancel(self, task_id: str, reason: str | None = None) -> None:
        """Ask for the end of a task; one that is finished, or gone, stays as it is.

        A task may ask for its own end: what its handler raises next (a Snooze) then ends it as cancelled.
        Raises StoreUnavailable, ServerUnreachable.
        """
        self.contact.cancel(task_id, reason)


def _within_a_year(seconds: float) -> float:
    return max(0.0, min(float(seconds), MAX_AFTER_SECONDS))


Run = TaskContext
"""The older name."""
