"""Somebody was faster, between a look and the step that follows it: nothing is lost, nothing is done twice."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import Options
from taskspool.engine.task import CancelRequest, NewTask, Result, State
from taskspool.errors import LeaseLost, StoreUnavailable, TaskFinished
from taskspool.settings import Settings

LEASE_SECONDS = 60


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queues(tmp_path: Path, clock: FakeClock) -> Iterator[list[Queue]]:
    """Two processes on one folder."""
    opened = [Queue(FileStore(Settings(root=tmp_path), clock), clock=clock, backoff=lambda _: 3600.0) for _ in range(2)]
    for queue in opened:
        queue.start()
    yield opened
    for queue in opened:
        queue.close()


@pytest.fixture
def queue(queues: list[Queue]) -> Queue:
    return queues[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "task_queue"


def meanwhile(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], object], *,
              before: bool = False) -> None:
    """``act``, once, when ``owner.name`` has been called for the first time, or (``before``) is about to be."""
    real, acted = getattr(owner, name), list[bool]()

    def called(*given: Any, **named: Any) -> Any:
        is_first = not acted
        acted.append(True)
        if is_first and before:
            act()
        try:
            return real(*given, **named)
        finally:
            if is_first and not before:
                act()

    monkeypatch.setattr(owner, name, called)


def held(queue: Queue, **fields: Any) -> Any:
    return queue.claim_one(queue.enqueue(NewTask("ping", {}, **fields)).task_id, "w").lease


def foreign_result(folder: Path, task_id: str) -> None:
    (folder / "results" / f"{task_id}.json").write_text(json.dumps({"task_id": task_id, "worker": "old"}))


# -- a lease that goes between its check and the move ------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["extend", "requeue"])
def test_a_claim_that_goes_after_it_was_checked_is_lost(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """An old program, which knows no locks, may do anything: the bearer of the token is told so."""
    lease = held(queue)
    path = Path(queue.store._place.lease_path(lease))
    meanwhile(monkeypatch, queue.store, "_check_held", path.unlink)
    with pytest.raises(LeaseLost):
        getattr(queue.store, verb)(lease, None)


def test_a_finish_of_what_was_given_back_is_refused(queue: Queue) -> None:
    """There is no result to be told again."""
    lease = held(queue)
    queue.release(lease.task_id, lease.token)
    with pytest.raises(LeaseLost):
        queue.store.finish(lease, None, Result(lease.task_id, "w", "success", {}, queue.clock.now()))
    assert queue.store.result(lease.task_id) is None


def test_a_finished_task_is_not_given_back(queue: Queue, folder: Path) -> None:
    """Its claim still stands there, an old program's result too: that is its end."""
    lease = held(queue)
    foreign_result(folder, lease.task_id)
    with pytest.raises(LeaseLost):
        queue.store.requeue(lease, None)


def test_a_lease_that_went_is_not_overdue(queue: Queue) -> None:
    """It was given back between the look at the folders and the look at its file."""
    lease = held(queue)
    queue.release(lease.task_id, lease.token)
    assert queue.store._claims.overdue([lease]) == []


def test_a_task_that_came_back_and_went_on_is_not_waited_for(queue: Queue) -> None:
    """Another process was faster: there is nothing to put into the schedule."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    queue.store._intake.came_back(task_id, State.SCHEDULED)
    assert task_id not in queue.store._intake._schedule._waits


def test_a_finished_task_that_cannot_be_moved_is_moved_later(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refuses: the sweep says so, and the next one does it."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    foreign_result(folder, task_id)
    real = files.move

    def move(source: str, target: str) -> None:
        if "/done/" in target:
            raise StoreUnavailable("the disk refused", errno=errno.EIO)
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files, "move", move)
        with pytest.raises(StoreUnavailable):
            queue.sweep()
    queue.sweep()
    assert (folder / "done" / f"{task_id}.json").exists()


def test_a_result_that_is_whole_at_the_second_look_is_followed(queue: Queue, folder: Path) -> None:
    """An old program wrote it slowly, in place."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    path = folder / "results" / f"{task_id}.json"
    path.write_text('{"task_id": ')
    for _ in range(3):
        queue.sweep()
        queue.clock.advance(3)
    assert queue.task(task_id).state is State.READY
    path.write_text(json.dumps({"task_id": task_id, "worker": "old"}))
    assert [result.task_id for result in queue.latest_results()] == [task_id]
    assert (folder / "done" / f"{task_id}.json").exists()


def test_waiting_tasks_are_looked_at_in_turn(queue: Queue, folder: Path) -> None:
    """More than one sweep looks at: a task popped by an old program is seen, whichever it is."""
    ids = [queue.enqueue(NewTask("ping", {})).task_id for _ in range(60)]
    for task_id in ids:
        path = folder / "tasks" / f"{task_id}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "in_progress", "assigned_to": "old"}))
    for _ in range(2):
        queue.sweep()
    assert len(queue.leases()) == len(ids)


def test_a_name_that_is_still_being_written_is_left_alone(queue: Queue, folder: Path) -> None:
    """It will be renamed when it is whole."""
    path = folder / "tasks" / "00000000-0000-4000-8000-000000000001.json.part"
    path.write_text("{")
    queue.sweep()
    queue.clock.advance(LEASE_SECONDS * 2)
    queue.sweep()
    assert path.exists()


def test_a_finished_task_is_not_marked_for_cancelling(queue: Queue, folder: Path) -> None:
    """Its claim still stands there, its result too: the request comes too late."""
    lease = held(queue)
    foreign_result(folder, lease.task_id)
    with pytest.raises(LeaseLost):
        queue.store.request_cancel(lease, CancelRequest("a person", None, queue.clock.now()))
    assert queue.cancel_request(lease.task_id) is None


def test_a_cancel_that_comes_after_the_end_says_so(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looked, the task ended, and then it acted: it looks again, and finds it finished."""
    lease = held(queue)
    meanwhile(monkeypatch, queue.store, "request_cancel",
              lambda: queue.complete(lease.task_id, lease.token, {}), before=True)
    with pytest.raises(TaskFinished):
        queue.cancel(lease.task_id)


def test_an_expiry_looks_at_what_it_can_read(queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim goes while the sweep looks at it: nothing is put aside, nothing is counted."""
    lease = held(queue)
    queue.sweep()
    clock.advance(LEASE_SECONDS)
    path = queue.store._place.lease_path(lease)
    meanwhile(monkeypatch, queue.store._reading, "task_at", lambda: os.replace(
        path, queue.store._place.task_path(State.READY, lease.task_id)), before=True)
    assert queue.sweep().expired == 0
    assert queue.counts().quarantined == 0
    assert queue.task(lease.task_id).task.crashes == 0


def test_a_second_wish_to_cancel_changes_nothing_and_leaves_nothing(queue: Queue, folder: Path) -> None:
    """The first request stands, and what was written for the second is gone."""
    lease = held(queue)
    for name in ("first", "second"):
        queue.cancel(lease.task_id, by=name)
    assert queue.cancel_request(lease.task_id).by == "first"
    assert list((folder / "tmp").iterdir()) == []


def test_a_late_end_of_a_cancelled_task_is_not_the_end_that_stands(queue: Queue) -> None:
    """The cancel ended this very attempt, in its name: a result that comes after it is refused all the same."""
    lease = held(queue)
    queue.cancel(lease.task_id)
    queue.release(lease.task_id, lease.token)
    assert queue.result(lease.task_id).token == lease.token
    with pytest.raises(LeaseLost):
        queue.store.finish(lease, None, Result(lease.task_id, "w", "success", {}, queue.clock.now()))


def test_a_finisher_whose_tidying_was_done_by_others_is_content(
        queues: list[Queue], monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep of another process moves the claim to done, between the two steps of the finish."""
    queue, other = queues
    lease = held(queue)
    meanwhile(monkeypatch, queue.store._intake, "finished", other.sweep)
    assert queue.complete(lease.task_id, lease.token, {}).is_success
    assert list(other.store.problems()) == []


def test_one_file_that_others_hold_does_not_keep_the_rest(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two foreign results; the first one's task cannot be moved this moment: the second is, and later the first."""
    ids = [queue.enqueue(NewTask("ping", {})).task_id for _ in range(2)]
    for task_id in ids:
        foreign_result(folder, task_id)
    real = files.move

    def move(source: str, target: str) -> None:
        if ids[0] in target:
            raise StoreUnavailable("another program has it open", errno=next(iter(files.HELD_ELSEWHERE)))
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(files, "move", move)
        queue.sweep()
        assert [path.stem for path in (folder / "done").iterdir()] == ids[1:]
    queue.sweep()
    assert sorted(path.stem for path in (folder / "done").iterdir()) == ids


def test_a_look_for_results_does_not_wait_for_a_sweep(queue: Queue, folder: Path) -> None:
    """The sweep that is at it will see them."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    foreign_result(folder, task_id)
    with queue.store._intake._lock:
        queue.store._intake.look_at_awaited()
    assert (folder / "tasks" / f"{task_id}.json").exists()


def test_nobody_is_woken_for_nothing(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody waits for a type of which there is no task."""
    queue.enqueue(NewTask("ping", {}))
    rung: list[str] = []
    monkeypatch.setattr(type(queue.bell), "waiting_types", property(lambda _: [["other"]]))
    monkeypatch.setattr(queue.bell, "ring_task", rung.append)
    queue.store._intake.ring_for_waiting()
    assert rung == []


# -- a claim ---------------------------------------------------------------------------------------------------------


def test_a_scheduled_task_that_is_promoted_meanwhile_is_cancelled_where_it_is(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process promotes it between the look and the rename."""
    task_id = queue.enqueue(NewTask("ping", {}, delay_seconds=60)).task_id
    place = queue.store._place
    meanwhile(monkeypatch, queue.store._taking, "_find", lambda: os.replace(
        place.task_path(State.SCHEDULED, task_id), place.task_path(State.READY, task_id)))
    assert queue.cancel(task_id).state is State.CANCELLED


def test_a_claim_followed_by_a_foreign_result_is_none(
        queues: list[Queue], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old program finishes the task as it is claimed, and the other process has tidied it up already."""
    queue, other = queues
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    real = files.move

    def move(source: str, target: str) -> None:
        real(source, target)
        if "/claimed/" in target:
            foreign_result(folder, task_id)
            other.sweep()

    monkeypatch.setattr(files, "move", move)
    assert queue.claim("w") == []
    assert queue.task(task_id).state is State.DONE


def test_a_task_that_is_no_task_any_more_once_it_is_claimed_goes_back(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old program rewrote it as it was claimed, and is not done yet: it is not handed out, nor lost."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    path = folder / "tasks" / f"{task_id}.json"
    meanwhile(monkeypatch, queue.store._intake, "read_ready", lambda: path.write_text('{"type": "pi'))
    assert queue.claim("w") == []
    assert path.exists()


def test_a_ready_task_that_cannot_be_read_this_moment_says_so(
        queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there, and not to be had: 503, not "it is not waiting"."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    monkeypatch.setattr(queue.store._intake, "read_ready", lambda _: None)
    with pytest.raises(StoreUnavailable, match="this moment"):
        queue.claim_one(task_id, "w")


def test_what_others_gave_back_is_not_given_back_again(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken to be ended, refused by the disk, and gone when it is to be put back."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    claim = queue.store.take_to_end(task_id, "w")
    os.replace(queue.store._place.lease_path(claim.lease), folder / "tasks" / f"{task_id}.json")
    queue.store.put_back(claim)
    assert queue.store._taking._untold == []
    assert queue.task(task_id).state is State.READY


def test_a_lease_taken_while_the_folders_are_read_is_kept(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process knows is newer than what it read."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    held(queue)
    meanwhile(monkeypatch, files, "names", lambda: queue.claim_one(task_id, "w"))
    queue.store._claims.look()
    assert task_id in queue.store._claims


def test_a_stray_file_among_the_claims_is_no_claim(queue: Queue, folder: Path) -> None:
    """Somebody left a note there."""
    lease = held(queue)
    (folder / "claimed" / "w" / "note.txt").write_text("mine")
    assert queue.store._claims.look() == [lease]


def test_an_overdue_task_that_somebody_ended_is_not_told_again(
        queues: list[Queue], clock: FakeClock) -> None:
    """Met after its time by a claim, then cancelled by another process."""
    queue, other = queues
    options = Options(start_before=clock.now() + timedelta(seconds=5))
    task_id = queue.enqueue(NewTask("ping", {}, options=options)).task_id
    clock.advance(6)
    assert queue.claim("w") == []
    other.cancel(task_id)
    assert queue.store._taking.take_past_deadline() == []
