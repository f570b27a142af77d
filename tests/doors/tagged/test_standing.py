"""What the engine says of a task, in the words of its row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock

from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask
from taskspool.records.tagged_standing import Standing, standing_of
from taskspool.settings import Settings

LIMIT = 2


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(tmp_path: Path, clock: FakeClock) -> Iterator[Queue]:
    queue = open_queue(Settings(root=tmp_path, queue="tagged", durability="fast"), clock=clock)
    yield queue
    queue.close()


@pytest.fixture
def task_id(queue: Queue) -> str:
    options = Options(timeout_seconds=10.0, crashes_count=True)
    return queue.enqueue(NewTask("execute_task", {}, max_retries=LIMIT, options=options)).task_id


def standing(queue: Queue, task_id: str) -> Standing:
    return standing_of(queue.task(task_id), queue.store.result(task_id), LIMIT)


def told(queue: Queue, task_id: str) -> tuple[str, int]:
    now = standing(queue, task_id)
    return now.status, now.current_retry_count


def run(queue: Queue, task_id: str) -> str:
    """Claimed for a remote worker; the token."""
    return queue.claim_one(task_id, "w", lease_seconds=30).lease.token


def test_a_task_that_succeeds_at_once(queue: Queue, task_id: str, clock: FakeClock) -> None:
    """to_do, in_progress, done with the time and the result; no retry is counted."""
    assert told(queue, task_id) == ("to_do", 0)
    token = run(queue, task_id)
    assert told(queue, task_id) == ("in_progress", 0)
    queue.complete(task_id, token, {"x": 1})
    assert standing(queue, task_id) == Standing("done", 0, clock.now(), clock.now(), None, {"x": 1})


def test_each_retry_is_counted_until_none_is_left(queue: Queue, task_id: str, clock: FakeClock) -> None:
    """retrying 1, in_progress 1, retrying 2, in_progress 2, failed 2: three runs in all, with the error."""
    seen = []
    for _ in range(LIMIT + 1):
        token = run(queue, task_id)
        seen.append(told(queue, task_id))
        queue.fail(task_id, token, Failure("broken"))
        seen.append(told(queue, task_id))
        clock.advance(3600)
        queue.sweep()
    assert seen == [("in_progress", 0), ("retrying", 1), ("in_progress", 1), ("retrying", 2), ("in_progress", 2),
                    ("failed", 2)]
    assert standing(queue, task_id).error == "broken"
    assert standing(queue, task_id).completed_at is None


def test_a_dead_worker_uses_up_a_retry(queue: Queue, task_id: str, clock: FakeClock) -> None:
    """A run whose worker fell silent counts like one that failed: no task runs more than retry_limit + 1 times."""
    seen = []
    for _ in range(LIMIT + 1):
        run(queue, task_id)
        queue.sweep()
        clock.advance(31)
        queue.sweep()
        seen.append(told(queue, task_id))
    assert seen == [("retrying", 1), ("retrying", 2), ("failed", 2)]


def test_a_run_that_takes_too_long_uses_up_a_retry(queue: Queue, task_id: str, clock: FakeClock) -> None:
    """timeout_seconds over: retrying, and the error says so."""
    run(queue, task_id)
    queue.sweep()
    clock.advance(11)
    queue.sweep()
    assert told(queue, task_id) == ("retrying", 1)
    assert "took longer than its timeout of 10 s" in str(standing(queue, task_id).error)


def test_giving_up_at_once_counts_no_retry(queue: Queue, task_id: str) -> None:
    """failed with 0: it was never tried again."""
    queue.fail(task_id, run(queue, task_id), Failure("hopeless", retryable=False))
    assert told(queue, task_id) == ("failed", 0)


def test_a_task_given_back_undone_is_as_before(queue: Queue, task_id: str) -> None:
    """A worker that stops costs no retry: to_do again."""
    queue.release(task_id, run(queue, task_id), reason="the worker stops")
    assert told(queue, task_id) == ("to_do", 0)


@pytest.mark.parametrize("is_running", [False, True])
def test_a_cancelled_task_is_cancelled(queue: Queue, task_id: str, is_running: bool) -> None:
    """Whether it waited or ran."""
    if is_running:
        run(queue, task_id)
    queue.cancel(task_id, at_once=True)
    assert told(queue, task_id) == ("cancelled", 0)


def test_a_retry_by_hand_begins_anew(queue: Queue, task_id: str) -> None:
    """`taskspool retry` gives a failed task all its attempts again: to_do with 0."""
    queue.fail(task_id, run(queue, task_id), Failure("hopeless", retryable=False))
    queue.retry(task_id)
    assert told(queue, task_id) == ("to_do", 0)
    assert standing(queue, task_id).error == "hopeless"
