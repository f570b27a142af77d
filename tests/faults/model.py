"""The queue as a dictionary: what every verb must answer, and where every task must be, in the plainest code.

No files, no locks, no threads. A method of ``Model`` is a verb; it says what the queue must answer and changes the
dictionary as the queue must change its folder. ``process`` is which of the two processes on the folder is asked:
leases, grace times and timeouts are measured by each process for itself, from when it first looked.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from contract.candidates import BACKOFF_SECONDS
from fake_clock import FakeClock
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask

MAX_CRASHES, GRACE_SECONDS = 3, 30.0
WAITING, FINAL = ("scheduled", "ready"), ("done", "dead", "cancelled")


@dataclass
class Entry:
    """One task. ``beats`` counts its holder's signs of life; ``holder`` is (process, how often that was started)."""

    id: str
    new: NewTask
    created_at: datetime
    state: str = "ready"
    attempts: int = 0
    crashes: int = 0
    not_before: datetime | None = None
    counts_from: datetime | None = None
    lined_up_at: datetime | None = None
    priority: int | None = None
    token: str = ""
    lease_seconds: int = 0
    beats: int = 0
    holder: tuple[int, int] = (0, 0)
    is_cancel_asked: bool = False
    percent: float | None = None
    checkpoint: Any = None
    result: tuple[str, Any, str | None, datetime] | None = None
    """status, data, the token that wrote it, when"""

    @property
    def options(self) -> Options:
        return self.new.options

    @property
    def rank(self) -> tuple[int, datetime, str]:
        """Lower is claimed first."""
        priority = self.new.priority if self.priority is None else self.priority
        return -int(priority), self.lined_up_at or self.created_at, self.id

    @property
    def ends_at(self) -> datetime | None:
        total = self.options.total_timeout_seconds
        return None if total is None else (self.counts_from or self.created_at) + timedelta(seconds=total)

    def is_late(self, now: datetime) -> bool:
        """Whether it is too late to begin it."""
        start_before = None if self.attempts + self.crashes else self.options.start_before
        return any(end is not None and end <= now for end in (start_before, self.ends_at))


@dataclass
class Watch:
    """What one process knows by itself: leases (beats, since, first seen), and requests to cancel (since), by token."""

    starts: int = 0
    leases: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    asked: dict[str, float] = field(default_factory=dict)


class Model:
    def __init__(self, clock: FakeClock) -> None:
        self.tasks: dict[str, Entry] = {}
        self.keys: dict[str, tuple[list[str], object, datetime]] = {}
        self.paused: set[str | None] = set()
        self.watches = [Watch(), Watch()]
        self._clock = clock

    # -- looking -------------------------------------------------------------------------------------------------

    def of(self, *states: str) -> list[Entry]:
        return [entry for entry in self.tasks.values() if entry.state in states]

    def unique(self, key: str | None) -> Entry | None:
        """The unfinished task that has the unique key."""
        return next((entry for entry in self.tasks.values() if key is not None and entry.options.unique_key == key
                     and entry.state not in FINAL), None)

    def claimable(self, types: Collection[str] | None) -> list[Entry]:
        """What a claim may be given, first things first."""
        now = self._clock.now()
        return sorted((entry for entry in self.of("ready") if None not in self.paused
                       and entry.new.type not in self.paused and not entry.is_late(now)
                       and (types is None or entry.new.type in types)), key=lambda entry: entry.rank)

    def is_held(self, task_id: str, token: str) -> bool:
        entry = self.tasks.get(task_id)
        return entry is not None and entry.state == "claimed" and entry.token == token

    def refusal(self, task_id: str) -> str:
        """What a verb is told whose token holds nothing."""
        return "LeaseLost" if task_id in self.tasks else "TaskNotFound"

    # -- the verbs -----------------------------------------------------------------------------------------------

    def put(self, task_id: str, new: NewTask) -> Entry:
        now = self._clock.now()
        not_before = new.run_at if new.run_at is not None and new.run_at > now else None
        if new.delay_seconds:
            not_before = now + timedelta(seconds=new.delay_seconds)
        entry = Entry(task_id, new, now, "scheduled" if not_before else "ready", not_before=not_before)
        self.tasks[task_id] = entry
        return entry

    def hold(self, entry: Entry, token: str, lease_seconds: int, process: int) -> None:
        entry.state, entry.token, entry.beats = "claimed", token, 0
        entry.lease_seconds = entry.options.lease_seconds or lease_seconds
        entry.holder = process, self.watches[process].starts

    def finish(self, entry: Entry, status: str, data: object, token: str | None) -> None:
        entry.state = {"success": "done", "error": "dead", "cancelled": "cancelled"}[status]
        entry.result = status, data, token, self._clock.now()
        entry.is_cancel_asked, entry.not_before = False, None

    def wait(self, entry: Entry, seconds: float) -> None:
        """Given back, for now (0) or for later."""
        entry.state, entry.token, entry.percent = "scheduled" if seconds else "ready", "", None
        entry.not_before = self._clock.now() + timedelta(seconds=seconds) if seconds else None

    def standing(self, task_id: str, token: str) -> object:
        """What a finish is told that comes after the end."""
        entry = self.tasks.get(task_id)
        if entry is None or entry.result is None:
            return self.refusal(task_id)
        if entry.result[0] == "cancelled":
            return "TaskCancelled"
        return entry.result[:2] if token and entry.result[2] == token else "LeaseLost"

    def fail(self, entry: Entry, data: object, wait: float | None, *, retryable: bool = True) -> None:
        entry.attempts += 1
        if not retryable or entry.attempts > entry.new.max_retries:
            self.finish(entry, "error", data, entry.token)
        else:
            self.wait(entry, BACKOFF_SECONDS if wait is None else wait)
            entry.state = "scheduled"   # also for no time at all: the next sweep brings it back
            entry.not_before = entry.not_before or self._clock.now()

    def retry(self, entry: Entry, *, keeps: bool) -> None:
        self.wait(entry, 0)
        entry.result, entry.attempts, entry.crashes = None, entry.attempts if keeps else 0, 0
        entry.counts_from = entry.lined_up_at = self._clock.now()

    def promote(self, entry: Entry, *, uses: bool) -> None:
        entry.state, entry.not_before, entry.lined_up_at = "ready", None, self._clock.now()
        entry.attempts += uses

    def revise(self, entry: Entry, priority: int | None, percent: float | None) -> None:
        """A sign of life, too, for who holds it."""
        entry.priority = entry.priority if priority is None else priority
        entry.percent = entry.percent if percent is None else percent
        entry.beats += 1

    def prune(self, before: datetime) -> int:
        pruned = [entry for entry in self.of(*FINAL) if entry.result and entry.result[3] < before]
        for entry in pruned:
            del self.tasks[entry.id]
        self.keys = {key: record for key, record in self.keys.items()
                     if record[2] >= before or any(task_id in self.tasks for task_id in record[0])}
        return len(pruned)

    # -- what happens without a caller ---------------------------------------------------------------------------

    def start(self, process: int) -> None:
        """The process is gone, and another is there in its place."""
        self.watches[process] = Watch(self.watches[process].starts + 1)
        self.sweep(process)

    def sweep(self, process: int) -> None:
        now, watch = self._clock.now(), self.watches[process]
        for entry in self.of("scheduled"):
            if entry.not_before is not None and entry.not_before <= now:
                entry.state, entry.not_before = "ready", None
        self._end_unheeded(watch)
        leases, watch.leases = watch.leases, {}
        for entry in self.of("claimed"):
            self._end_held(entry, watch, leases.get(entry.token))
        for entry in self.of(*WAITING):
            if entry.is_late(now):
                self.finish(entry, "error", None, None)

    def _end_unheeded(self, watch: Watch) -> None:
        ticks = self._clock.monotonic()
        asked = [entry for entry in self.of("claimed") if entry.is_cancel_asked]
        watch.asked = {entry.token: watch.asked.get(entry.token, ticks) for entry in asked}
        for entry in asked:
            if ticks - watch.asked[entry.token] >= GRACE_SECONDS:
                self.finish(entry, "cancelled", None, entry.token)

    def _end_held(self, entry: Entry, watch: Watch, known: tuple[int, float, float] | None) -> None:
        ticks = self._clock.monotonic()
        beats, since, first_seen = known or (entry.beats, ticks, ticks)
        since = since if beats == entry.beats else ticks
        watch.leases[entry.token] = entry.beats, since, first_seen
        process, starts = entry.holder
        is_silent = ticks - since >= entry.lease_seconds if entry.lease_seconds \
            else self.watches[process].starts != starts
        timeout = entry.options.timeout_seconds
        if is_silent and entry.is_cancel_asked:
            self.finish(entry, "cancelled", None, entry.token)
        elif is_silent:
            self._expire(entry)
        elif entry.is_cancel_asked:
            return
        elif entry.ends_at is not None and entry.ends_at <= self._clock.now():
            self.finish(entry, "error", None, None)
        elif timeout is not None and ticks - first_seen >= timeout:
            self._time_out(entry)

    def _expire(self, entry: Entry) -> None:
        entry.crashes += 1
        if entry.crashes >= MAX_CRASHES:
            self.finish(entry, "error", None, None)
        else:
            self.wait(entry, 0)

    def _time_out(self, entry: Entry) -> None:
        entry.token = ""    # nobody's: what its holder brings later is refused
        self.fail(entry, None, None)
