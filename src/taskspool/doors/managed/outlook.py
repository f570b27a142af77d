"""When tasks will be done, as far as that can be told: from how long such tasks took, and how many are done at once."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from taskspool.doors.managed.models import DEFAULT_TIMEOUT_SECONDS
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import Snapshot, State
from taskspool.errors import StoreUnavailable

FRESH_SECONDS = 1.0
"""So long the numbers are taken as they were: asking for a task must not cost a look at all workers."""
LAST = datetime.max.replace(tzinfo=UTC)

log = logging.getLogger("taskspool.web")


@dataclass(frozen=True, slots=True)
class Outlook:
    """``mean_seconds``: of the runs of each type that have ended; ``all_mean_seconds`` of all, None: there were none.

    ``concurrency``: how many tasks the workers that live do at once; ``running``: how many of these run.
    """

    mean_seconds: Mapping[str, float] = field(default_factory=dict)
    all_mean_seconds: float | None = None
    concurrency: int = 0
    running: int = 0

    def completion_at(self, snapshot: Snapshot, position: int, now: datetime) -> datetime | None:
        """When the task will be done; None for one that has ended, or waits to be tried again.

        Waiting: each round of as many tasks as are done at once takes the mean of all; the task itself the mean of
        its type, from its turn on. Processing: the mean of its type from its start on. While nothing of its type has
        ended yet, or nobody works: its timeout from its creation on. Never before ``now``.
        """
        task = snapshot.task
        timeout = task.options.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
        own = self.mean_seconds.get(task.type)
        if snapshot.state is State.CLAIMED:
            began = snapshot.updated_at if snapshot.lease is None else snapshot.lease.claimed_at
            return max(now, later(began, timeout if own is None else own))
        if (snapshot.state is State.SCHEDULED and task.was_started) or snapshot.state.is_final:
            return None
        not_before = max(task.created_at, task.not_before or task.created_at)
        if own is None or self.all_mean_seconds is None or not self.concurrency:
            end = later(not_before, timeout)
            return end if end > now else later(now, timeout)
        rounds = (max(position, 1) - 1 + self.running) // self.concurrency
        return later(max(now, not_before), rounds * self.all_mean_seconds + own)


def later(instant: datetime, seconds: float) -> datetime:
    """``instant`` + ``seconds``, or the last instant that can be told: ``schedule_for`` may be the end of 9999."""
    if seconds >= (LAST - instant).total_seconds():
        return LAST
    return instant + timedelta(seconds=seconds)


class Outlooks:
    """The outlook of one queue, looked at anew when it is older than ``FRESH_SECONDS``."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._seen = Outlook()
        self._seen_at: float | None = None

    def now(self) -> Outlook:
        """The last one, while the index cannot be asked: a submit that was accepted must not be answered with an error
        for that. Two threads may look at once: both see the same."""
        at = self._queue.clock.monotonic()
        if self._seen_at is None or not 0 <= at - self._seen_at < FRESH_SECONDS:
            try:
                self._seen = self._look()
            except StoreUnavailable as error:
                log.warning("no new outlook: %s", error)
            self._seen_at = at
        return self._seen

    def _look(self) -> Outlook:
        ended = {kind: one for kind, one in self._queue.histograms().items() if one.count}
        count = sum(one.count for one in ended.values())
        alive = [info for info in self._queue.workers.list() if info.is_alive and not info.is_quiet]
        return Outlook(
            {kind: one.sum_seconds / one.count for kind, one in ended.items()},
            sum(one.sum_seconds for one in ended.values()) / count if count else None,
            sum(max(1, info.report.concurrency) for info in alive), sum(len(info.running) for info in alive),
        )
