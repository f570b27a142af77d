"""Taking part in a folder: which folders are refused, what is made of ours, and who is seen to be dead."""

from __future__ import annotations

import errno
import itertools
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from taskspool.clock import SystemClock
from taskspool.engine import files, presence
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import RefusedToStart, StoreFull
from taskspool.settings import Settings

posix_only = pytest.mark.skipif(os.name == "nt", reason="owners, links and modes of POSIX")


def start(root: Path, **settings: Any) -> Queue:
    return open_queue(Settings(root=root, **settings))


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.lstat().st_mode) for path in [folder, *folder.rglob("*")]}


@posix_only
@pytest.mark.parametrize("name", ["", "tasks", "results", "tmp", "claimed", "locks", "quarantine"])
def test_an_open_folder_is_closed_to_others(tmp_path: Path, name: str) -> None:
    """Whatever the mode was: 0700 after the start."""
    (tmp_path / "task_queue" / name).mkdir(parents=True)
    (tmp_path / "task_queue" / name).chmod(0o777)
    start(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "task_queue" / name).stat().st_mode) == 0o700


@posix_only
@pytest.mark.parametrize("name", ["tasks", "results", "tmp", "locks"])
def test_a_folder_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    """A link in place of one of the queue's folders could lead anywhere; nothing is written behind it."""
    (tmp_path / "task_queue").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "task_queue" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedToStart, match="symbolic link") as caught:
        start(tmp_path)
    assert caught.value.hint
    assert list((tmp_path / "elsewhere").iterdir()) == []


@posix_only
def test_the_queue_itself_may_be_a_link(tmp_path: Path) -> None:
    """Who links the whole queue to a larger disk means it."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "task_queue").symlink_to(tmp_path / "elsewhere")
    queue = start(tmp_path)
    queue.enqueue(NewTask("ping", {}))
    queue.close()
    assert len(list((tmp_path / "elsewhere" / "tasks").iterdir())) == 1


@posix_only
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("name", ["", "tasks", "meta"])
def test_a_folder_of_another_user_is_refused(tmp_path: Path, name: str) -> None:
    """Who owns the folder decides what runs: another owner is refused, and named."""
    (tmp_path / "task_queue" / name).mkdir(parents=True)
    os.chown(tmp_path / "task_queue" / name, 12_345, 12_345)
    with pytest.raises(RefusedToStart, match="uid 12345"):
        start(tmp_path)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_file_system_is_refused_unless_allowed(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Its name is said, and the setting that allows it all the same."""
    monkeypatch.setattr(presence, "_mount_type", lambda folder: kind)
    with pytest.raises(RefusedToStart, match=kind) as caught:
        start(tmp_path)
    assert "TASKSPOOL_ALLOW_NETWORK_FILESYSTEM" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    start(tmp_path, allow_network_filesystem=True).close()


@posix_only
def test_the_longest_mount_point_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder's file system is that of the innermost mount above it; a name that only begins alike is another."""
    table = f"a / ext4 rw 0 0\nb {tmp_path} nfs rw 0 0\nc {tmp_path}/local ext4 rw 0 0\nbroken line\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: table)
    found = {name: presence._mount_type(tmp_path / name) for name in ("x", "local", "local/y", "localhost")}
    assert found == {"x": "nfs", "local": "ext4", "local/y": "ext4", "localhost": "nfs"}


def test_without_a_mount_table_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no /proc: the start goes on."""
    def missing(*_: Any, **__: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert presence._mount_type(tmp_path) == ""


def test_every_process_has_its_own_slot_and_every_start_its_epoch(tmp_path: Path) -> None:
    """Slots are given back at the end, epochs only rise."""
    seen = []
    first, second = start(tmp_path), start(tmp_path)
    seen += [(first.store._place.slot, first.store._place.epoch), (second.store._place.slot, second.store._place.epoch)]
    first.close()
    third = start(tmp_path)
    seen.append((third.store._place.slot, third.store._place.epoch))
    second.close()
    third.close()
    assert seen == [(1, 1), (2, 2), (1, 3)]


@pytest.mark.parametrize("content", [b"", b"x", b"\x00\xff", b"9" * 100])
def test_a_damaged_epoch_does_not_keep_the_queue_closed(tmp_path: Path, content: bytes) -> None:
    """It goes on from the seconds since 1970, which no count of starts has reached: no epoch comes twice."""
    start(tmp_path).close()
    path = tmp_path / "task_queue" / "meta" / "epoch"
    path.write_bytes(content)
    began = time.time()
    queue = start(tmp_path)
    assert int(began) <= queue.store._place.epoch <= time.time()
    queue.close()
    again = start(tmp_path)
    assert again.store._place.epoch == queue.store._place.epoch + 1
    again.close()


def test_the_epoch_of_the_first_version_is_counted_on(tmp_path: Path) -> None:
    """It had no seal: a plain number."""
    start(tmp_path).close()
    (tmp_path / "task_queue" / "meta" / "epoch").write_text("41\n")
    queue = start(tmp_path)
    assert queue.store._place.epoch == 42
    queue.close()


def test_a_flipped_bit_of_the_epoch_never_repeats_one(tmp_path: Path) -> None:
    """Every bit of the file, one at a time: the same number, or one far above it."""
    for _ in range(10):
        start(tmp_path).close()
    content = (tmp_path / "task_queue" / "meta" / "epoch").read_bytes()
    for position, bit in itertools.product(range(len(content)), range(8)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << bit
        try:
            assert presence._epoch_in(bytes(damaged)) == 10, (position, bit)
        except ValueError:
            continue


def full(*_: Any, **__: Any) -> None:
    raise StoreFull("the disk is full")


@pytest.mark.parametrize("has_ballast", [True, False])
def test_a_start_without_room_gives_up_the_ballast_once(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_ballast: bool) -> None:
    """With it there is room; without, the start is refused, and the slot is free for the next."""
    tries: list[str] = []
    real = files.make_folder

    def make_folder(path: str) -> None:
        tries.append(path)
        if len(tries) == 1:
            full()
        real(path)

    monkeypatch.setattr(files, "make_folder", make_folder)
    queue = Queue(FileStore(Settings(root=tmp_path), SystemClock()))
    monkeypatch.setattr(queue.store.disk, "give_up_ballast", lambda: has_ballast)
    if not has_ballast:
        with pytest.raises(StoreFull):
            queue.start()
    queue.start()
    assert queue.store._place.slot == 1
    queue.close()


def test_no_room_for_a_lock_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the fault of the file system's locks: 507, not a refusal to start."""
    def acquire(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(presence.FileLock, "acquire", acquire)
    with pytest.raises(StoreFull):
        start(tmp_path)


def test_without_room_for_its_epoch_a_process_takes_one_that_nobody_counts_up_to(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It works, and what is on the disk is counted on by the next."""
    start(tmp_path).close()
    with monkeypatch.context() as patch:
        patch.setattr(presence.Presence, "_write_epoch", full)
        queue = start(tmp_path)
        assert queue.store._place.epoch >= presence.UNWRITTEN
        queue.close()
    again = start(tmp_path)
    assert again.store._place.epoch == 2
    again.close()


def test_an_epoch_is_not_made_up_on_a_disk_that_failed_an_fsync(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Full, and not to be relied on: nobody takes part."""
    queue = Queue(FileStore(Settings(root=tmp_path), SystemClock()))
    monkeypatch.setattr(presence.Presence, "_write_epoch", full)
    monkeypatch.setattr(type(queue.store.disk), "is_degraded", property(lambda _: True))
    with pytest.raises(StoreFull):
        queue.start()


def test_a_full_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More processes than slots: said so, not waited for."""
    monkeypatch.setattr(presence, "MAX_SLOTS", 2)
    first = start(tmp_path)
    with pytest.raises(RefusedToStart, match="processes already"):
        start(tmp_path)
    first.close()
    start(tmp_path).close()


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without locks nobody can see who lives."""
    class NoLocks:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def acquire(self, **_: Any) -> None:
            raise OSError("no locks available")

    monkeypatch.setattr(presence, "FileLock", NoLocks)
    with pytest.raises(RefusedToStart, match="no working file locks"):
        start(tmp_path)


HOLDER = """
import sys, threading
from pathlib import Path
from taskspool.engine.lifecycle import open_queue
from taskspool.settings import Settings
queue = open_queue(Settings(root=Path(sys.argv[1])))
claims = queue.claim("holder", max_tasks=9, lease_seconds=0)
print(len(claims), flush=True)
threading.Event().wait(60)
"""


@posix_only
def test_a_killed_process_is_seen_dead_at_once(tmp_path: Path) -> None:
    """kill -9: its slot is free, its claims are given back by the next sweep, its crash is counted."""
    queue = start(tmp_path)
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])})
    assert holder.stdout is not None
    assert holder.stdout.readline() == "1\n"
    assert queue.sweep().expired == 0
    assert queue.task(task_id).worker == "holder"
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    holder.stdout.close()
    assert queue.sweep().expired == 1
    assert queue.task(task_id).state is State.READY
    assert queue.task(task_id).task.crashes == 1
    queue.close()


def test_what_the_dead_left_in_tmp_is_removed_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    """A sweep unlinks files of processes that ended, also of a former owner of its own slot; others' are kept."""
    first, second = start(tmp_path), start(tmp_path)
    living = Path(second.store._place.write_temporary(b"living"))
    own = Path(first.store._place.write_temporary(b"own"))
    strange = tmp_path / "task_queue" / "tmp" / "strange"
    strange.write_text("x")
    third = start(tmp_path)
    dead = Path(third.store._place.write_temporary(b"dead"))
    third.close()
    assert first.sweep().removed_temporary == 1
    assert [path.exists() for path in (living, own, strange, dead)] == [True, True, True, False]
    second.close()
    again = start(tmp_path)
    assert [path.exists() for path in (living, own, strange)] == [False, True, True]
    again.close()
    first.close()


@posix_only
def test_everything_a_queue_writes_is_closed_to_others(tmp_path: Path, queue: Queue, folder: Path, clock: Any,
                                                       opener: Callable[..., Queue]) -> None:
    """After a whole life every file is 0600 and every folder 0700, whatever the umask."""
    from contract.candidates import BACKOFF_SECONDS
    from taskspool.engine.lifecycle import Failure

    before = os.umask(0)
    try:
        other = opener()
        other.enqueue(NewTask("ping", {}), key="k")
        other.enqueue_many([NewTask("ping", {}, max_retries=1)] * 4)
        claims = other.claim("w", max_tasks=4)
        other.complete(claims[0].task.id, claims[0].lease.token, {})
        other.fail(claims[1].task.id, claims[1].lease.token, Failure("no"))
        other.fail(claims[2].task.id, claims[2].lease.token, Failure("no", retryable=False))
        (folder / "tasks" / "note.json").write_text("x")
        (folder / "tasks" / "note.json").chmod(0o600)
        other.sweep()
        clock.advance(BACKOFF_SECONDS)
        other.sweep()
    finally:
        os.umask(before)
    found = modes(folder)
    assert {name for name in found if name.startswith("quarantine/")}
    wrong = {name: oct(mode) for name, mode in found.items()
             if mode != (0o700 if (folder / name).is_dir() else 0o600)}
    assert wrong == {}


def test_a_store_may_be_closed_twice_and_opened_again(tmp_path: Path) -> None:
    """Closing is for everybody's ``finally``."""
    store = FileStore(Settings(root=tmp_path), SystemClock())
    store.open()
    store.close()
    store.close()
    assert store.open().total == 0
    assert list(store.problems()) == []
    store.close()
