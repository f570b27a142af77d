"""A disk without room: new tasks are refused in time, what was begun is finished, and nothing is lost.

Small disks of their own (tmpfs, ext4 in a file) are filled by another program, in bytes and in inodes.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.loop_disk import loop_disk, memory_disk, why_not
from faults.forks import Report, forked
from taskspool.clock import SystemClock
from taskspool.engine.disk import room_of
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import StoreFull
from taskspool.settings import Settings
from waiting import eventually

WHY_NOT = why_not(("ext4",))
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no small disk of its own: {WHY_NOT}")
MARK_BYTES = 512 << 10
RECOVERY_SECONDS = 5.0
LEFT = 80


@contextmanager
def ext4_disk() -> Iterator[Path]:
    with loop_disk("ext4", 10) as disk:
        yield disk.path


@dataclass(frozen=True)
class Kind:
    """A disk, and how another program fills it: to the last byte or inode, or until room for ``LEFT`` is left beside
    the mark."""

    make: Callable[[], AbstractContextManager[Path]]
    fill: Callable[[Path, bool], None]


def fill_bytes(root: Path, to_the_last: bool) -> None:
    with (root / "filler").open("ab", buffering=0) as filler:
        for size in (65_536, 4096, 1):
            try:
                while to_the_last or room_of(str(root), MARK_BYTES).free_bytes > MARK_BYTES + LEFT * 4096:
                    filler.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def fill_inodes(root: Path, to_the_last: bool) -> None:
    (root / "fillers").mkdir(exist_ok=True)
    try:
        for number in range(1_000_000):
            room = room_of(str(root), MARK_BYTES)
            if not to_the_last and (room.free_files or 0) <= room.mark_files + LEFT:
                return
            (root / "fillers" / f"{to_the_last}-{number}").touch()
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def empty(root: Path) -> None:
    for path in [root / "filler", *root.glob("fillers/*")]:
        path.unlink(missing_ok=True)


KINDS = {
    "bytes of a tmpfs": Kind(lambda: memory_disk(4096, 4000), fill_bytes),
    "inodes of a tmpfs": Kind(lambda: memory_disk(32_768, 1000), fill_inodes),
    "bytes of an ext4": Kind(ext4_disk, fill_bytes),
}


def opened(root: Path) -> Queue:
    clock = SystemClock()
    queue = Queue(FileStore(Settings(root=root, min_free_bytes=MARK_BYTES), clock), clock=clock)
    queue.start()
    return queue


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return KINDS[request.param]


@pytest.fixture
def full(kind: Kind) -> Iterator[tuple[Path, Queue, list[str]]]:
    """(the disk, a queue on it, the tasks it accepted before it refused more), and not a byte or inode is left."""
    with ExitStack() as stack:
        root = stack.enter_context(kind.make())
        queue = opened(root)
        stack.callback(queue.close)
        kind.fill(root, False)
        accepted = submit_until_refused(queue)
        kind.fill(root, True)
        yield root, queue, accepted


def submit_until_refused(queue: Queue) -> list[str]:
    accepted: list[str] = []
    with pytest.raises(StoreFull, match="nearly full"):
        for number in range(10 * LEFT):
            accepted.append(queue.enqueue(NewTask("ping", {"n": number, "text": "x" * 3000}, max_retries=1)).task_id)
            queue.sweep()  # looks at the disk; in a server that is done twice a second
    assert len(accepted) >= LEFT // 10
    return accepted


def test_new_tasks_are_refused_while_there_is_still_room(kind: Kind) -> None:
    """507 at the low-water mark, and the ballast is there by then."""
    with kind.make() as root:
        queue = opened(root)
        kind.fill(root, False)
        submit_until_refused(queue)
        room = room_of(str(root), MARK_BYTES)
        assert room.is_low
        assert not room.is_scarce
        assert (root / "task_queue" / "meta" / "ballast").stat().st_blocks * 512 >= room.ballast_bytes
        with pytest.raises(StoreFull, match="nearly full"):
            queue.enqueue_many([NewTask("ping", {})] * 2, key="k")
        queue.close()


def test_what_was_begun_is_finished_on_a_full_disk(full: tuple[Path, Queue, list[str]]) -> None:
    """Claims, results, failures, releases and reads go on in the room of the ballast; submits are refused."""
    _, queue, accepted = full
    claims = [claim for worker in ("one", "two", "three") for claim in queue.claim(worker, max_tasks=2)]
    done, failed, released = claims[:3], claims[3:5], claims[5]
    for claim in done:
        queue.complete(claim.task.id, claim.lease.token, {"text": "y" * 3000})
    queue.fail(failed[0].task.id, failed[0].lease.token, Failure("no"))
    queue.fail(failed[1].task.id, failed[1].lease.token, Failure("no", retryable=False))
    queue.release(released.task.id, released.lease.token)
    with pytest.raises(StoreFull):
        queue.enqueue(NewTask("ping", {}))
    queue.sweep()
    assert [queue.result(claim.task.id).data for claim in done] == [{"text": "y" * 3000}] * 3
    assert queue.task(released.task.id).state is State.READY
    assert queue.task(failed[1].task.id).state is State.DEAD
    assert queue.counts().ready == len(accepted) - 5
    assert list(queue.store.problems()) == []


def test_a_process_starts_on_a_full_disk(full: tuple[Path, Queue, list[str]]) -> None:
    """Its epoch, its locks, its worker's folder: all of it fits, and it does its work."""
    root, _, _ = full

    def work(report: Report) -> None:
        queue = opened(root)
        claim = queue.claim("another", max_tasks=1)[0]
        queue.complete(claim.task.id, claim.lease.token, {"by": "another"})
        report("done", claim.task.id)
        queue.close()

    for _ in range(3):
        (_, task_id), = forked(work).events
        assert full[1].result(task_id).data == {"by": "another"}


def test_a_process_starts_again_when_not_even_the_ballast_is_left(full: tuple[Path, Queue, list[str]],
                                                                  kind: Kind) -> None:
    """No room for its epoch: it reads, and claims by renaming. What it held when it died is given back when there is
    room to write that down."""
    root, queue, accepted = full
    queue.claim("one")
    queue.close()
    queue.store.disk.give_up_ballast()
    kind.fill(root, True)

    def begin(report: Report) -> None:
        other = opened(root)
        report("ready", other.counts().ready)
        report("claimed", *[claim.task.id for claim in other.claim("one", lease_seconds=0)])

    (_, ready), (_, held) = forked(begin).events
    assert ready == len(accepted) - 1
    queue = opened(root)
    assert queue.task(held).state is State.CLAIMED
    empty(root)
    queue.sweep()
    assert (queue.task(held).state, queue.task(held).task.crashes) == (State.READY, 1)
    assert list(queue.store.problems()) == []
    queue.close()


def test_all_is_well_soon_after_there_is_room(full: tuple[Path, Queue, list[str]]) -> None:
    """Nobody restarts anything: within 5 s submits are accepted, nothing is lost, the ballast is there again."""
    root, queue, accepted = full
    for claim in queue.claim("one", max_tasks=4):
        queue.complete(claim.task.id, claim.lease.token, {})
    with pytest.raises(StoreFull):
        queue.enqueue(NewTask("ping", {}))
    empty(root)
    task_id = eventually(lambda: accepts(queue), seconds=RECOVERY_SECONDS)
    queue.sweep()
    assert queue.task(task_id).state is State.READY
    assert queue.counts().ready == len(accepted) - 4 + 1
    assert list(queue.store.problems()) == []
    assert (root / "task_queue" / "meta" / "ballast").exists()
    assert queue.store.durability == "strict"


def accepts(queue: Queue) -> str:
    try:
        return queue.enqueue(NewTask("ping", {})).task_id
    except StoreFull:
        return ""
