"""What happens seldom: the last way out of verbs, sweeps and starts. Each is a promise all the same."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.test_overtaken import held, meanwhile
from engine.test_refusals import refusing
from fake_clock import FakeClock
from taskspool.engine.chores import Chores
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.steering import CANCEL_TRIES
from taskspool.engine.options import Options
from taskspool.engine.schedule import READ_SLICE
from taskspool.engine.task import NewTask, State
from taskspool.errors import InvalidRequest, PayloadTooLarge, StoreUnavailable
from waiting import eventually


def test_a_cancel_follows_a_task_that_is_given_back(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its worker let go between the look and the request: it is cancelled where it waits."""
    lease = held(queue)
    meanwhile(monkeypatch, queue.store, "request_cancel", lambda: queue.release(lease.task_id, lease.token),
              before=True)
    assert queue.cancel(lease.task_id).state is State.CANCELLED


def test_a_cancel_does_not_chase_a_task_for_ever(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It moves on before each step: after some tries the answer is where it is, and nothing was done."""
    tries = []
    lease = held(queue)
    monkeypatch.setattr(queue._endings, "cancel_running", lambda *_, **__: tries.append(1))
    assert queue.cancel(lease.task_id).state is State.CLAIMED
    assert len(tries) == CANCEL_TRIES


def test_a_request_to_cancel_nobody_is_tried_again(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was claimed at the look, and held by nobody when its lease was asked for."""
    lease = held(queue)
    meanwhile(monkeypatch, queue.store, "lease_of", lambda: queue.release(lease.task_id, lease.token), before=True)
    assert queue.cancel(lease.task_id).state is State.CANCELLED


def test_a_result_that_cannot_be_kept_leaves_the_task_waiting(queue: Queue) -> None:
    """It came without a token for a task that waits: claimed for it, and given back as it was."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    for data, error in ((float("nan"), InvalidRequest), ("x" * 2_000_000, PayloadTooLarge)):
        with pytest.raises(error):
            queue.finish_without_token(task_id, "old", data)
        assert (queue.task(task_id).state, queue.task(task_id).task.next_attempt) == (State.READY, 1)


def test_a_claim_that_is_damaged_is_nowhere(queue: Queue, folder: Path) -> None:
    """A held task whose file cannot be read is not told of."""
    lease = held(queue)
    Path(queue.store._place.lease_path(lease)).write_bytes(b"{")
    assert queue.store.find(lease.task_id) is None


def test_many_that_wait_for_their_time_are_found_without_an_index(
        queue: Queue, folder: Path, opener: Callable[..., Queue], clock: FakeClock) -> None:
    """More than are read in one slice."""
    ids = {queue.enqueue(NewTask("ping", {}, delay_seconds=5)).task_id for _ in range(READ_SLICE + 1)}
    queue.close()
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (folder / name).unlink(missing_ok=True)
    other = opener()
    other.sweep()
    clock.advance(5)
    assert other.sweep().promoted == len(ids)


def test_deadlines_of_what_is_scheduled_come_from_the_index(
        queue: Queue, opener: Callable[..., Queue], clock: FakeClock) -> None:
    """Who has just started gives up what nobody may start any more, without reading a file."""
    late = Options(total_timeout_seconds=20)
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=60, options=late)).task_id
    queue.store.index.events()  # what this process did is written down by now
    queue.close()
    other = opener()
    clock.advance(20)
    assert other.sweep().buried == 1
    assert other.task(task_id).state is State.DEAD


@pytest.mark.parametrize("is_faster", [False, True])
def test_a_retry_follows_a_result_whose_finisher_died(
        queue: Queue, monkeypatch: pytest.MonkeyPatch, is_faster: bool) -> None:
    """The result stands, and the claim still does: it is moved first, by the retry or by who is faster."""
    lease = held(queue)
    place = queue.store._place
    claim, end = Path(place.lease_path(lease)), Path(place.task_path(State.DEAD, lease.task_id))
    with refusing(monkeypatch, "rename", "/dead/", times=9), suppress(StoreUnavailable):
        queue.fail(lease.task_id, lease.token, Failure("no", retryable=False))
    assert (claim.exists(), end.exists()) == (True, False)
    if is_faster:
        meanwhile(monkeypatch, queue.store._claims, "of", lambda: claim.rename(end))
    assert (queue.retry(lease.task_id).state, claim.exists(), end.exists()) == (State.READY, False, False)


@pytest.mark.parametrize("where", ["/locks/move-07.lock", "/locks/key-00.lock"])
def test_a_lock_that_cannot_be_opened_stops_the_start(
        queue: Queue, opener: Callable[..., Queue], monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """Said with its path; the next start works."""
    with refusing(monkeypatch, "open", where), pytest.raises(StoreUnavailable, match=where):
        opener()
    assert opener().enqueue(NewTask("ping", {})).created


@pytest.mark.parametrize(("error", "said"), [(StoreUnavailable("full"), "put off: full"),
                                             (sqlite3.OperationalError("odd"), "a chore failed")])
def test_a_chore_that_fails_is_said_and_begun_anew(
        caplog: pytest.LogCaptureFixture, error: Exception, said: str) -> None:
    """In the thread that nobody waits for."""
    caplog.set_level(logging.INFO, "taskspool.chores")
    chores, tries = Chores(FakeClock()), list[int]()

    def slices() -> Iterator[None]:
        tries.append(1)
        yield
        if len(tries) == 1:
            raise error

    chores.begin("index", slices)
    chores.work(0, until=lambda: True)
    eventually(lambda: said in caplog.text)
    eventually(lambda: not chores.is_under_way("index"))
    chores.begin("index", slices)
    eventually(lambda: chores.work(0, until=lambda: True) or not chores.is_under_way("index"))
    assert len(tries) == 2
    chores.close()
