"""Ends that nobody calls for, where something is in the way: a full file, a disk that refuses, a damaged record."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.place import OWN_BYTES
from taskspool.engine.task import NewTask, State
from taskspool.errors import DuplicateTask, NotRetryable, StoreUnavailable, TaskNotClaimable, TaskNotFound
from taskspool.settings import Settings

LEASE_SECONDS = 60
FOREIGN = "00000000-0000-4000-8000-000000000001"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def queue(tmp_path: Path, clock: FakeClock) -> Iterator[Queue]:
    queue = open_on(tmp_path, clock)
    yield queue
    queue.close()


def open_on(root: Path, clock: FakeClock, **settings: Any) -> Queue:
    queue = Queue(FileStore(Settings(root=root, **settings), clock), clock=clock, backoff=lambda _: 3600.0)
    queue.start()
    return queue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "task_queue"


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, part: str, error: int = errno.EIO) -> None:
    """From now on ``files.<name>`` is refused by the disk when its target (of ``read``: its path) holds ``part``."""
    real = getattr(files, name)

    def refused(*paths: Any, **named: Any) -> Any:
        if part in str(paths[-1]) or (name == "read" and part in str(paths[0])):
            raise StoreUnavailable("the disk refused", errno=error)
        return real(*paths, **named)

    monkeypatch.setattr(files, name, refused)


def spoil(path: Path) -> None:
    """One letter of what stands above the seal is another one."""
    path.write_bytes(path.read_bytes().replace(b"ping", b"pong", 1))


# -- a file without room ---------------------------------------------------------------------------------------------


def drop_a_full_file(queue: Queue, folder: Path, **own: Any) -> None:
    """A foreign task whose file is as large as any may be."""
    place = queue.store._place
    document = {"type": "ping", "data": {"fill": ""}, "taskspool": own}
    document["data"] = {"fill": "x" * (place.max_file_bytes - len(json.dumps(document)))}
    (folder / "tasks" / f"{FOREIGN}.json").write_text(json.dumps(document))
    assert place.max_file_bytes - place.max_bytes == OWN_BYTES
    queue.sweep()


@pytest.mark.parametrize("own", [{}, {"timeout": LEASE_SECONDS / 2}], ids=["silent", "timeout"])
def test_a_task_without_room_for_its_story_is_given_up(
        queue: Queue, clock: FakeClock, folder: Path, own: dict[str, Any]) -> None:
    """Its end cannot be written into it: it is dead, and the sweeps go on for all others."""
    drop_a_full_file(queue, folder, **own)
    other = queue.enqueue(NewTask("ping", {})).task_id
    for task_id in (FOREIGN, other):
        queue.claim_one(task_id, "w", lease_seconds=LEASE_SECONDS)
    queue.sweep()
    clock.advance(LEASE_SECONDS / 2 if own else LEASE_SECONDS)
    queue.sweep()
    clock.advance(LEASE_SECONDS)
    queue.sweep()
    assert "no room left" in str(queue.result(FOREIGN).error_message)
    assert queue.task(other).state is State.READY


# -- time that is over -----------------------------------------------------------------------------------------------


def overdue(queue: Queue, clock: FakeClock, **options: Any) -> str:
    task_id = queue.enqueue(NewTask("ping", {}, options=Options(start_before=clock.now() + timedelta(seconds=5)),
                                    **options)).task_id
    clock.advance(6)
    return task_id


def test_an_overdue_task_is_not_claimable_by_its_number(queue: Queue, clock: FakeClock) -> None:
    """It is not that it cannot be read: its time is over, and it says so."""
    task_id = overdue(queue, clock)
    with pytest.raises(TaskNotClaimable, match="time is over"):
        queue.claim_one(task_id, "w")
    queue.sweep()
    assert queue.task(task_id).state is State.DEAD


def test_an_attempt_that_took_too_long_waits_like_any_failed_one(queue: Queue, clock: FakeClock) -> None:
    """Its backoff begins when it is stopped."""
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=1, options=Options(timeout_seconds=5))).task_id
    queue.claim_one(task_id, "w")
    queue.sweep()
    clock.advance(5)
    queue.sweep()
    assert queue.task(task_id).task.not_before == clock.now() + timedelta(seconds=3600)


@pytest.mark.parametrize("delay_seconds", [0.0, 3600.0], ids=["ready", "scheduled"])
def test_a_refused_give_up_is_tried_again(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, delay_seconds: float) -> None:
    """The disk refuses its result: it waits where it was, and the next sweep gives it up."""
    task_id = overdue(queue, clock, delay_seconds=delay_seconds)
    assert queue.claim("w") == []
    with monkeypatch.context() as patch:
        refuse(patch, "publish", "/results/")
        with pytest.raises(StoreUnavailable):
            queue.sweep()
        assert queue.task(task_id).state is (State.SCHEDULED if delay_seconds else State.READY)
    queue.sweep()
    assert queue.task(task_id).state is State.DEAD


def test_a_scheduled_task_that_cannot_be_read_this_moment_keeps_its_deadline(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The look for what is overdue fails once: it is not forgotten."""
    task_id = overdue(queue, clock, delay_seconds=3600.0)
    with monkeypatch.context() as patch:
        refuse(patch, "read", "/scheduled/", errno.EMFILE)
        with pytest.raises(StoreUnavailable):
            queue.sweep()
    queue.sweep()
    assert queue.task(task_id).state is State.DEAD


@pytest.mark.parametrize("state", [State.READY, State.CLAIMED])
def test_who_cancels_may_have_any_name(queue: Queue, state: State) -> None:
    """Also one that would make no folder; and the sweep that ends it goes on."""
    name = "!" * 100
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    lease = queue.claim_one(task_id, "w").lease if state is State.CLAIMED else None
    queue.cancel(task_id, by=name)
    if lease is not None:
        claim = Path(queue.store._place.lease_path(lease))
        claim.rename(queue.store._place.task_path(State.READY, task_id))
        queue.sweep()
    assert queue.task(task_id).state is State.CANCELLED
    assert queue.result(task_id).error_message == f"cancelled by {name}"


def test_a_total_time_beyond_the_calendar_is_no_task(queue: Queue, folder: Path) -> None:
    """An old hand wrote it: it is put aside, and the sweep goes on."""
    document = {"type": "ping", "created_at": "9999-12-31T23:59:59Z", "taskspool": {"total_timeout": 86_400}}
    (folder / "tasks" / f"{FOREIGN}.json").write_text(json.dumps(document))
    other = queue.enqueue(NewTask("ping", {})).task_id
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w", max_tasks=9)] == [other]
    assert queue.counts().quarantined == 1


# -- damage ----------------------------------------------------------------------------------------------------------


def test_a_damaged_scheduled_task_is_put_aside(tmp_path: Path, clock: FakeClock, folder: Path) -> None:
    """Nobody but us writes there: it is not waited for, and nothing of it is believed."""
    first = open_on(tmp_path, clock)
    task_id = first.enqueue(NewTask("ping", {}, delay_seconds=60)).task_id
    first.close()
    spoil(folder / "scheduled" / f"{task_id}.json")
    (folder / "index.sqlite").unlink(missing_ok=True)
    queue = open_on(tmp_path, clock)
    queue.sweep()
    [reason] = (folder / "quarantine").glob("*.txt")
    assert reason.name.endswith(f"{task_id}.json.reason.txt")
    with pytest.raises(TaskNotFound):
        queue.task(task_id)
    queue.close()


def test_one_unreadable_scheduled_task_does_not_hold_up_the_others(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that is due stands on a bad sector: the second is promoted all the same."""
    bad, good = (queue.enqueue(NewTask("ping", {}, delay_seconds=seconds)).task_id for seconds in (1, 2))
    clock.advance(3)
    refuse(monkeypatch, "read", bad)
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w", max_tasks=9)] == [good]


def test_a_damaged_dead_task_is_not_retried(queue: Queue, folder: Path) -> None:
    """What it asked for is not known any more: nothing is put in its place."""
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {"n": 1})).task_id, "w").lease
    queue.fail(lease.task_id, lease.token, Failure("no"))
    spoil(folder / "dead" / f"{lease.task_id}.json")
    with pytest.raises(NotRetryable, match="damaged"):
        queue.retry(lease.task_id)
    assert queue.task(lease.task_id).state is State.DEAD
    assert (folder / "dead" / f"{lease.task_id}.json").exists()


def test_a_damaged_request_to_cancel_still_stands(queue: Queue, folder: Path) -> None:
    """Only who made it is not known any more."""
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {})).task_id, "w").lease
    queue.cancel(lease.task_id, by="a person")
    path = folder / "cancelling" / f"{lease.task_id}.json"
    path.write_bytes(path.read_bytes()[:20])
    assert queue.cancel_request(lease.task_id).by == "unknown"
    queue.release(lease.task_id, lease.token)
    assert queue.task(lease.task_id).state is State.CANCELLED


@pytest.mark.parametrize("kind", ["key", "unique", "batch", "paused"])
def test_a_damaged_record_is_put_aside(queue: Queue, folder: Path, kind: str) -> None:
    """It says nothing any more, its content is kept with the reason, and the queue goes on."""
    batch = queue.enqueue_batch([NewTask("ping", {})])
    queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u")), key="k")
    queue.pause(["ping"])
    patterns = {"key": "keys/[0-9a-f]*", "unique": "keys/unique-*", "batch": "batches/*", "paused": "meta/paused.json"}
    [path] = folder.glob(patterns[kind])
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1))
    assert queue.store.batch(batch.record.id) == (None if kind == "batch" else batch.record)
    again = queue.enqueue(NewTask("ping", {}), key="k") if kind == "key" else None
    assert again is None or again.created
    assert bool(queue.paused().types) is (kind != "paused")
    assert queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).created is (kind == "unique")
    aside = [one.name.partition("-")[2] for one in (folder / "quarantine").iterdir()]
    assert sorted(aside) == sorted([path.name, f"{path.name}.reason.txt"])


# -- unique keys -----------------------------------------------------------------------------------------------------


def test_a_key_without_its_task_comes_again_and_replaces(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The call that failed between its key and its task is repeated: the old one goes, the new one has the id the key
    names."""
    old = queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    wish = NewTask("ping", {}, options=Options(unique_key="u"), on_conflict="replace")
    with monkeypatch.context() as patch:
        refuse(patch, "move", "/tasks/")
        with pytest.raises(StoreUnavailable):
            queue.enqueue(wish, key="k")
        queue.sweep()
        assert queue.task(old).state is State.CLAIMED
    queue.sweep()
    assert queue.task(old).state is State.READY
    new = queue.enqueue(wish, key="k")
    assert (queue.task(old).state, queue.task(new.task_id).state) == (State.CANCELLED, State.READY)
    assert queue.enqueue(wish, key="k").task_id == new.task_id


def test_what_cannot_be_cancelled_at_once_is_replaced_by_the_sweep(
        queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new one is there; the disk refuses the old one's result: it is held until that can be written."""
    old = queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    with monkeypatch.context() as patch:
        refuse(patch, "publish", "/results/")
        new = queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"), on_conflict="replace")).task_id
        assert [claim.task.id for claim in queue.claim("w", max_tasks=9)] == [new]
        with pytest.raises(StoreUnavailable):
            queue.sweep()
    queue.sweep()
    assert queue.result(old).error_message == f"cancelled by http-client: replaced by {new}"


def test_a_replaced_task_that_others_ended_is_left_alone(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old program's result came between: it stands, and the sweep has nothing left to do."""
    old = queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    with monkeypatch.context() as patch:
        refuse(patch, "publish", "/results/")
        queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"), on_conflict="replace"))
    (folder / "results" / f"{old}.json").write_text(json.dumps({"task_id": old, "worker": "old", "status": "success"}))
    queue.sweep()
    queue.sweep()
    assert queue.task(old).state is State.DONE
    assert queue._endings._replaced == {}


def test_what_is_worked_on_is_not_replaced(queue: Queue) -> None:
    """Its worker has it: the new one is refused, and nothing is left of it."""
    old = queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    queue.claim_one(old, "w")
    with pytest.raises(DuplicateTask):
        queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"), on_conflict="replace"))
    assert queue.counts().ready == 0
