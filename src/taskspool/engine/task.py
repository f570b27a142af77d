"""The words of the queue: Task, Result, State, Lease, and the table of legal moves. Frozen values, no I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from taskspool.errors import InvalidRequest

JsonValue = Any
"""What ``json.loads`` returns: None, bool, int, finite float, str, list, dict with str keys."""

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_TYPE_CHARS = 128
MAX_NAME_CHARS = 128


class State(StrEnum):
    """Where a task is. The value is the name of the directory, but for ``READY`` (``tasks/``)."""

    SCHEDULED = "scheduled"
    READY = "ready"
    CLAIMED = "claimed"
    DONE = "done"
    DEAD = "dead"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (State.DONE, State.DEAD, State.CANCELLED)


TRANSITIONS: Mapping[str, tuple[tuple[State | None, State | None], ...]] = {
    "enqueue": ((None, State.READY), (None, State.SCHEDULED)),
    "adopt": ((None, State.READY),),
    "promote": ((State.SCHEDULED, State.READY),),
    "claim": ((State.READY, State.CLAIMED),),
    "extend": ((State.CLAIMED, State.CLAIMED),),
    "complete": ((State.CLAIMED, State.DONE),),
    "fail": ((State.CLAIMED, State.SCHEDULED), (State.CLAIMED, State.DEAD)),
    "release": ((State.CLAIMED, State.READY), (State.CLAIMED, State.SCHEDULED)),
    "expire": ((State.CLAIMED, State.READY), (State.CLAIMED, State.DEAD)),
    "prune": ((State.DONE, None), (State.DEAD, None), (State.CANCELLED, None)),
}
"""verb -> the moves it may make, (from, to); None is nowhere. The exam of the stores walks this table."""


class Priority(IntEnum):
    """Higher goes first, strictly; inside one level first come, first served."""

    LOW = 0
    NORMAL = 1
    HIGH = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked for, and what has become of the attempts so far.

    ``attempts`` counts runs that failed, ``crashes`` runs whose worker died or fell silent; they are kept apart
    because a crash does not use up a retry. ``not_before`` is None unless the task waits for its time.
    """

    id: str
    type: str
    data: JsonValue
    requester: str
    created_at: datetime
    priority: Priority = Priority.NORMAL
    max_retries: int = 0
    attempts: int = 0
    crashes: int = 0
    not_before: datetime | None = None
    last_error: str | None = None

    @property
    def next_attempt(self) -> int:
        """Number of the run that comes next, from 1."""
        return self.attempts + self.crashes + 1


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as it is asked for, before it has an id. Checked by ``check_new``."""

    type: str
    data: JsonValue
    requester: str = "http-client"
    priority: Priority = Priority.NORMAL
    max_retries: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a task and to finish it. ``token`` is the fence: who cannot show it changes nothing.

    ``lease_seconds`` is how long the holder may be silent; 0 means the holder is a process on this machine whose
    file lock shows that it lives.
    """

    task_id: str
    worker: str
    attempt: int
    token: str
    lease_seconds: int
    claimed_at: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    task: Task
    lease: Lease


@dataclass(frozen=True, slots=True)
class Result:
    """The one reply a finished task gets. ``status`` is ``success`` or ``error``."""

    task_id: str
    worker: str
    status: str
    data: JsonValue
    completed_at: datetime
    error_message: str | None = None
    attempt: int | None = None
    token: str | None = None
    claimed_at: datetime | None = None

    @property
    def is_success(self) -> bool:
        return self.status == "success"

    @property
    def duration_seconds(self) -> float | None:
        """From claim to completion; None when a foreign worker wrote the result."""
        return None if self.claimed_at is None else (self.completed_at - self.claimed_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task and where it was at the instant of looking.

    ``worker`` is who holds it, or who finished it; ``lease`` only while claimed by one of ours.
    """

    task: Task
    state: State
    updated_at: datetime
    worker: str | None = None
    lease: Lease | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many tasks are where, at about one instant (a photograph)."""

    scheduled: int
    ready: int
    claimed: int
    done: int
    dead: int
    cancelled: int
    results: int
    quarantined: int
    ready_by_priority: Mapping[Priority, int]
    mean_duration_seconds: float | None


@dataclass(frozen=True, slots=True)
class SweepReport:
    """What one sweep mended. ``adopted`` are files in ``tasks/`` that this process had not seen before, whoever wrote
    them: news, not damage, so ``total`` leaves them out."""

    expired: int = 0
    buried: int = 0
    promoted: int = 0
    adopted: int = 0
    finished: int = 0
    quarantined: int = 0
    removed_temporary: int = 0

    @property
    def total(self) -> int:
        return (self.expired + self.buried + self.promoted + self.finished + self.quarantined
                + self.removed_temporary)


def is_task_id(text: object) -> bool:
    """Whether ``text`` is a lower-case UUID text: the only thing that may become part of a path."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def check_name(field: str, text: object, max_chars: int = MAX_NAME_CHARS) -> str:
    """``text`` if it is a name: 1..max_chars characters, none of them a control character or half a character.

    Raises InvalidRequest naming ``field``.
    """
    rule = f"a text of 1..{max_chars} characters without control characters"
    if not isinstance(text, str) or not 1 <= len(text) <= max_chars or not text.isprintable():
        raise InvalidRequest(f"{field} must be {rule}", field=field, rule=rule)
    return text


def check_new(new: NewTask) -> NewTask:
    """``new`` unchanged, or InvalidRequest naming the field and the rule."""
    check_name("task_type", new.type, MAX_TYPE_CHARS)
    check_name("requester", new.requester)
    if not isinstance(new.data, dict):
        raise InvalidRequest("data must be a JSON object", field="data", rule="object")
    if type(new.max_retries) is not int or not 0 <= new.max_retries <= 1000:
        raise InvalidRequest("max_retries must be a whole number in 0..1000", field="max_retries", rule="0..1000")
    return new
