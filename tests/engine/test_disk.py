"""What is known of the disk: its room, the ballast, and an fsync that failed. No small disk is needed for these."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.sync_record import SyncRecord
from faults.shim import shimmed
from taskspool.doors.bridge import create_app
from taskspool.engine import disk, files, place
from taskspool.engine.disk import LOOK_SECONDS, MOST_BALLAST_BYTES, SPARE_FILES, Disk, Room, room_of
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask
from taskspool.errors import StoreFull, StoreUnavailable
from taskspool.settings import Settings

MIB = 1 << 20
PLENTY = Room(100 << 30, 64 * MIB, 1_000_000, 1000)
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Callable[[Room], None]:
    """Sets what the system says of the disk from now on."""
    def say(told: Room) -> None:
        monkeypatch.setattr(disk, "room_of", lambda *_: told)

    say(PLENTY)
    return say


@pytest.fixture
def queue(tmp_path: Path, clock: FakeClock, room: Callable[[Room], None]) -> Iterator[Queue]:
    queue = Queue(FileStore(Settings(root=tmp_path), clock), clock=clock)
    queue.start()
    yield queue
    queue.close()


LOW = Room(60 * MIB, 64 * MIB, 1_000_000, 1000)
OUT_OF_FILES = Room(100 << 30, 64 * MIB, 999, 1000)


@pytest.mark.parametrize("low", [LOW, OUT_OF_FILES], ids=["bytes", "files"])
def test_a_disk_that_is_low_takes_no_new_task(queue: Queue, room: Callable[[Room], None], tmp_path: Path,
                                              low: Room) -> None:
    """One task, many, a batch, one with a key: 507, and nothing of it is left; what was accepted is worked on."""
    first, second = (queue.enqueue(NewTask("ping", {}), key=key).task_id for key in ("known", None))
    room(low)
    queue.sweep()
    kept = sorted((tmp_path / "task_queue" / "keys").iterdir())
    new = NewTask("ping", {})
    for submit in (lambda: queue.enqueue(new), lambda: queue.enqueue(new, key="new"),
                   lambda: queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))),
                   lambda: queue.enqueue_many([new] * 2), lambda: queue.enqueue_batch([new] * 2, key="batch")):
        with pytest.raises(StoreFull) as refusal:
            submit()
        assert refusal.value.status == 507
    assert sorted((tmp_path / "task_queue" / "keys").iterdir()) == kept
    assert queue.enqueue(new, key="known").task_id == first
    assert queue.counts().ready == 2
    assert {claim.task.id for claim in queue.claim("w", max_tasks=2)} == {first, second}
    assert list(queue.store.problems()) == []


def test_a_client_is_told_507_and_a_worker_notices_nothing(queue: Queue, room: Callable[[Room], None],
                                                           tmp_path: Path) -> None:
    """Over HTTP: STORE_FULL for who submits; next, result and look go on."""
    client = create_app(queue, Settings(root=tmp_path)).test_client()
    client.post("/api/tasks", json={"task_type": "ping"})
    room(LOW)
    queue.sweep()
    refused = client.post("/api/tasks", json={"task_type": "ping"})
    assert (refused.status_code, refused.get_json()["code"]) == (507, "STORE_FULL")
    task = client.post("/api/tasks/next", json={"worker_id": "w"}).get_json()["task"]
    answer = {"lease_token": task["lease"]["token"], "status": "success", "data": {}}
    assert client.post(f"/api/tasks/{task['id']}/result", json=answer).status_code == 200
    assert client.get(f"/api/tasks/{task['id']}/result").status_code == 200


def test_a_refusal_ends_without_a_sweep(queue: Queue, room: Callable[[Room], None], clock: FakeClock) -> None:
    """Submits look for themselves, a few times a second at most."""
    room(LOW)
    queue.enqueue(NewTask("ping", {}))
    clock.advance(LOOK_SECONDS)
    with pytest.raises(StoreFull):
        queue.enqueue(NewTask("ping", {}))
    room(PLENTY)
    with pytest.raises(StoreFull):
        queue.enqueue(NewTask("ping", {}))
    clock.advance(LOOK_SECONDS)
    assert queue.enqueue(NewTask("ping", {})).created


def test_the_mark_is_a_share_of_the_disk_or_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """64 MiB, 1 % of a large disk, a tenth of a tiny one; a setting wins."""
    def mark(total: int, asked: int = 0) -> int:
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(total, 0, total))
        return room_of("/", asked).mark_bytes

    assert mark(2 << 30) == 64 * MIB
    assert mark(100 << 30) == (100 << 30) // 100
    assert mark(100 * MIB) == 10 * MIB
    assert mark(100 << 30, asked=5) == 5


def test_a_system_that_does_not_count_files_is_judged_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows has no statvfs."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(100, 50, 50))
    monkeypatch.delattr(os, "statvfs")
    assert room_of("/", 1).free_files is None
    assert not room_of("/", 1).is_low


def test_a_disk_that_cannot_be_asked_is_not_taken_for_full(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the disk refuses then is met by the verb itself."""
    def refuse(*_: object) -> Room:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(disk, "room_of", refuse)
    queue.sweep()
    assert queue.enqueue(NewTask("ping", {})).created


# -- the ballast -----------------------------------------------------------------------------------------------------

NEAR = Room(200 * MIB, 64 * MIB, 1_000_000, 1000)


def ballast_of(folder: Path) -> tuple[int, int]:
    """(bytes, spare files)"""
    names = list((folder / "meta").glob("ballast-*"))
    path = folder / "meta" / "ballast"
    return (path.stat().st_size if path.exists() else -1), len(names)


@pytest.fixture
def lone_disk(tmp_path: Path, clock: FakeClock, room: Callable[[Room], None]) -> Disk:
    (tmp_path / "meta").mkdir()
    return Disk(str(tmp_path), clock, 0)


@pytest.mark.parametrize("has_fallocate", [True, False])
def test_ballast_is_laid_in_when_the_disk_begins_to_fill_up(lone_disk: Disk, room: Callable[[Room], None],
                                                            tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                            has_fallocate: bool) -> None:
    """Not before: a disk with much room has no need of it. Its blocks are real ones."""
    if not has_fallocate:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    lone_disk.look()
    assert ballast_of(tmp_path) == (-1, 0)
    room(NEAR)
    lone_disk.look()
    assert ballast_of(tmp_path) == (MOST_BALLAST_BYTES, SPARE_FILES)
    assert (tmp_path / "meta" / "ballast").stat().st_blocks * 512 >= MOST_BALLAST_BYTES


def test_ballast_that_was_given_up_comes_back_when_there_is_the_mark_beside_it(
        lone_disk: Disk, room: Callable[[Room], None], tmp_path: Path) -> None:
    """Otherwise the room it gave would be taken back from those who finish."""
    room(NEAR)
    lone_disk.look()
    assert lone_disk.give_up_ballast()
    assert not lone_disk.give_up_ballast()
    assert ballast_of(tmp_path) == (0, 0)
    room(Room(40 * MIB, 64 * MIB, 1_000_000, 1000))
    lone_disk.look()
    assert ballast_of(tmp_path) == (0, 0)
    room(NEAR)
    lone_disk.look()
    assert ballast_of(tmp_path) == (MOST_BALLAST_BYTES, SPARE_FILES)


def test_ballast_that_does_not_fit_is_not_half_laid_in(lone_disk: Disk, room: Callable[[Room], None], tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program was faster: what there is of it goes, and the next look tries again."""
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    room(NEAR)
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", refuse)
        lone_disk.look()
    assert ballast_of(tmp_path) == (0, 0)
    lone_disk.look()
    assert ballast_of(tmp_path) == (MOST_BALLAST_BYTES, SPARE_FILES)


def test_ballast_that_cannot_be_given_up_is_none(lone_disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refuses even that: then the verb is refused, as it would have been."""
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "stat", refuse)
    assert not lone_disk.give_up_ballast()


def test_a_verb_that_finds_no_room_is_made_again_in_the_room_of_the_ballast(
        queue: Queue, tmp_path: Path, room: Callable[[Room], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program took the last block: a result, a failure, a release find room all the same."""
    queue.enqueue_many([NewTask("ping", {}, max_retries=1)] * 3)
    leases = [claim.lease for claim in queue.claim("w", max_tasks=3)]
    real = files._write_all

    def write(descriptor: int, content: bytes) -> None:
        if ballast_of(tmp_path / "task_queue")[0] > 0:
            raise OSError(errno.ENOSPC, "no room")
        real(descriptor, content)

    def fill() -> None:
        room(NEAR)
        queue.store.disk.look()
        assert ballast_of(tmp_path / "task_queue")[0] > 0

    monkeypatch.setattr(files, "_write_all", write)
    fill()
    assert queue.complete(leases[0].task_id, leases[0].token, {}).is_success
    fill()
    assert queue.fail(leases[1].task_id, leases[1].token, Failure("no")) is None
    fill()
    queue.release(leases[2].task_id, leases[2].token, delay_seconds=1)
    fill()
    with pytest.raises(StoreFull):
        queue.enqueue(NewTask("ping", {}))
    assert queue.counts().done == 1


def test_what_has_no_room_holds_up_no_other_ending(queue: Queue, clock: FakeClock,
                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that was accepted cannot be delivered yet; a lease ends all the same, and a process starts."""
    def refuse(*_: object) -> int:
        raise StoreFull("no room")

    queue.enqueue(NewTask("ping", {}))
    queue.claim("w")
    queue.sweep()
    clock.advance(61)
    monkeypatch.setattr(queue.store._batches, "finish_left", refuse)
    assert queue.sweep().expired == 1
    queue.close()
    queue.start()


def test_housekeeping_that_needs_room_is_put_off(queue: Queue, tmp_path: Path, clock: FakeClock,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep goes on to what needs none; the rubbish is put aside when there is room to say why."""
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    (tmp_path / "task_queue" / "tasks" / "note.json").write_text("{")
    queue.sweep()
    clock.advance(61)
    with monkeypatch.context() as patch:
        patch.setattr(files, "_write_all", refuse)
        assert queue.sweep().quarantined == 0
    assert queue.sweep().quarantined == 1


# -- an fsync that failed --------------------------------------------------------------------------------------------


def test_a_failed_fsync_is_told_by_health(queue: Queue, tmp_path: Path) -> None:
    """`durability` reads degraded from then on; what was asked for was strict, and was not acknowledged."""
    client = create_app(queue, Settings(root=tmp_path)).test_client()
    assert client.get("/health").get_json()["durability"] == "strict"
    with shimmed(SyncRecord(lambda _, path: path.endswith("tasks"))), pytest.raises(StoreUnavailable):
        queue.enqueue(NewTask("ping", {}))
    assert client.get("/health").get_json()["durability"] == "degraded"
    assert queue.enqueue(NewTask("ping", {})).created


def test_a_file_system_that_notices_only_while_it_is_asked_is_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """ext4 takes the first change after its journal was aborted, and refuses the next."""
    asked: list[object] = []

    def change(path: str) -> None:
        asked.append(path)
        if len(asked) == 2:
            raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", change)
    with pytest.raises(OSError, match="Read-only"):
        disk.prove_alive("x")


def test_a_queue_that_never_asked_for_durability_is_not_degraded(tmp_path: Path, clock: FakeClock) -> None:
    """`fast` stays fast."""
    queue = Queue(FileStore(Settings(root=tmp_path, durability="fast"), clock), clock=clock)
    queue.start()
    queue.store.disk.failed_flushes += 1
    assert queue.store.durability == "fast"
    queue.close()


def test_an_fsync_without_room_is_not_tried_again(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may have dropped what it could not write, and the second answer is a lie."""
    queue.enqueue(NewTask("ping", {}))
    lease = queue.claim("w")[0].lease
    asked: list[int] = []

    def flush(descriptor: int) -> None:
        asked.append(descriptor)
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(queue.store._place, "_flush", queue.store.disk.watched(flush))
    with pytest.raises(StoreFull):
        queue.complete(lease.task_id, lease.token, {})
    assert len(asked) == 1


def test_a_folder_that_was_flushed_by_a_file_system_that_gave_up_is_not_believed(
        queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """ext4 without its journal, XFS after a shutdown: the fsync says yes, every change is refused."""
    def refuse(path: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(place, "prove_alive", refuse)
    with pytest.raises(StoreUnavailable):
        queue.enqueue(NewTask("ping", {}))
    assert queue.store.durability == "degraded"
