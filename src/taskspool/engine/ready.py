"""The line of waiting tasks, in memory: a suggestion of what to claim next, never the truth.

The rename decides. An entry that is gone costs one failed file call; a file that is not in the line yet is found by
the next look at the folder. Thrown away, it is filled again from the files.
"""

from __future__ import annotations

import heapq
import threading
from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from taskspool.engine.order import Order
from taskspool.engine.task import Priority, Task
from taskspool.engine.times import Times

UNASKED_CHANGES = 10_000
"""After so many changes, and as many as there are entries, that nobody asked a place between, places are not kept."""


class Entry(NamedTuple):
    """Compares in the order of claiming: high priority first, then first come, first served.

    With ageing every entry has rank 0, and ``arrived`` says when it would have come without its priority.
    """

    rank: int
    arrived: float
    task_id: str
    type: str
    level: int = int(Priority.NORMAL)


def entry_at(level: int, lined_up_at: float, task_id: str, type_: str, aging_seconds: float = 0.0) -> Entry:
    """``aging_seconds`` 0: strict between levels. Above: a level is worth that many seconds of waiting, so that one
    that waits is overtaken only by what came within ``aging_seconds`` a level after it, and nobody waits for ever."""
    if aging_seconds:
        return Entry(0, lined_up_at - level * aging_seconds, task_id, type_, level)
    return Entry(-level, lined_up_at, task_id, type_, level)


def entry_of(task: Task, aging_seconds: float = 0.0) -> Entry:
    return entry_at(int(task.priority), task.lined_up_at.timestamp(), task.id, task.type, aging_seconds)


class ReadyLine:
    """Entries by id, and two heaps over them: one for all types, one per type. Gone entries are dropped lazily.

    Where nobody asks for places, none are kept; who asks first pays for a sort.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[str, Entry] = {}
        self._all: list[Entry] = []
        self._by_type: dict[str, list[Entry]] = {}
        self._last: dict[int, Entry] = {}
        self._sizes: dict[int, int] = {}
        self._levels = dict.fromkeys(map(int, Priority), 0)
        self._deadlines = Times()
        self._order: Order[Entry] | None = None
        self._unasked = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._entries

    def add(self, entry: Entry, deadline: datetime | None = None) -> bool:
        """False when it is in the line already, in the same place. ``deadline``: see ``past_deadline``."""
        if deadline is not None:
            self.set_deadline(entry.task_id, deadline.timestamp())
        with self._lock:
            return self._add(entry)

    def add_unknown(self, entries: Iterable[Entry]) -> None:
        """Those of ``entries`` whose ids are not in the line: what is known here is newer."""
        with self._lock:
            for entry in entries:
                if entry.task_id not in self._entries:
                    self._add(entry)

    def _add(self, entry: Entry) -> bool:
        known = self._entries.get(entry.task_id)
        if known == entry:
            return False
        if known is not None:
            self._count(known, -1)
        self._entries[entry.task_id] = entry
        self._count(entry, 1)
        if self._order is not None:
            self._keep_order(known, entry)
        self._push(self._all, entry)
        self._push(self._by_type.setdefault(entry.type, []), entry)
        self._last[entry.rank] = max(self._last.get(entry.rank, entry), entry)
        return True

    def set_deadline(self, task_id: str, at: float | None) -> None:
        """``at``: seconds since 1970; None: it is not given up any more."""
        if at is None:
            self._deadlines.discard(task_id)
        else:
            self._deadlines.put(task_id, at)

    def past_deadline(self, now: float) -> list[str]:
        """The ids in line whose deadline is not after ``now`` (seconds since 1970)."""
        late = [task_id for task_id in self._deadlines.due(now) if task_id in self._entries]
        for task_id in late:  # told again until it has left the line
            self._deadlines.put(task_id, now)
        return late

    def _count(self, entry: Entry, by: int) -> None:
        self._sizes[entry.rank] = self._sizes.get(entry.rank, 0) + by
        self._levels[entry.level] += by

    def discard(self, task_id: str) -> bool:
        with self._lock:
            return self._drop(task_id) is not None

    def pop(self, types: Collection[str] | None, paused: Collection[str] = ()) -> Entry | None:
        """Take the next entry of ``types`` (None: any), but none of ``paused``, out of the line."""
        with self._lock:
            entry = self._first(types, paused)
            if entry is not None:
                self._drop(entry.task_id)
            return entry

    def head(self, types: Collection[str] | None, paused: Collection[str] = ()) -> Entry | None:
        """The next entry of ``types``, but none of ``paused``, left in the line."""
        with self._lock:
            return self._first(types, paused)

    def _first(self, types: Collection[str] | None, paused: Collection[str]) -> Entry | None:
        if types is None and not paused:
            return self._head(self._all)
        if paused:
            types = [kind for kind in (self._by_type if types is None else types) if kind not in paused]
        heads = (self._head(self._by_type.get(kind)) for kind in types or ())
        return min((head for head in heads if head is not None), default=None)

    def list_ids(self) -> list[str]:
        """As ``ids``, at a quarter of the memory."""
        with self._lock:
            return list(self._entries)

    def ids(self) -> set[str]:
        with self._lock:
            return set(self._entries)

    def first(self, types: Collection[str] | None, limit: int, *, oldest: bool = False) -> list[Entry]:
        """The next ``limit`` entries in the order of claiming, or of arrival (``oldest``), left in the line."""
        with self._lock:
            entries: Iterable[Entry] = list(self._entries.values())
        if types is not None:
            entries = (entry for entry in entries if entry.type in types)
        return heapq.nsmallest(limit, entries, key=(lambda entry: entry[1:]) if oldest else None)

    def sizes(self) -> dict[Priority, int]:
        with self._lock:
            return {level: self._levels[level] for level in Priority}

    def position(self, task_id: str) -> int | None:
        """Place in line, 1 = next; None when it is not in the line. Fast for the one that came last."""
        with self._lock:
            entry = self._entries.get(task_id)
            if entry is None:
                return None
            before = sum(size for rank, size in self._sizes.items() if rank < entry.rank)
            if entry >= self._last[entry.rank]:
                return before + self._sizes[entry.rank]
            if self._order is None:
                self._order = Order(self._entries.values())
            self._unasked = 0
            return 1 + self._order.before(entry)

    def _keep_order(self, gone: Entry | None, come: Entry | None) -> None:
        order, self._unasked = self._order, self._unasked + 1
        if order is None or self._unasked > UNASKED_CHANGES + len(self._entries):
            self._order = None
            return
        if gone is not None:
            order.remove(gone)
        if come is not None:
            order.add(come)

    def _push(self, heap: list[Entry], entry: Entry) -> None:
        """Onto ``heap``, which is cleared of gone entries before they are its greater part."""
        heapq.heappush(heap, entry)
        if len(heap) > 64 + 2 * len(self._entries):
            heap[:] = [one for one in heap if self._entries.get(one.task_id) is one]
            heapq.heapify(heap)

    def _drop(self, task_id: str) -> Entry | None:
        entry = self._entries.pop(task_id, None)
        if entry is not None:
            self._count(entry, -1)
            if self._order is not None:
                self._keep_order(entry, None)
        if not self._entries:
            self._all.clear()
            self._by_type.clear()
        return entry

    def _head(self, heap: list[Entry] | None) -> Entry | None:
        """The first entry of ``heap`` that is still in the line."""
        while heap:
            if self._entries.get(heap[0].task_id) is heap[0]:
                return heap[0]
            heapq.heappop(heap)
        return None
