"""The words of the queue: Task, Result, State, Lease, and the table of legal moves. Frozen values, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Any

from taskspool.engine.names import MAX_NAME_CHARS, MAX_TYPE_CHARS, check_name, is_task_id
from taskspool.engine.options import ON_CONFLICT, PLAIN, Options, check_options, check_seconds
from taskspool.errors import InvalidRequest

__all__ = [
    "MAX_NAME_CHARS", "MAX_TYPE_CHARS", "NOTHING_PAUSED", "TRANSITIONS", "CancelRequest", "Claim", "Counts",
    "JsonValue", "Lease", "NewTask", "Pauses", "Priority", "Progress", "Result", "Snapshot", "State", "Step",
    "SweepReport", "Task", "check_name", "check_new", "is_task_id",
]

JsonValue = Any
"""What ``json.loads`` returns: None, bool, int, finite float, str, list, dict with str keys."""


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
    "revise": ((State.SCHEDULED, State.SCHEDULED), (State.READY, State.READY), (State.CLAIMED, State.CLAIMED)),
    "complete": ((State.CLAIMED, State.DONE),),
    "fail": ((State.CLAIMED, State.SCHEDULED), (State.CLAIMED, State.DEAD)),
    "release": ((State.CLAIMED, State.READY), (State.CLAIMED, State.SCHEDULED)),
    "expire": (
        (State.CLAIMED, State.READY), (State.CLAIMED, State.SCHEDULED), (State.CLAIMED, State.DEAD),
        (State.READY, State.DEAD), (State.SCHEDULED, State.DEAD),
    ),
    "cancel": (
        (State.SCHEDULED, State.CANCELLED), (State.READY, State.CANCELLED), (State.CLAIMED, State.CANCELLED),
    ),
    "retry": ((State.DEAD, State.READY), (State.CANCELLED, State.READY)),
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
class Step:
    """One thing that happened to a task: a verb, when, and who did it.

    ``state`` is where it went; ``claimed_at`` when the attempt began that this step ended; ``reason`` the error, or
    why it was done.
    """

    verb: str
    at: datetime
    state: State
    worker: str | None = None
    attempt: int | None = None
    claimed_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a worker says it is: ``percent`` in 0..100, ``message`` for people. ``by``: who told it by ``revise``,
    None when the holder did."""

    percent: float | None
    message: str | None
    at: datetime
    by: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Who wants something stopped, why, and since when. A running task that has one can only end as cancelled."""

    by: str
    reason: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Pauses:
    """What is not handed out, and who wanted that, when and why: the ``queue`` as a whole, ``types`` by name."""

    queue: CancelRequest | None = None
    types: Mapping[str, CancelRequest] = field(default_factory=dict)


NOTHING_PAUSED = Pauses()


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked for, and what has become of the attempts so far.

    ``attempts`` counts runs that failed, ``crashes`` runs whose worker died or fell silent; they are kept apart
    because a crash does not use up a retry. ``not_before`` is None unless the task waits for its time;
    with ``delay_seconds`` it waits that long, whatever the wall clock is set to meanwhile (see ``waits``).
    ``history`` holds what ended its earlier attempts, oldest first; what its place, its lease and its result tell is
    not told twice (``history.story_of`` puts all of it together). ``checkpoint`` is what a worker kept for the next.
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
    delay_seconds: float | None = None
    last_error: str | None = None
    options: Options = PLAIN
    history: tuple[Step, ...] = ()
    progress: Progress | None = None
    checkpoint: JsonValue = None

    def waiting(self, seconds: float, now: datetime) -> Task:
        """The same task, which waits so long from ``now`` on."""
        return replace(self, not_before=now + timedelta(seconds=seconds), delay_seconds=seconds)

    @property
    def next_attempt(self) -> int:
        """Number of the run that comes next, from 1."""
        return self.attempts + self.crashes + 1

    @property
    def was_started(self) -> bool:
        """Whether an attempt on it has ended, since it was created or last retried."""
        return self.attempts + self.crashes > 0

    @property
    def is_spent(self) -> bool:
        """Whether the attempts that failed, and (``options.crashes_count``) the crashes, are more than its retries."""
        return self.attempts + (self.crashes if self.options.crashes_count else 0) > self.max_retries

    @property
    def lined_up_at(self) -> datetime:
        """When it came into the line of its priority: at its creation, or when a person last retried or promoted it.

        Who comes back by itself, or is revised, keeps its place. A promotion by the clock is no step of the history.
        """
        if not self.history:
            return self.created_at
        return next((step.at for step in reversed(self.history) if step.verb in ("retry", "promote")), self.created_at)

    @property
    def counts_from(self) -> datetime:
        """When its total time began: at its creation, or at its last retry by a person."""
        return next((step.at for step in reversed(self.history) if step.verb == "retry"), self.created_at)

    @property
    def ends_at(self) -> datetime | None:
        """When its total time is over."""
        total = self.options.total_timeout_seconds
        return None if total is None else self.counts_from + timedelta(seconds=total)

    @property
    def deadline(self) -> datetime | None:
        """When it is given up while it waits: nobody started it, or its total time is over. None: never."""
        if self.options is PLAIN:
            return None
        start_before = None if self.was_started else self.options.start_before
        return min((end for end in (start_before, self.ends_at) if end is not None), default=None)


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as it is asked for, before it has an id. Checked by ``check_new``.

    ``delay_seconds`` or ``run_at`` (one of them) keep it in ``scheduled/`` until then. ``on_conflict`` says what
    happens when an unfinished task has the same ``options.unique_key``: the ``existing`` one is returned, this one is
    ``reject``ed, or it takes the place of one that waits (``replace``). ``parent`` is the id of the task it belongs to,
    which need not be there any more; it is kept as ``options.parent``.
    """

    type: str
    data: JsonValue
    requester: str = "http-client"
    priority: Priority = Priority.NORMAL
    max_retries: int = 0
    delay_seconds: float = 0.0
    run_at: datetime | None = None
    options: Options = PLAIN
    on_conflict: str = "existing"
    parent: str | None = None

    @property
    def kept_options(self) -> Options:
        """What is kept with the task."""
        return self.options if self.parent is None else replace(self.options, parent=self.parent)


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
    """The one reply a finished task gets. ``status`` is ``success``, ``error`` or ``cancelled``."""

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
    def state(self) -> State:
        """The final state that goes with it."""
        return State.DONE if self.status == "success" else State.CANCELLED if self.status == "cancelled" else State.DEAD

    @property
    def duration_seconds(self) -> float | None:
        """From claim to completion; None when a foreign worker wrote the result."""
        return None if self.claimed_at is None else (self.completed_at - self.claimed_at).total_seconds()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A task and where it was at the instant of looking.

    ``worker`` is who holds it, or who finished it; ``lease`` only while claimed by one of ours, and ``seen_at`` its
    last sign of life.
    """

    task: Task
    state: State
    updated_at: datetime
    worker: str | None = None
    lease: Lease | None = None
    seen_at: datetime | None = None


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
    cancelled: int = 0
    quarantined: int = 0
    removed_temporary: int = 0
    pruned: int = 0

    @property
    def total(self) -> int:
        return (self.expired + self.buried + self.promoted + self.finished + self.cancelled + self.quarantined
                + self.removed_temporary + self.pruned)


def check_new(new: NewTask) -> NewTask:
    """``new`` unchanged, or InvalidRequest naming the field and the rule."""
    check_name("task_type", new.type, MAX_TYPE_CHARS)
    check_name("requester", new.requester)
    if not isinstance(new.data, dict):
        raise InvalidRequest("data must be a JSON object", field="data", rule="object")
    if type(new.max_retries) is not int or not 0 <= new.max_retries <= 1000:
        raise InvalidRequest("max_retries must be a whole number in 0..1000", field="max_retries", rule="0..1000")
    check_seconds("delay", new.delay_seconds)
    if new.delay_seconds and new.run_at is not None:
        raise InvalidRequest("delay and run_at contradict each other: give one", field="run_at", rule="not with delay")
    if new.on_conflict not in ON_CONFLICT:
        rule = "|".join(ON_CONFLICT)
        raise InvalidRequest(f"on_conflict must be one of {rule}", field="on_conflict", rule=rule)
    check_options(new.kept_options)
    return new

def scheduled(task: Task, new: NewTask, now: datetime) -> Task:
    """``task``, for later if ``new`` asks for that."""
    if new.run_at is not None and new.run_at > now:
        return replace(task, not_before=new.run_at)
    return task.waiting(new.delay_seconds, now) if new.delay_seconds > 0 else task
