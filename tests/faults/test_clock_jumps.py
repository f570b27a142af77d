"""A wall clock that jumps takes no lease away and makes none last; what waits for its time comes once, when it is due.

Leases and delays are judged by the monotonic clock of the process that watches, instants that were asked for by the
wall clock.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract.candidates import FileCandidate
from taskspool.engine.sweep import TICK_SECONDS
from taskspool.engine.task import Lease, NewTask, State
from taskspool.errors import LeaseLost

LEASE_SECONDS, DAY, YEAR = 5, 86_400, 31_556_952
EXAMPLES = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "1000"))
JUMPS = st.one_of(st.sampled_from([-DAY, -3600, 3600, DAY, 10 * YEAR]), st.integers(-DAY, 10 * YEAR))
EVENTS = st.lists(st.one_of(
    st.tuples(st.just("ticks"), st.integers(1, 12)), st.tuples(st.just("jump"), JUMPS),
    st.tuples(st.sampled_from(["beat", "restart"]), st.just(0))), min_size=3, max_size=14)
counts: Counter[str] = Counter()
few = settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
many = settings(few, max_examples=EXAMPLES)


class Watched:
    """A process that sweeps every tick, another one that puts and claims, and a clock that is set. Every example has a
    task of its own, and leaves the queue empty and the clock right."""

    def __init__(self, folder: Path) -> None:
        self.root = folder
        self.candidate = FileCandidate(self.root, "fast")
        self.clock = self.candidate.clock
        self.queue, self.other = self.candidate.open(), self.candidate.open()
        self._jumped = 0

    def tick(self) -> Any:
        self.clock.advance(TICK_SECONDS)
        _next_tick_of_files(self.root / "probe")
        return self.queue.sweep()

    def jump(self, seconds: int) -> None:
        self._jumped += seconds
        self.clock.jump(seconds)

    def restart(self) -> None:
        self.queue.close()
        self.queue = self.candidate.open()
        self.queue.sweep()

    def forget(self, task_id: str) -> None:
        """The example is over."""
        self.clock.jump(-self._jumped)
        self._jumped = 0
        if self.other.task(task_id).state is State.SCHEDULED:
            self.other.cancel(task_id)
        else:
            self.other.finish_without_token(task_id, None, {})
        self.clock.advance(1)
        for queue in (self.queue, self.other):
            queue.store.prune(self.clock.now() + timedelta(days=400_000))
            queue.sweep()


def _next_tick_of_files(probe: Path) -> None:
    """The file system's clock moves on too (some count in steps of 4 ms): no two signs of life have the same time."""
    probe.touch()
    before = probe.stat().st_mtime_ns
    while probe.stat().st_mtime_ns == before:
        probe.touch()


def check_lease(watched: Watched, events: list[tuple[str, int]]) -> None:
    """Not expired before its length after the last sign of life, expired at the latest two sweeps after it."""
    lease = watched.other.claim_one(watched.other.enqueue(NewTask("ping", {})).task_id, "w",
                                    lease_seconds=LEASE_SECONDS).lease
    counts["expired" if is_lost(watched, lease, events) else "kept"] += 1
    watched.forget(lease.task_id)


def is_lost(watched: Watched, lease: Lease, events: list[tuple[str, int]]) -> bool:
    sign = seen = watched.clock.monotonic()
    for kind, value in events:
        if kind == "jump":
            watched.jump(value)
        elif kind == "restart":
            watched.restart()
            seen = watched.clock.monotonic()    # who has just started gives every lease its full time
        elif kind == "beat":
            watched.other.extend(lease.task_id, lease.token)
            sign = watched.clock.monotonic()
        for _ in range(value if kind == "ticks" else 0):
            is_expired = bool(watched.tick().expired)
            silent = watched.clock.monotonic() - sign
            assert not (is_expired and silent < LEASE_SECONDS), f"expired {LEASE_SECONDS - silent} s early"
            late = watched.clock.monotonic() - max(sign, seen) - LEASE_SECONDS
            assert is_expired or late < 2 * TICK_SECONDS, f"still held {late} s after its end"
            counts["sweeps"] += 1
            if is_expired:
                with pytest.raises(LeaseLost):
                    watched.other.extend(lease.task_id, lease.token)
                return True
    return False


@pytest.fixture
def watched(scratch: Path) -> Iterator[Watched]:
    counts.clear()
    made = Watched(scratch)
    yield made
    made.candidate.end()


@given(EVENTS)
@few
def test_a_jump_expires_no_lease_and_keeps_none(watched: Watched, events: list[tuple[str, int]]) -> None:
    """Jumps of a day back to ten years forward, beats and restarts in any order: a sample."""
    check_lease(watched, events)


@pytest.mark.slow
@pytest.mark.timeout(max(300, EXAMPLES))
def test_a_jump_expires_no_lease_and_keeps_none_in_many_examples(watched: Watched) -> None:
    """A thousand of them, or as many as TASKSPOOL_TEST_ROUNDS says."""
    many(given(EVENTS)(lambda events: check_lease(watched, events)))()
    print(f"clock jumps: {EXAMPLES} examples, {dict(counts)}, 0 expired early, 0 later than two sweeps")


def check_delay(watched: Watched, seconds: int, by_instant: bool, events: list[tuple[str, int]]) -> None:
    """In the first sweep after its time, not in one before it, and once. An instant is one of the wall clock. A delay
    lasts as long as it was asked for, however that is set; who has just started goes by what the wall clock says is
    left of it, which is never more than the whole."""
    due, ends_at = watched.clock.now() + timedelta(seconds=seconds), watched.clock.boottime() + seconds
    new = NewTask("ping", {}, run_at=due) if by_instant else NewTask("ping", {}, delay_seconds=seconds)
    task_id = watched.other.enqueue(new).task_id
    promoted = 0
    for kind, value in [("ticks", 1), *events, ("jump", 20 * DAY), ("pass", seconds), ("ticks", 1)]:
        if kind == "jump":
            watched.jump(value)
        elif kind == "pass":
            watched.clock.advance(value)
        elif kind == "restart":
            watched.restart()
            promoted = int(watched.queue.task(task_id).state is State.READY)
            left = (due - watched.clock.now()).total_seconds()
            ends_at = watched.clock.boottime() + max(0.0, min(left, seconds))
        for _ in range(value if kind == "ticks" else 0):
            promoted += watched.tick().promoted
            is_ready = watched.queue.task(task_id).state is State.READY
            is_over = watched.clock.now() >= due if by_instant else watched.clock.boottime() >= ends_at
            assert is_ready == bool(promoted or is_over), f"ready: {is_ready}, {watched.clock.now()}, {due}, {ends_at}"
            assert promoted <= 1
        counts["jumps"] += kind == "jump"
    assert promoted == 1
    if promoted:
        assert [one.task.id for one in watched.other.claim("w", max_tasks=9)] == [task_id]
        counts["fired"] += 1
    watched.forget(task_id)


DELAYS = (st.integers(1, 20), st.booleans(), EVENTS)


@given(*DELAYS)
@few
def test_what_waits_for_its_time_comes_once_when_it_is_due(watched: Watched, seconds: int, by_instant: bool,
                                                            events: list[tuple[str, int]]) -> None:
    """However the wall clock jumps, and after a restart: a sample."""
    check_delay(watched, seconds, by_instant, events)


@pytest.mark.slow
@pytest.mark.timeout(max(300, EXAMPLES))
def test_what_waits_for_its_time_comes_once_in_many_examples(watched: Watched) -> None:
    """A thousand of them, or as many as TASKSPOOL_TEST_ROUNDS says."""
    many(given(*DELAYS)(lambda seconds, by_instant, events: check_delay(watched, seconds, by_instant, events)))()
    print(f"delays and jumps: {EXAMPLES} examples, {dict(counts)}, 0 early, 0 late, 0 twice")
