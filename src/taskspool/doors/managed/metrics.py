"""What the managed door tells Prometheus of its tasks and workers.

All of it is read out of the queue's index and its registry of workers when it is asked for, so every server and every
worker process of one queue is behind the same figures: of several servers take one (``max``), do not add them up.
Names that operators expect come from the contract of seed 004; label values are bounded: types it does not know, which
may come by file, are told as ``other``. Counters never fall, but when the index was deleted and is filled anew.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, UnknownMetricFamily,
)
from prometheus_client.registry import Collector

from taskspool.doors.managed.wire import STATUS
from taskspool.engine.figures import Histogram
from taskspool.engine.lifecycle import Queue
from taskspool.engine.statistics import Statistics
from taskspool.engine.task import Priority, State
from taskspool.errors import StoreUnavailable

OTHER = "other"
"""The label of every type that the contract does not know."""

log = logging.getLogger("taskspool.metrics")


class QueueCollector(Collector):
    """Tasks and workers of ``queue``. ``types``: those that are told by name."""

    def __init__(self, queue: Queue, types: Collection[str]) -> None:
        self._queue = queue
        self._types = frozenset(types)

    def describe(self) -> list[Metric]:
        """Nothing is read when it is registered."""
        return []

    def collect(self) -> Iterator[Metric]:
        try:
            families = [*self._of_tasks(), *self._of_ends(), *self._of_workers()]
            is_up = 1
        except StoreUnavailable as error:  # the process's own figures are told all the same
            log.warning("the queue cannot be measured this moment: %s", error)
            families, is_up = [], 0
        yield GaugeMetricFamily("task_queue_up", "1 when the queue could be read for this answer.", is_up)
        yield from families

    def _of_tasks(self) -> Iterator[Metric]:
        statistics = self._queue.store.index.statistics(minutes=1)
        yield _gauge("task_queue_size", "Tasks that wait to be taken, by priority.", "queue",
                     {level.word: statistics.ready_by_priority[level] for level in sorted(Priority, reverse=True)})
        yield self._by_status(statistics)
        yield GaugeMetricFamily("task_retrying", "Tasks that failed and wait for their next attempt.",
                                self._queue.figures().retrying)
        oldest = statistics.oldest_ready_at
        waited_seconds = 0.0 if oldest is None else max(0.0, (statistics.at - oldest).total_seconds())
        yield GaugeMetricFamily("task_queue_oldest_age_seconds", "Since when the oldest task that waits was created.",
                                waited_seconds)
        yield GaugeMetricFamily("task_index_complete", "0 while the index is filled anew: figures are too low then.",
                                int(statistics.is_complete))

    def _by_status(self, statistics: Statistics) -> Metric:
        """In the words of this door; those that are retrying are among the queued ones."""
        family = GaugeMetricFamily("task_status_size", "Tasks by status and type; queued ones include retrying ones.",
                                   labels=("status", "task_type"))
        counts = {(status, kind): 0 for status in STATUS.values() for kind in sorted(self._types)}
        for kind, by_state in statistics.by_type.items():
            for state, count in by_state.items():
                at = (STATUS[state], self.label_of(kind))
                counts[at] = counts.get(at, 0) + count
        for at, count in counts.items():
            family.add_metric(at, count)
        return family

    def _of_ends(self) -> Iterator[Metric]:
        totals = self._queue.ended_totals()
        for name, state, text in (("task_success", State.DONE, "Tasks that succeeded, ever."),
                                  ("task_failure", State.DEAD, "Tasks that were given up, ever."),
                                  ("task_cancel", State.CANCELLED, "Tasks that were cancelled, ever.")):
            counts = dict.fromkeys(sorted(self._types), 0)
            for (kind, end), count in totals.items():
                if end is state:
                    counts[self.label_of(kind)] = counts.get(self.label_of(kind), 0) + count
            family = CounterMetricFamily(name, text, labels=("task_type",))
            for kind, count in counts.items():
                family.add_metric((kind,), count)
            yield family
        yield self._durations()

    def _durations(self) -> Metric:
        family = HistogramMetricFamily("task_processing_duration_seconds",
                                       "How long runs took, from their claim to their end.", labels=("task_type",))
        found: dict[str, Histogram] = {}
        for kind, histogram in self._queue.histograms().items():
            name = self.label_of(kind)
            found[name] = _added(found[name], histogram) if name in found else histogram
        for name, histogram in sorted(found.items()):
            buckets = [(f"{bound:g}", count) for bound, count
                       in zip(histogram.bounds_seconds, histogram.cumulative, strict=False)]
            family.add_metric((name,), [*buckets, ("+Inf", histogram.count)], histogram.sum_seconds)
        return family

    def _of_workers(self) -> Iterator[Metric]:
        alive = [one for one in self._queue.workers.list() if one.is_alive]
        busy = sum(bool(one.running) for one in alive)
        yield _of_contract("worker_pool_active_count", "Workers that are alive, busy and idle ones.", len(alive))
        yield _of_contract("worker_pool_idle_count", "Workers that are alive and have no task.", len(alive) - busy)

    def label_of(self, kind: str) -> str:
        """What a type is told as."""
        return kind if kind in self._types else OTHER


def _of_contract(name: str, text: str, number: float) -> Metric:
    """A gauge whose name, which is not ours to choose, ends as only parts of a histogram should: so it has no type."""
    return UnknownMetricFamily(name, text, number)


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _added(one: Histogram, other: Histogram) -> Histogram:
    """Both together; all histograms of a queue have the same bounds."""
    summed: Any = tuple(map(sum, zip(one.cumulative, other.cumulative, strict=True)))
    return Histogram(one.bounds_seconds, summed, one.count + other.count, one.sum_seconds + other.sum_seconds)
