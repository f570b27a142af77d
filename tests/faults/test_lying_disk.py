"""A disk that promises more than it holds: its fsync fails, as that of a breaking disk does ("fsyncgate", 2018).

A thin ext4 gives real errors, in the data or in its journal. Whatever fails: nothing is acknowledged on the strength
of a failed fsync, the same descriptor is never asked twice, and what was acknowledged is there after a power cut. Now
and then the kernel is the first to notice, in a write of its own between two fsyncs of ours: then the file system is
read-only, every verb is refused, no fsync ever fails, and none is said to have.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.loop_disk import LOG_LOST, MIBIBYTES, LoopDisk, resize_below, thin_disk, why_not
from fake_clock import FakeClock
from faults.forks import Report, forked
from faults.shim import shimmed
from taskspool.clock import Clock, SystemClock
from taskspool.engine import place
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask
from taskspool.errors import NotFound, StoreUnavailable
from taskspool.settings import Settings

WHY_NOT = why_not(("ext4",))
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no small disk of its own: {WHY_NOT}")
ROUNDS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "50"))
IN_PLACE = ("-b", "4096", "-E", "nodiscard,lazy_itable_init=0")
WHOLE_JOURNAL = "lazy_journal_init=0"
"""The journal has its blocks from the start, so that only data can be refused."""
MOST_FREE_KIBIBYTES = 3072
SUBMITS = 100
MOST_CHARS = 60_000
MOST_DISKS = 60
"""A broken engine has so many disks to show itself."""
LEAST_SHARE = 0.9
"""Of many disks at least so many fail an fsync; the others refuse before one is asked."""
NAMES = 500
"""More than the submits make in one folder."""


class Watch:
    """Looks like ``os`` to all threads; numbers every descriptor when it is opened, and tells how each fsync of it
    ended. An fsync that succeeds, of a file system that is found dead after it, has failed too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[int, int] = {}
        self._opened = 0
        self.ends: dict[int, list[bool]] = {}
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        descriptor = os.open(path, flags, mode)
        with self._lock:
            self._opened += 1
            self._numbers[descriptor] = self._opened
        return descriptor

    def fsync(self, descriptor: int) -> None:
        self.flush(descriptor, os.fsync)

    def flush(self, descriptor: int, call: Callable[[int], None]) -> None:
        number = self._numbers.get(descriptor, -descriptor)
        try:
            call(descriptor)
        except OSError:
            self._end(number, is_good=False)
            raise
        self._end(number, is_good=True)

    def prove(self, path: str, proof: Callable[[str], None]) -> None:
        try:
            proof(path)
        except OSError:
            with self._lock:
                self.failed += 1
            raise

    def _end(self, number: int, *, is_good: bool) -> None:
        with self._lock:
            self.ends.setdefault(number, []).append(is_good)
            self.failed += not is_good

    @property
    def asked_again(self) -> int:
        """Descriptors that were asked again after they had failed."""
        return sum(False in ends[:-1] for ends in self.ends.values())


def submit_all(disk: LoopDisk, free_kibibytes: int, report: Report, seed: int, threads: int) -> None:
    """Submits of many sizes until long after the disk began to fail; every acknowledgement is reported at once."""
    watch = Watch()
    queue = opened(disk.path, SystemClock())
    resize_below(disk, free_kibibytes)
    place.prove_alive = partial(watch.prove, proof=place.prove_alive)  # in this process, which ends here
    with shimmed(watch):  # type: ignore[arg-type]  # it is no shim of points, but looks like os all the same
        sync = queue.store._place.group._sync_file_system
        if sync is not None:
            queue.store._place.group._sync_file_system = lambda descriptor: watch.flush(descriptor, sync)
        submitters = [threading.Thread(target=submit, args=(queue, report, watch, seed + each, threads == 1))
                      for each in range(threads)]
        for submitter in submitters:
            submitter.start()
        for submitter in submitters:
            submitter.join()
    report("end", watch.failed, watch.asked_again, queue.store.durability)


def submit(queue: Queue, report: Report, watch: Watch, seed: int, is_alone: bool) -> None:
    dice = random.Random(seed)
    for number in range(SUBMITS):
        size, failed = dice.randrange(MOST_CHARS), watch.failed
        try:
            told = queue.enqueue(NewTask("ping", {"text": "x" * size}), key=str(dice.random()) if number % 5 else None)
        except StoreUnavailable:
            continue
        report("ack", told.task_id, size)
        if is_alone and watch.failed != failed:
            report("broken", f"{told.task_id} was acknowledged although an fsync failed meanwhile")


def opened(root: Path, clock: Clock) -> Queue:
    queue = Queue(FileStore(Settings(root=root, min_free_bytes=1), clock), clock=clock)
    queue.start()
    return queue


def put_folders_in_place(disk: LoopDisk) -> None:
    """The blocks of the folders are on the disk, and large enough. Where a disk loses what it has written long ago
    nobody can keep a promise; this one refuses what is new."""
    opened(disk.path, FakeClock()).close()
    for folder in (disk.path / "task_queue").iterdir():
        if folder.is_dir():
            paths = [folder / f"{number:070}" for number in range(NAMES)]
            for path in paths:
                path.touch()
            for path in paths:
                path.unlink()
    disk.restore()


def lie_and_judge(seed: int) -> Counter[str]:
    """One disk that runs out below, and what is left on it after a power cut."""
    options = (*IN_PLACE[:-1], f"{IN_PLACE[-1]},{WHOLE_JOURNAL}") if seed % 2 else IN_PLACE
    threads = 1 if seed % 4 < 2 else 4
    with thin_disk(options) as disk:
        put_folders_in_place(disk)
        free_kibibytes = random.Random(seed).randrange(MOST_FREE_KIBIBYTES)
        events = forked(lambda report: submit_all(disk, free_kibibytes, report, seed, threads)).events
        failed, asked_again, durability = next(rest for kind, *rest in events if kind == "end")
        acknowledged = {rest[0]: rest[1] for kind, *rest in events if kind == "ack"}
        assert [rest for kind, *rest in events if kind == "broken"] == []
        assert asked_again == 0
        assert durability == ("degraded" if failed else "strict")
        assert len(acknowledged) < SUBMITS * threads, "this disk has refused nothing"
        disk.cut(LOG_LOST)
        resize_below(disk, MIBIBYTES["ext4"] << 10)
        disk.restore()
        with closing(opened(disk.path, FakeClock())) as queue:
            found = {task_id: len(queue.task(task_id).task.data["text"]) for task_id in acknowledged}
            assert found == acknowledged
            recovered = queue.counts().ready - len(acknowledged)
    return Counter({"disks": 1, "attempt": SUBMITS * threads, "acknowledged": len(acknowledged),
                    "ok": len(acknowledged), "disks with a failed fsync": int(failed > 0), "failed fsyncs": failed,
                    "recovered": recovered})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_fsync_that_is_believed_by_itself_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's fsync fails for one caller and succeeds for the next, with nothing written: the harness sees it."""
    monkeypatch.setattr(place, "prove_alive", lambda path: None)
    with pytest.raises((AssertionError, NotFound)):
        for seed in range(2, 4 * MOST_DISKS, 4):
            lie_and_judge(seed)


@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.slow
def test_nothing_is_acknowledged_that_a_failing_disk_has_not_taken(seed: int) -> None:
    """One disk whose journal is refused and one whose data is; one caller alone and four at once."""
    assert lie_and_judge(seed)["disks"] == 1


@pytest.mark.slow
@pytest.mark.timeout(60 + 5 * ROUNDS)
def test_nothing_is_acknowledged_that_failing_disks_have_not_taken() -> None:
    """Many disks: 0 lost, no descriptor asked again, degraded said exactly where an fsync failed: nearly everywhere."""
    total = sum(map(lie_and_judge, range(ROUNDS)), Counter[str]())
    assert total["disks with a failed fsync"] >= LEAST_SHARE * ROUNDS
    print("a disk that lies: " + ", ".join(f"{word} {number}" for word, number in total.items()) + ", lost 0")
