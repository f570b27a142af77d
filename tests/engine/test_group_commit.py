"""One flush for all who wait, and nobody is told "durable" by a flush that failed or began too early."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.threads import together
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.files import DirectorySync
from taskspool.engine.group_commit import FROM_WRITERS, REST_SECONDS, GroupCommit, system_syncfs
from taskspool.errors import StoreFull, StoreUnavailable
from waiting import eventually

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no fsync of a directory on Windows")


class Fsync:
    """Stands for the fsync of a folder: counts, can be held, can fail."""

    def __init__(self, failures: dict[int, int] | None = None) -> None:
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self._failures = failures or {}

    def __call__(self) -> None:
        self.calls += 1
        code = self._failures.get(self.calls, self._failures.get(0))
        assert self.gate.wait(20)
        if code is not None:
            raise OSError(code, os.strerror(code))


@pytest.fixture
def directory(tmp_path: Path) -> DirectorySync:
    return DirectorySync(str(tmp_path))


def outcome(action: Callable[[], None]) -> str:
    try:
        action()
    except StoreFull:
        return "full"
    except (StoreUnavailable, OSError):
        return "refused"
    return "durable"


def test_thirty_waiters_share_a_few_flushes(directory: DirectorySync, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one fsync runs, all who come wait for the one after it: two serve thirty."""
    fsync = Fsync()
    fsync.gate.clear()
    monkeypatch.setattr(directory, "_fsync", fsync)
    threads = [threading.Thread(target=directory.wait) for _ in range(30)]
    threads[0].start()
    eventually(lambda: fsync.calls == 1)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: len(directory._waiting) == 29)
    assert all(thread.is_alive() for thread in threads), "nobody is answered before the fsync has ended"
    fsync.gate.set()
    for thread in threads:
        thread.join(20)
    assert fsync.calls == 2


def test_who_comes_during_a_flush_waits_for_the_next(directory: DirectorySync, monkeypatch: pytest.MonkeyPatch) -> None:
    """An fsync that began before the name was there proves nothing about it: the second one counts, and it fails."""
    fsync = Fsync({2: errno.EIO})
    fsync.gate.clear()
    monkeypatch.setattr(directory, "_fsync", fsync)
    answers: dict[int, str] = {}
    threads = [threading.Thread(target=lambda number=number: answers.update({number: outcome(directory.wait)}))
               for number in range(2)]
    threads[0].start()
    eventually(lambda: fsync.calls == 1)
    threads[1].start()
    eventually(lambda: len(directory._waiting) == 1)
    fsync.gate.set()
    for thread in threads:
        thread.join(20)
    assert answers == {0: "durable", 1: "refused"}


@pytest.mark.parametrize(("code", "expected"), [(errno.EIO, "refused"), (errno.ENOSPC, "full")])
def test_a_failed_flush_acknowledges_nobody(directory: DirectorySync, monkeypatch: pytest.MonkeyPatch, code: int,
                                            expected: str) -> None:
    """Everybody of the round is refused; the next round stands on its own."""
    monkeypatch.setattr(directory, "_fsync", Fsync({0: code}))
    assert set(together(16, lambda _: outcome(directory.wait))) == {expected}
    monkeypatch.setattr(directory, "_fsync", Fsync())
    assert outcome(directory.wait) == "durable"


def test_no_failure_is_forgotten_however_many_there_are(
        directory: DirectorySync, monkeypatch: pytest.MonkeyPatch) -> None:
    """While every flush fails, at once and a thousand times, no waiter slips through between two of them."""
    monkeypatch.setattr(directory, "_fsync", Fsync({0: errno.EIO}))
    answers = together(24, lambda _: {outcome(directory.wait) for _ in range(50)})
    assert answers == [{"refused"}] * 24


@pytest.mark.parametrize("kind", ["directory", "files"])
def test_an_interrupted_flush_acknowledges_nobody(directory: DirectorySync, monkeypatch: pytest.MonkeyPatch,
                                                  kind: str) -> None:
    """When the thread that flushes for all is torn away (out of memory, interrupted), the others are refused."""
    gate, entered = threading.Event(), threading.Event()

    def flush(*_: object) -> None:
        entered.set()
        assert gate.wait(20)
        raise MemoryError

    group = GroupCommit(FakeClock(), flush)
    monkeypatch.setattr(directory, "_fsync", flush)
    monkeypatch.setattr(files, "flush", flush)
    wait = directory.wait if kind == "directory" else lambda: group.flush(0)
    answers: list[str] = []

    def ask() -> None:
        try:
            answers.append(outcome(wait))
        except MemoryError:
            answers.append("torn")

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert entered.wait(20)
    gate.set()
    for thread in threads:
        thread.join(20)
    assert len(answers) == 6
    assert "durable" not in answers


def test_the_real_flush_of_a_folder_works_and_its_absence_is_refused(tmp_path: Path) -> None:
    """A folder that is there is flushed; one that is gone is a 503."""
    DirectorySync(str(tmp_path)).wait()
    with pytest.raises(StoreUnavailable):
        DirectorySync(str(tmp_path / "gone")).wait()


class Flushes:
    """Stands for fsync and syncfs of files: which descriptors went which way."""

    def __init__(self) -> None:
        self.one_by_one: list[int] = []
        self.at_once: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: int | None = None

    def fsync(self, descriptor: int) -> None:
        self.one_by_one.append(descriptor)
        assert self.gate.wait(20)
        if self.error is not None:
            raise OSError(self.error, "x")

    def syncfs(self, descriptor: int) -> None:
        self.at_once.append(descriptor)
        if self.error is not None:
            raise OSError(self.error, "x")


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> Flushes:
    flushes = Flushes()
    monkeypatch.setattr(files, "flush", flushes.fsync)
    return flushes


def crowd(group: GroupCommit, flushes: Flushes, size: int) -> list[str]:
    """One flush that is held while ``size`` others come; how all were answered."""
    answers: list[str] = []
    threads = [threading.Thread(target=lambda number=number: answers.append(outcome(lambda: group.flush(number))))
               for number in range(size + 1)]
    before = len(flushes.one_by_one)
    flushes.gate.clear()
    threads[0].start()
    eventually(lambda: len(flushes.one_by_one) == before + 1)
    for thread in threads[1:]:
        thread.start()
    eventually(lambda: len(group._waiting) == size)
    flushes.gate.set()
    for thread in threads:
        thread.join(20)
    return answers


@pytest.mark.parametrize("size", [FROM_WRITERS - 1, FROM_WRITERS, 30])
def test_a_crowd_is_flushed_at_once_and_a_few_one_by_one(flushes: Flushes, size: int) -> None:
    """From so many writers on one syncfs serves them all."""
    group = GroupCommit(FakeClock(), flushes.syncfs)
    assert crowd(group, flushes, size) == ["durable"] * (size + 1)
    assert len(flushes.at_once) == (1 if size >= FROM_WRITERS else 0)
    assert len(flushes.one_by_one) == (1 if size >= FROM_WRITERS else size + 1)


def test_without_syncfs_everybody_is_flushed_alone(flushes: Flushes) -> None:
    """Other systems fsync each file, and nobody waits for anybody."""
    group = GroupCommit(FakeClock(), None)
    assert together(11, lambda number: outcome(lambda: group.flush(number))) == ["durable"] * 11
    assert sorted(flushes.one_by_one) == list(range(11))


def test_a_failed_syncfs_refuses_the_whole_crowd(flushes: Flushes) -> None:
    """Nobody knows whose file it was: nobody is acknowledged. The descriptor that told of it is not asked again."""
    group = GroupCommit(FakeClock(), flushes.syncfs)
    flushes.error = errno.EIO
    assert crowd(group, flushes, 8) == ["refused"] * 9
    flushes.error = None
    flushes.one_by_one.clear()
    flushes.gate.clear()
    threads = [threading.Thread(target=group.flush, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: sorted(flushes.one_by_one) == list(range(8)), why="each alone, none waits for another")
    flushes.gate.set()
    for thread in threads:
        thread.join(20)
    assert len(flushes.at_once) == 1


def test_a_slow_disk_puts_syncfs_off_for_a_while(flushes: Flushes) -> None:
    """A syncfs that had to wait for other programs' data is not tried again before its rest is over."""
    clock = FakeClock()

    def slow(descriptor: int) -> None:
        clock.advance(1)
        flushes.syncfs(descriptor)

    group = GroupCommit(clock, slow)
    crowd(group, flushes, 8)
    flushes.one_by_one.clear()
    together(8, group.flush)
    assert len(flushes.at_once) == 1
    assert sorted(flushes.one_by_one) == list(range(8)), "meanwhile everybody flushes alone"
    clock.advance(REST_SECONDS)
    crowd(group, flushes, 8)
    assert len(flushes.at_once) == 2


def test_syncfs_is_asked_on_a_descriptor_that_has_seen_every_error(flushes: Flushes, tmp_path: Path) -> None:
    """An error is told to descriptors that were open when it happened: one is kept open from the start."""
    group = GroupCommit(FakeClock(), flushes.syncfs)
    group.open(str(tmp_path))
    witness = group._witness
    crowd(group, flushes, 8)
    crowd(group, flushes, 8)
    group.close()
    assert flushes.at_once == [witness, witness]
    with pytest.raises(OSError, match="."):
        os.fstat(witness)


def test_the_real_syncfs_works_where_there_is_one(tmp_path: Path) -> None:
    """It returns for a file that is open, and raises OSError for a descriptor that is none."""
    syncfs = system_syncfs()
    if syncfs is None:
        pytest.skip("no syncfs here")
    with (tmp_path / "x").open("w") as file:
        syncfs(file.fileno())
    with pytest.raises(OSError, match="."):
        syncfs(-1)
