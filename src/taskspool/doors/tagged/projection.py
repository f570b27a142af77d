"""What goes on at this door without a caller: rows follow the engine, and what a crash left half done is finished."""

from __future__ import annotations

import logging
import time

from taskspool.engine.lifecycle import Queue
from taskspool.engine.sweep import Ticker
from taskspool.errors import StoreUnavailable
from taskspool.records.database import Database
from taskspool.records.tagged_follow import TaggedFollower
from taskspool.records.tagged_tags import collect_tags
from taskspool.records.tagged_tasks import TaggedTasks

TICK_SECONDS = 1.0
THOROUGH_SECONDS = 60.0
"""So often all unfinished rows are looked at, whatever the engine's events told, and unused tags are removed ..."""
THOROUGH_SHARE = 0.02
"""... but with many rows so seldom that it takes no more than this share of the time."""

log = logging.getLogger("taskspool.tagged")


class Projection(Ticker):
    """From ``start`` to ``stop``. Any number of processes may do this for one database: they share the work."""

    def __init__(self, queue: Queue, database: Database, tick_seconds: float = TICK_SECONDS) -> None:
        self._tasks = TaggedTasks(queue, database)
        self._follower = TaggedFollower(queue, database)
        self._database = database
        self._thorough_at = time.monotonic()
        super().__init__(self._tick, tick_seconds, "projection")

    def start(self) -> None:
        """What a crash left is finished before anybody is served, unless the stores refuse: then a moment later."""
        try:
            self._tasks.repair()
            self._follower.catch_up()
            self._follower.keep_place()
        except StoreUnavailable as error:
            log.warning("the first look is put off: %s", error)
        super().start()

    def _tick(self) -> None:
        self._tasks.repair()
        self._follower.catch_up()
        self._follower.keep_place()
        began_at = time.monotonic()
        if began_at >= self._thorough_at:
            self._follower.look_at_unfinished()
            collect_tags(self._database)
            ended_at = time.monotonic()
            self._thorough_at = ended_at + max(THOROUGH_SECONDS, (ended_at - began_at) / THOROUGH_SHARE)
