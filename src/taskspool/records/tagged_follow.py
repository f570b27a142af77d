"""Following the engine: what changed there since the last look, so that lists and filters are true too.

Three sources, each of which only says where to look (``tagged_mirror``):

* rows in progress, and what the engine's workers hold now. A worker marks its row before it does anything, so every
  run of this door's own workers is found here at once, also when the worker died;
* the engine's events, for what people do there (cancel, retry, prune); another process's come within a second;
* all unfinished rows, now and then, and all rows when the events have a gap.
"""

from __future__ import annotations

import logging
import threading
import time

from sqlalchemy import select

from taskspool.engine.index import RESET
from taskspool.engine.lifecycle import Queue
from taskspool.errors import StoreUnavailable
from taskspool.records.database import Database
from taskspool.records.models.tagged import TaggedCursor, TaggedTask
from taskspool.records.tagged_mirror import TaggedMirror
from taskspool.records.tagged_standing import EXECUTE

CURSOR = "engine"
EVENTS = 1000
UNIMPORTANT = frozenset({"enqueue", "extend"})

log = logging.getLogger("taskspool.records")


class TaggedFollower:
    """Safe for many threads. Every method raises StoreUnavailable."""

    def __init__(self, queue: Queue, database: Database) -> None:
        self._queue = queue
        self._database = database
        self._mirror = TaggedMirror(queue.store, database)
        self._catching_up = threading.Lock()
        self._began_at = float("-inf")
        self._cursor: str | None = None
        self._kept_cursor: str | None = None
        self._heard: set[str] = set()
        """Ids of the engine's tasks that moved, and were not looked at yet."""
        self._has_gap = False

    def catch_up(self) -> None:
        """All rows say what was true when this was called, or later. Who waited for another that began after that is
        served by it."""
        asked_at = time.monotonic()
        with self._catching_up:
            if self._began_at > asked_at:
                return
            began_at = time.monotonic()
            self._mirror.look_at(self._in_progress())
            self._heard |= self._held()
            try:
                self._hear()
            except StoreUnavailable as error:  # the events are a cache of the engine's: without it all is looked at
                log.warning("the engine's events cannot be read: %s", error)
                self._mirror.look_at_unfinished()
            self._mirror.look_at_queue_ids(self._heard)
            if self._has_gap:
                self._mirror.look_at_everything()
            self._heard, self._has_gap, self._began_at = set(), False, began_at

    def look_at_unfinished(self) -> None:
        """What no event told."""
        self._mirror.look_at_unfinished()

    def keep_place(self) -> None:
        """The next process goes on where this one was."""
        with self._catching_up:
            cursor = None if self._heard or self._has_gap else self._cursor
        if cursor is not None and cursor != self._kept_cursor:
            self._database.run(lambda session: session.merge(TaggedCursor(name=CURSOR, value=cursor)))
            self._kept_cursor = cursor

    def _start(self) -> None:
        with self._database.reading() as session:
            kept = session.get(TaggedCursor, CURSOR)
        self._cursor = self._queue.store.index.last_event_id() if kept is None else kept.value
        self._has_gap = kept is None

    def _in_progress(self) -> set[int]:
        with self._database.reading() as session:
            return {*session.scalars(select(TaggedTask.id).where(TaggedTask.status == "in_progress"))}

    def _held(self) -> set[str]:
        """Ids of the engine's tasks that its workers hold now."""
        return {snapshot.task.id for snapshot, _ in self._queue.leases() if snapshot.task.type == EXECUTE}

    def _hear(self) -> None:
        if self._cursor is None:
            self._start()
        while True:
            events = self._queue.store.index.events(self._cursor, limit=EVENTS)
            self._has_gap = self._has_gap or any(event.verb == RESET for event in events)
            self._heard |= {event.task_id for event in events
                            if event.type in (EXECUTE, None) and event.verb not in UNIMPORTANT}
            if events:
                self._cursor = events[-1].id
            if len(events) < EVENTS:
                return
