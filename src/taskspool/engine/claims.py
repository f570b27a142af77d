"""Who holds what, as this process has seen it: the leases below ``claimed/``, and when each last gave a sign of life.

A remote holder's sign of life is the modification time of its claim. It is compared with itself, never with a clock:
a lease runs out when its file has not changed for the whole lease *as measured by this process since it first saw it
so*. A process that just started gives every lease its full time. The timeout of an attempt is measured likewise, from
when this process first saw the lease, and so is what was left of the task's total time then.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NamedTuple

from taskspool.engine import files
from taskspool.engine.documents import Unreadable, parse, task_of
from taskspool.engine.layout import parse_claim, parse_token
from taskspool.engine.options import PLAIN
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.task import Lease, Task
from taskspool.engine.waits import GRAIN_SECONDS


class Limits(NamedTuple):
    """How long an attempt may take, and when (``Clock.boottime``) the task is given up altogether; None: no limit."""

    timeout_seconds: float | None = None
    ends_at: float | None = None


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Watched:
    """A lease with the sign of life last seen, when that was first seen, and when the lease was."""

    lease: Lease
    sign: files.FileNumber
    since: float
    first_seen: float
    limits: Limits


class Claims:
    def __init__(self, place: Place, presence: Presence) -> None:
        self._place = place
        self._presence = presence
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._watched: dict[str, Watched] = {}
        self._unlimited: set[str] = set()

    def add(self, lease: Lease, task: Task | None = None) -> None:
        """``task`` spares the first look at its file."""
        with self._lock:
            self._leases[lease.task_id] = lease
            if task is not None and task.options is PLAIN:
                self._unlimited.add(lease.token)

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._unlimited.discard(lease.token)
            if self._leases.get(lease.task_id) == lease:
                del self._leases[lease.task_id]

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._leases

    def of(self, task_id: str, token: str | None = None) -> Lease | None:
        """Who holds the task now: from memory if it is ``token`` or its file is there, else by looking everywhere."""
        lease = self._leases.get(task_id)
        if lease is not None and lease.token == token:
            return lease
        if lease is not None and files.exists(self._place.lease_path(lease)):
            return lease
        found = self._search(task_id)
        if lease is not None:
            self.remove(lease)
        if found is not None:
            self.add(found)
        return found

    def _search(self, task_id: str) -> Lease | None:
        for folder in files.names(self._place.path("claimed")):
            for name in files.names(self._place.path("claimed", folder)):
                if name.startswith(task_id) and (lease := parse_claim(folder, name)) is not None:
                    return lease
        return None

    def look(self) -> list[Lease]:
        """Every lease there is now, read from the folders; memory is corrected by it."""
        with self._lock:
            before = set(self._leases)
        found: dict[str, Lease] = {}
        for folder in files.names(self._place.path("claimed")):
            names = files.names(self._place.path("claimed", folder))
            for name in names:
                if (lease := parse_claim(folder, name)) is not None:
                    found[lease.task_id] = lease
        with self._lock:
            for task_id in before - found.keys():
                self._leases.pop(task_id, None)
            for task_id, lease in found.items():
                if task_id in before or task_id not in self._leases:
                    self._leases[task_id] = lease
        return list(found.values())

    def remove_empty(self) -> None:
        """Unlink the folders of workers that hold nothing; a claim makes its folder anew."""
        for folder in files.names(self._place.path("claimed")):
            files.remove_folder(self._place.path("claimed", folder))

    def overdue(self, leases: list[Lease]) -> list[tuple[Watched, str]]:
        """Those of ``leases`` whose time is over, and why: ``silent`` (its holder is dead, or gave no sign for its
        whole lease), ``timeout`` (this attempt took too long) or ``total`` (the task did)."""
        now, boot = self._place.clock.monotonic(), self._place.clock.boottime() + GRAIN_SECONDS
        watched: dict[str, Watched] = {}
        alive: dict[tuple[int, int], bool] = {}
        overdue: list[tuple[Watched, str]] = []
        for lease in leases:
            one = self._observe(lease)
            if one is None:
                continue
            watched[lease.token] = one
            timeout, ends_at = one.limits
            if self._is_silent(one, now, alive):
                overdue.append((one, "silent"))
            elif ends_at is not None and ends_at <= boot:
                overdue.append((one, "total"))
            elif timeout is not None and now - one.first_seen >= timeout:
                overdue.append((one, "timeout"))
        self._watched = watched
        return overdue

    def _is_silent(self, one: Watched, now: float, alive: dict[tuple[int, int], bool]) -> bool:
        """``alive`` remembers, for one round, which processes were asked for."""
        if one.lease.lease_seconds:
            return now - one.since >= one.lease.lease_seconds
        token = parse_token(one.lease.token)
        holder = (token.slot, token.epoch)
        if holder not in alive:
            alive[holder] = self._presence.is_alive(*holder)
        return not alive[holder]

    def _observe(self, lease: Lease) -> Watched | None:
        """What is known of the lease after one more look; None when it is gone."""
        try:
            sign = files.file_number(self._place.lease_path(lease))
        except FileNotFoundError:
            return None
        known = self._watched.get(lease.token)
        if known is not None and known.sign == sign:
            return known
        now = self._place.clock.monotonic()  # after the look: this process may have been stopped before it
        if known is None:
            return Watched(lease, sign, now, now, self._limits_of(lease))
        return Watched(lease, sign, now, known.first_seen, known.limits)

    def _limits_of(self, lease: Lease) -> Limits:
        if lease.token in self._unlimited:
            return NO_LIMITS
        try:
            content, _ = files.read(self._place.lease_path(lease), self._place.max_file_bytes)
            task = task_of(parse(content), lease.task_id, lease.claimed_at)
        except (FileNotFoundError, files.NotRegular, Unreadable):
            return NO_LIMITS
        total, ends_at = task.options.total_timeout_seconds, task.ends_at
        if total is None or ends_at is None:
            return Limits(task.options.timeout_seconds)
        left = min(total, (ends_at - self._place.clock.now()).total_seconds())
        return Limits(task.options.timeout_seconds, self._place.clock.boottime() + left)
