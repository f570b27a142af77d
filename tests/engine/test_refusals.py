"""The disk refuses one call of a verb: what was half done is put back, and nothing drops out of the line in memory."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.foreign import drop
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import PLAIN, Options
from taskspool.engine.task import NewTask, Snapshot, State
from taskspool.errors import NotRetryable, StoreUnavailable


@contextmanager
def refusing(monkeypatch: pytest.MonkeyPatch, function: str, where: str, times: int = 1) -> Iterator[list[str]]:
    """``os.function`` fails on paths in which the pattern ``where`` is found, so many times; what it failed on."""
    failed: list[str] = []
    real: Callable[..., Any] = getattr(os, function)

    class RefusingOs:
        def __getattr__(self, name: str) -> Any:
            return refuse if name == function else getattr(os, name)

    def refuse(*arguments: Any, **named: Any) -> Any:
        if len(failed) < times and any(re.search(where, str(one)) for one in arguments):
            failed.append(str(arguments))
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(files, "os", RefusingOs())
        yield failed
    assert failed, "the refusal never came"


def test_a_claim_that_failed_half_way_is_given_back(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renamed, but not to be looked at: nobody was told, so nobody holds it, not even for this process."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    with refusing(monkeypatch, "lstat", "/claimed/"), pytest.raises(StoreUnavailable):
        queue.claim("w", lease_seconds=0)
    assert queue.leases() == []
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_a_claim_that_cannot_even_be_given_back_is_given_back_by_a_sweep(
        queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way back failed as well: it is tried again until it works."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    real, moves = files.move, []

    def once(source: str, target: str) -> None:
        moves.append(target)
        if len(moves) in (2, 3, 4) and "/claimed/" in source:
            raise files.translate(OSError(errno.EIO, "no"), "move")
        real(source, target)

    monkeypatch.setattr(files, "move", once)
    with refusing(monkeypatch, "lstat", "/claimed/"), pytest.raises(StoreUnavailable):
        queue.claim("w", lease_seconds=0)
    assert queue.task(task_id).state is State.CLAIMED
    for _ in range(4):
        queue.sweep()
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_what_was_claimed_before_the_refusal_is_handed_over(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two were asked for and the second failed: the first is given, the second waits."""
    first, second = (queue.enqueue(NewTask("ping", {})).task_id for _ in range(2))
    with refusing(monkeypatch, "rename", f"/tasks/{second}"):
        assert [claim.task.id for claim in queue.claim("w", max_tasks=2)] == [first]
    assert [claim.task.id for claim in queue.claim("w", max_tasks=2)] == [second]


def test_a_task_asked_for_by_name_stays_in_line_when_it_could_not_be_had(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused by rename or by read: 503, and it is the next in line all the same."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    for _ in range(3):
        queue.sweep()
        clock.advance(3)
    with refusing(monkeypatch, "rename", "/tasks/"), pytest.raises(StoreUnavailable):
        queue.claim_one(task_id, "w")
    assert queue.store.position(task_id) == 1
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_a_promotion_that_was_refused_is_made_by_the_next_sweep(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though no name in scheduled/ has changed since."""
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=1)).task_id
    queue.fail(task_id, queue.claim("w")[0].lease.token, Failure("no"))
    for _ in range(5):
        queue.sweep()
        clock.advance(5)
    with refusing(monkeypatch, "rename", "/scheduled/"), pytest.raises(StoreUnavailable):
        clock.advance(30)
        queue.sweep()
    assert queue.task(task_id).state is State.SCHEDULED
    assert queue.sweep().promoted == 1
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_a_promotion_whose_fsync_was_refused_is_in_line(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename had happened: the task waits, and is found."""
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=1)).task_id
    queue.fail(task_id, queue.claim("w")[0].lease.token, Failure("no"))
    clock.advance(30)
    with refusing(monkeypatch, "open", "task_queue/tasks$"), pytest.raises(StoreUnavailable):
        queue.sweep()
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_a_file_that_cannot_be_quarantined_is_tried_again(
        queue: Queue, folder: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reason is left alone in quarantine/ by a move that failed."""
    drop(folder, 1, {"type": 7})
    with refusing(monkeypatch, "rename", "/quarantine/", times=2), pytest.raises(StoreUnavailable):
        queue.sweep()
    assert list((folder / "quarantine").iterdir()) == []
    for _ in range(3):
        clock.advance(61)
        queue.sweep()
    assert len(list((folder / "quarantine").iterdir())) == 2


def test_a_folder_that_never_stays_is_a_refusal(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim does not try for ever to make its worker's folder."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    with monkeypatch.context() as patch:
        patch.setattr(files, "make_folder", lambda path: None)
        with pytest.raises(StoreUnavailable):
            queue.claim("w")
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_an_unlink_that_was_refused_keeps_result_and_task_together(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prune takes both or none."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    queue.complete(task_id, queue.claim("w")[0].lease.token, {})
    clock.advance(10)
    with refusing(monkeypatch, "unlink", "/done/"):
        assert queue.store.prune(clock.now()) == 0
    assert queue.task(task_id).state is State.DONE
    assert queue.store.prune(clock.now()) == 1


@pytest.mark.parametrize("delay_seconds", [0.0, 3600.0])
@pytest.mark.parametrize("end", ["cancel", "deadline"])
def test_a_task_that_cannot_be_ended_goes_back_where_it_waited(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, delay_seconds: float, end: str) -> None:
    """The disk refuses the result of a cancel, or of an expiry: the task waits as before, and the next try ends it."""
    options = Options(start_before=clock.now() + timedelta(seconds=10)) if end == "deadline" else PLAIN
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=delay_seconds, options=options)).task_id
    waited = queue.task(task_id).state
    clock.advance(10)
    act = queue.sweep if end == "deadline" else lambda: queue.cancel(task_id)
    with refusing(monkeypatch, "link", "/results/"), pytest.raises(StoreUnavailable):
        act()
    assert queue.task(task_id).state is waited
    act()
    assert queue.task(task_id).state.is_final


def test_a_scheduled_task_whose_canceller_died_still_waits_for_its_time(
        opener: Callable[..., Queue], clock: FakeClock) -> None:
    """The death costs it neither its delay nor a crash."""
    queue, dying = opener(), opener()
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=3600.0)).task_id
    dying.store.take_to_end(task_id, "ann")
    dying.close()
    queue.sweep()
    found = queue.task(task_id)
    assert (found.state, found.task.crashes) == (State.SCHEDULED, 0)


def test_a_file_that_cannot_be_touched_does_not_keep_the_queue_closed(
        opener: Callable[..., Queue], clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be ended at the start, because somebody has its file open, is ended by a sweep."""
    dying = opener()
    task_id = dying.enqueue(NewTask("ping", {})).task_id
    dying.claim("w", lease_seconds=0)
    dying.close()
    with refusing(monkeypatch, "rename", "/claimed/"):
        queue = opener()
    assert queue.task(task_id).state is State.CLAIMED
    assert queue.sweep().expired == 1


def test_a_retry_overtakes_the_second_step_of_a_finish(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result of a failure stands, and its file has not followed yet: it is retried all the same, once."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    lease = queue.claim("w")[0].lease
    intake = queue.store._intake  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(intake, "move_finished", lambda path, result: False)
        queue.fail(task_id, lease.token, Failure("no luck"))
    assert queue.retry(task_id).state is State.READY
    assert [claim.task.id for claim in queue.claim("w", max_tasks=2)] == [task_id]
    assert list(queue.store.problems()) == []


def test_a_retry_that_was_overtaken_takes_no_success_back(
        opener: Callable[..., Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process retried the dead task and has done it, between the looks of this one: it stays done."""
    queue, other = opener(), opener()
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    queue.fail(task_id, queue.claim("w")[0].lease.token, Failure("no luck"))
    real, overtaken = queue.store.find, []

    def find(asked: str) -> Snapshot | None:
        seen = real(asked)
        if not overtaken:
            other.retry(task_id)
            overtaken.append(other.complete(task_id, other.claim_one(task_id, "w2").lease.token, {"n": 1}))
        return seen

    monkeypatch.setattr(queue.store, "find", find)
    with pytest.raises(NotRetryable):
        queue.retry(task_id)
    assert queue.result(task_id) == overtaken[0]
    assert queue.task(task_id).state is State.DONE
