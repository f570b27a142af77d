"""Looking at a queue without moving anything: one task and its story, many tasks, numbers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from taskspool.clock import Clock
from taskspool.engine.batch import Batch, batch_of
from taskspool.engine.explain import ASKED_SECONDS, Explanation, Facts, explain
from taskspool.engine.history import story_of
from taskspool.engine.figures import Figures, Histogram
from taskspool.engine.store import Store
from taskspool.engine.task import CancelRequest, Counts, Lease, Pauses, Result, Snapshot, State, Step
from taskspool.engine.workers import Workers
from taskspool.errors import BatchNotFound, ResultPending, StoreUnavailable, TaskNotFound


class Looking:
    """The half of a Queue that only reads."""

    def __init__(self, store: Store, clock: Clock, *, max_crashes: int, cancel_grace_seconds: float) -> None:
        self.store = store
        self.clock = clock
        self.max_crashes = max_crashes
        self.cancel_grace_seconds = cancel_grace_seconds
        self.logs = store.logs

    @property
    def workers(self) -> Workers:
        """The registry of workers: who is alive, what each does, what it was told."""
        return self.store.workers

    # -- one task ------------------------------------------------------------------------------------------------

    def task(self, task_id: str) -> Snapshot:
        """Raises TaskNotFound."""
        snapshot = self.store.find(task_id)
        if snapshot is None:
            raise TaskNotFound(f"no task has the id {task_id}", task_id=task_id)
        return snapshot

    def result(self, task_id: str) -> Result:
        """Raises ResultPending while the task is not finished, TaskNotFound when there is none."""
        result = self.store.result(task_id)
        if result is None:
            snapshot = self.task(task_id)
            raise ResultPending(f"task {task_id} is {snapshot.state.value}, it has no result yet", task_id=task_id,
                                state=snapshot.state.value)
        return result

    def story(self, task_id: str) -> tuple[Step, ...]:
        """Everything that happened to the task, oldest first. Raises TaskNotFound."""
        snapshot = self.task(task_id)
        return story_of(snapshot, self.store.result(task_id) if snapshot.state.is_final else None)

    def explain(self, task_id: str) -> Explanation:
        """Why the task is where it is, and what happens next, in words. Raises TaskNotFound."""
        snapshot = self.task(task_id)
        result = self.store.result(task_id) if snapshot.state.is_final else None
        now = self.clock.now()
        is_ready, is_held = snapshot.state is State.READY, snapshot.state is State.CLAIMED
        facts = Facts(
            now, self.store.position(task_id) if is_ready else None, self.paused(),
            cancel=self.store.cancel_request(task_id) if is_held else None,
            cancel_grace_seconds=self.cancel_grace_seconds, max_crashes=self.max_crashes, seen_at=snapshot.seen_at,
            result=result,
        )
        if is_ready:
            facts = self._with_workers(facts, snapshot.task.type)
        return explain(snapshot, story_of(snapshot, result), facts)

    def _with_workers(self, facts: Facts, task_type: str) -> Facts:
        """Who asked for tasks of that type lately, and who of the workers does them, as the registry knows it."""
        known = {info.name: info for info in self.workers.list()}
        does = [info for info in known.values() if info.is_alive and info.does(task_type)]
        quiet = tuple(info.name for info in does if info.is_quiet)
        askers = self._askers(task_type, facts.now)
        lost = tuple(name for name in askers or () if name in known and not known[name].is_alive)
        if askers is not None:
            askers = tuple(name for name in askers if name not in {*quiet, *lost})
        return replace(facts, askers=askers, lost=lost, quiet=quiet,
                       doers=tuple(info.name for info in does if not info.is_quiet))

    def _askers(self, task_type: str, now: datetime) -> tuple[str, ...] | None:
        """Who asked for tasks of that type in the last minute; None when the index cannot be asked."""
        try:
            asked = self.store.index.asked(task_type, since=now - timedelta(seconds=ASKED_SECONDS))
        except StoreUnavailable:
            return None
        return tuple(one.worker for one in asked)

    def lease_of(self, task_id: str) -> Lease | None:
        return self.store.lease_of(task_id)

    def cancel_request(self, task_id: str) -> CancelRequest | None:
        """Who wants the task cancelled; its worker should stop. None: nobody."""
        return self.store.cancel_request(task_id)

    # -- many tasks ----------------------------------------------------------------------------------------------

    def listing(self, state: State = State.READY, *, types: Collection[str] | None = None,
                limit: int = 10, oldest: bool = False) -> list[Snapshot]:
        """Up to ``limit`` tasks of one state. See Store.listing for their order."""
        return self.store.listing(state, types, limit, oldest=oldest)

    def latest_results(self, limit: int = 10) -> list[Result]:
        return self.store.latest_results(limit)

    def leases(self) -> list[tuple[Snapshot, Lease]]:
        return self.store.leases()

    def counts(self) -> Counts:
        return self.store.counts()

    def figures(self, group: str | None = None) -> Figures:
        """How many tasks are where, of one group or of all; from the index, at the same price for any number."""
        return self.store.index.figures(group)

    def histograms(self) -> Mapping[str, Histogram]:
        """How long runs took, by type. Never falls, but when the index is made anew."""
        return self.store.index.histograms()

    def ended_totals(self) -> Mapping[tuple[str, State], int]:
        """(type, state) -> how many tasks ended so, ever. Never falls, but when the index is made anew."""
        return self.store.index.ended_totals()

    def mean_seconds_by_worker(self) -> Mapping[str, float]:
        """How long each worker took from claim to end, over the latest 1000 tasks that ended."""
        return self.store.index.mean_seconds_by_worker()

    def batch(self, batch_id: str) -> Batch:
        """The batch as it stands now: its tasks are looked at one by one. Raises BatchNotFound."""
        record = self.store.batch(batch_id)
        if record is None:
            raise BatchNotFound(f"no batch has the id {batch_id}", batch_id=batch_id)
        return batch_of(record, [self.store.find(task_id) for task_id in record.task_ids])

    def batches(self, limit: int = 10) -> list[Batch]:
        """Up to ``limit`` batches as they stand now, newest first."""
        return [batch_of(record, [self.store.find(task_id) for task_id in record.task_ids])
                for record in self.store.batches(limit)]

    def paused(self) -> Pauses:
        """What is not handed out, since when and by whom."""
        return self.store.paused()

    def glance(self) -> None:
        """Look for what other processes added, if anybody here waits. Cheap; see ``sweep.Lookout``."""
        if self.store.bell.has_waiters:
            self.store.glance()
            self.store.workers.look_for_orders()
