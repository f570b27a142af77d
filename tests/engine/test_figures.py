"""The numbers of dashboards and monitors: true, at the same price for any number of tasks, and never falling."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from fake_clock import FakeClock
from taskspool.clock import IdMaker
from taskspool.engine.events import Change
from taskspool.engine.figures import BOUNDS_SECONDS, Figures
from taskspool.engine.index_query import Filter, order_of
from taskspool.engine.index_rows import write_rows
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import PLAIN, Options
from taskspool.engine.task import NewTask, Priority, Result, State, Task
from waiting import eventually

Opener = Callable[..., Queue]
MANY = 100_000
NEWEST = order_of("-created_at")


def figures(queue: Queue, group: str | None = None) -> Figures:
    """When the index knows all that this process did."""
    queue.store.index.last_event_id()
    return queue.figures(group)


def put(queue: Queue, kind: str, group: str | None = None, **fields: object) -> str:
    options = PLAIN if group is None else Options(group=group)
    return queue.enqueue(NewTask(kind, {}, options=options, **fields)).task_id  # type: ignore[arg-type]


def run(queue: Queue, clock: FakeClock, task_id: str, seconds: float, end: str = "complete") -> None:
    lease = queue.claim_one(task_id, "w").lease
    clock.advance(seconds)
    if end == "complete":
        queue.complete(task_id, lease.token, {})
    elif end == "fail":
        queue.fail(task_id, lease.token, Failure("no"))
    else:
        queue.cancel(task_id, at_once=True)


def test_figures_are_those_of_the_group(queue: Queue, clock: FakeClock) -> None:
    """By state and type, the mean of its own runs; all tasks without a group; zeros for one that nobody knows."""
    for kind, group, seconds in (("a", "g", 2.0), ("a", "g", 4.0), ("b", "h", 60.0), ("b", None, 10.0)):
        run(queue, clock, put(queue, kind, group), seconds)
    put(queue, "b", "g")
    put(queue, "b", "g", delay_seconds=60.0)
    found = figures(queue, "g")
    assert (found.by_state, found.by_type, found.retrying) == \
        ({State.DONE: 2, State.READY: 1, State.SCHEDULED: 1}, {"a": 2, "b": 2}, 0)
    assert found.mean_seconds == pytest.approx(3.0, abs=0.01)
    assert figures(queue).by_state == {State.DONE: 4, State.READY: 1, State.SCHEDULED: 1}
    assert figures(queue).mean_seconds == pytest.approx(19.0, abs=0.01)
    assert figures(queue, "nobody") == Figures({}, {}, 0, None, True)


def test_what_is_scheduled_after_a_failure_is_retrying(queue: Queue, clock: FakeClock) -> None:
    """Told apart from what waits for its time only; filters find both, with true totals."""
    tried, later, ready = put(queue, "a", max_retries=2), put(queue, "a", delay_seconds=60.0), put(queue, "a")
    run(queue, clock, tried, 1, "fail")
    again = put(queue, "a", max_retries=2)
    run(queue, clock, again, 1, "fail")
    queue.promote(again)
    assert figures(queue).retrying == 1
    wanted = {
        (True, None): {tried}, (False, None): {later, ready, again}, (None, True): {tried, again},
        (None, False): {later, ready},
    }
    for (is_retrying, was_tried), ids in wanted.items():
        for states in (None, frozenset({State.SCHEDULED, State.READY})):
            for sort in ("-created_at", "updated_at"):
                wish = Filter(states, is_retrying=is_retrying, was_tried=was_tried)
                page = queue.store.index.listing(wish, sort=sort)
                assert ({one.task.id for one in page.items}, page.total) == (ids, len(ids))


def test_totals_and_histograms_count_every_end_and_never_fall(
        queue: Queue, opener: Opener, clock: FakeClock) -> None:
    """Also ends that were retried, or pruned, before they were written down; after pruning, and for another process."""
    done, dead, gone = put(queue, "a"), put(queue, "a", "g"), put(queue, "b")
    run(queue, clock, dead, 3, "fail")
    queue.retry(dead)
    run(queue, clock, dead, 5, "fail")
    run(queue, clock, done, 0.1)
    run(queue, clock, gone, 7, "cancel")
    clock.advance(1)
    assert queue.store.prune(clock.now()) == 3
    other = opener()
    for one in (queue, other):
        queue.store.index.last_event_id()
        assert one.ended_totals() == {("a", State.DONE): 1, ("a", State.DEAD): 2, ("b", State.CANCELLED): 1}
        assert figures(one).mean_seconds == pytest.approx((3 + 5 + 0.1 + 7) / 4, abs=0.01)
        histogram = one.histograms()["a"]
        assert (histogram.count, histogram.sum_seconds) == (3, pytest.approx(8.1, abs=0.01))
    assert opener().ended_totals() == queue.ended_totals()


def test_an_end_that_another_process_tells_late_is_counted(queue: Queue, opener: Opener, clock: FakeClock) -> None:
    """It was retried here, and that was written first: the row does not tell it any more."""
    other, task_id = opener(), put(queue, "a")
    queue.store.index.last_event_id()
    run(other, clock, task_id, 2, "fail")
    clock.advance(1)
    queue.retry(task_id)
    queue.store.index.last_event_id()
    eventually(lambda: other.store.index.last_event_id() and queue.ended_totals() == {("a", State.DEAD): 1})
    for _ in range(2):
        queue.store.index.last_event_id()
    assert (queue.ended_totals(), figures(queue).by_state) == ({("a", State.DEAD): 1}, {State.READY: 1})


def test_a_new_index_counts_what_is_there(queue: Queue, opener: Opener, clock: FakeClock, folder: Path) -> None:
    """Made anew it knows the tasks of the folder, and their ends, once each."""
    for seconds in (1, 2, 3):
        run(queue, clock, put(queue, "a", "g"), seconds)
    before = figures(queue, "g"), queue.ended_totals(), queue.histograms()
    queue.close()
    for path in folder.glob("index.sqlite*"):
        path.unlink()
    fresh = opener()
    eventually(lambda: fresh.sweep() and fresh.figures().is_complete)
    assert (figures(fresh, "g"), fresh.ended_totals()) == before[:2]
    assert fresh.histograms()["a"].cumulative == before[2]["a"].cumulative


def test_the_bounds_of_histograms_are_true(queue: Queue, clock: FakeClock) -> None:
    """Of runs of any length: so many took at most that long, within half a thousandth of a bound."""
    dice = random.Random(7)
    lasted = [round(math.exp(dice.uniform(-6, 10)), 3) for _ in range(60)]
    for seconds in lasted:
        run(queue, clock, put(queue, "a"), seconds)
    figures(queue)
    histogram = queue.histograms()["a"]
    assert histogram.bounds_seconds == BOUNDS_SECONDS
    for bound, count in zip(histogram.bounds_seconds, histogram.cumulative, strict=True):
        slack = 0.0011 + bound * 0.0005  # a token tells whole milliseconds
        assert sum(one <= bound - slack for one in lasted) <= count <= sum(one <= bound + slack for one in lasted)
    assert histogram.count == len(lasted)


def test_the_mean_of_each_worker_is_told(queue: Queue, clock: FakeClock) -> None:
    """Over what each of them ended."""
    for worker, seconds in (("ann", 2), ("ann", 4), ("bob", 10)):
        lease = queue.claim_one(put(queue, "a"), worker).lease
        clock.advance(seconds)
        queue.complete(lease.task_id, lease.token, {})
    figures(queue)
    assert queue.mean_seconds_by_worker() == {"ann": pytest.approx(3, abs=0.01), "bob": pytest.approx(10, abs=0.01)}


def rows(count: int, clock: FakeClock) -> list[Change]:
    """So many tasks of one group, in every state."""
    ids, now, made = IdMaker(), clock.now(), []
    for number in range(count):
        state = (State.DONE, State.SCHEDULED, State.READY, State.DEAD)[number % 4]
        task = Task(ids(), f"kind{number % 5}", {}, "me", now, list(Priority)[number % 4], options=Options(group="g"),
                    attempts=number % 3)
        result = Result(task.id, "w", "success" if state is State.DONE else "error", None, now, claimed_at=now)
        made.append(Change("adopt", task.id, state, now, task, result if state.is_final else None, "w"))
    return made


@pytest.mark.slow
def test_figures_of_a_hundred_thousand_tasks_cost_milliseconds(queue: Queue, clock: FakeClock) -> None:
    """No scan: the statements read at most some hundred rows, of whatever table."""
    figures(queue)
    made = rows(MANY, clock)
    with queue.store._recorder.index.writing() as connection:
        write_rows(connection, made)
    counted = Counter(change.state for change in made)
    ticks = 0

    def tick() -> int:
        nonlocal ticks
        ticks += 1
        return 0

    index = queue.store.index
    asks: dict[str, Callable[[], object]] = {
        "figures of a group": lambda: queue.figures("g"), "figures": queue.figures, "totals": queue.ended_totals,
        "histograms": queue.histograms, "means": queue.mean_seconds_by_worker,
        "retrying": lambda: index._rows(Filter(is_retrying=True), NEWEST, 10, 0, None),
        "queued": lambda: index._rows(Filter(frozenset({State.READY, State.SCHEDULED}), is_retrying=False),
                                      NEWEST, 10, 0, None),
    }
    assert queue.figures("g").by_state == counted
    for name, ask in asks.items():
        with queue.store._recorder.index.reading() as connection:
            connection.set_progress_handler(tick, 1000)
        before, began = ticks, time.perf_counter()
        ask()
        spent = time.perf_counter() - began
        with queue.store._recorder.index.reading() as connection:
            connection.set_progress_handler(None, 0)
        print(f"{name}: {spent * 1000:.1f} ms, {ticks - before} thousand steps of SQLite")
        assert ticks - before < 100, name
