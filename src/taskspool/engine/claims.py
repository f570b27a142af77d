"""Who holds what, as this process has seen it: the leases below ``claimed/``, and when each last gave a sign of life.

A remote holder's sign of life is the modification time of its claim. It is compared with itself, never with a clock:
a lease runs out when its file has not changed for the whole lease *as measured by this process since it first saw it
so*. A process that just started gives every lease its full time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from taskspool.engine import files
from taskspool.engine.layout import parse_claim, parse_token
from taskspool.engine.place import Place
from taskspool.engine.presence import Presence
from taskspool.engine.task import Lease


@dataclass(frozen=True, slots=True)
class Watched:
    """A lease with the sign of life last seen, and when it was first seen."""

    lease: Lease
    sign: files.FileNumber
    since: float


class Claims:
    def __init__(self, place: Place, presence: Presence) -> None:
        self._place = place
        self._presence = presence
        self._lock = threading.Lock()
        self._leases: dict[str, Lease] = {}
        self._watched: dict[str, Watched] = {}

    def add(self, lease: Lease) -> None:
        with self._lock:
            self._leases[lease.task_id] = lease

    def remove(self, lease: Lease) -> None:
        with self._lock:
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

    def overdue(self, leases: list[Lease]) -> list[Watched]:
        """Those of ``leases`` whose holder is dead, or has been silent for its whole lease."""
        now = self._place.clock.monotonic()
        watched: dict[str, Watched] = {}
        alive: dict[tuple[int, int], bool] = {}
        overdue: list[Watched] = []
        for lease in leases:
            one = self._observe(lease, now)
            if one is None:
                continue
            watched[lease.token] = one
            if lease.lease_seconds:
                is_over = now - one.since >= lease.lease_seconds
            else:
                token = parse_token(lease.token)
                holder = (token.slot, token.epoch)
                if holder not in alive:
                    alive[holder] = self._presence.is_alive(*holder)
                is_over = not alive[holder]
            if is_over:
                overdue.append(one)
        self._watched = watched
        return overdue

    def _observe(self, lease: Lease, now: float) -> Watched | None:
        """What is known of the lease after one more look; None when it is gone."""
        try:
            sign = files.file_number(self._place.lease_path(lease))
        except FileNotFoundError:
            return None
        known = self._watched.get(lease.token)
        return known if known is not None and known.sign == sign else Watched(lease, sign, now)
