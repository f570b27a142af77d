"""The power goes when 500 tasks have been accepted: how many can still be read? Ours beside other queues on files.

Each queue is used the way its documentation shows, with its own defaults, on a small disk of its own (ext4, XFS) whose
power is cut in the moment of the last acknowledgement; then the disk is mounted again, as a kernel does after a power
cut, and the queue is asked for what it has. Needs root and loop devices; a queue that is not installed is skipped
(``pip install -r benchmarks/requirements.txt``). Exit code 1 when ours lost something.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.loop_disk import LOG_LOST, MIBIBYTES, LoopDisk, loop_disk, why_not
from benchmarks.measuring import aligned

TASKS = 500
PADDING = b"x" * 280
DEADLINE_SECONDS = 120.0
HEAD = ("queue", "disk", "accepted", "readable after", "lost", "says it is durable")
Put = Callable[[bytes], object]


@dataclass(frozen=True, slots=True)
class Contender:
    """``open`` a queue in a folder for writing; ``read`` everything it has, in another process, later."""

    name: str
    open: Callable[[Path], Put]
    read: Callable[[Path], Iterator[bytes]]
    is_durable: bool = False


def ours(durability: str) -> Contender:
    def opened(folder: Path) -> Any:
        from taskspool.engine.lifecycle import open_queue
        from taskspool.settings import Settings

        return open_queue(Settings(root=folder, durability="strict" if durability == "strict" else "fast"))

    def put(folder: Path) -> Put:
        from taskspool.engine.task import NewTask

        queue = opened(folder)
        return lambda work: queue.enqueue(NewTask("noop", {"work": work.decode()}))

    def read(folder: Path) -> Iterator[bytes]:
        queue = opened(folder)
        while claims := queue.claim("reader", max_tasks=100):
            yield from (claim.task.data["work"].encode() for claim in claims)
        queue.close()

    return Contender(f"taskspool, {durability}", put, read, is_durable=durability == "strict")


def huey(name: str, opened: Callable[[Path], peers.Peer], *, is_durable: bool) -> Contender:
    def read(folder: Path) -> Iterator[bytes]:
        peer = opened(folder)
        while work := peer.take():
            yield work

    return Contender(name, lambda folder: opened(folder).enqueue, read, is_durable)


def read_dirq(folder: Path) -> Iterator[bytes]:
    from dirq.QueueSimple import QueueSimple

    queue = QueueSimple(str(folder / "dirq"))
    name = queue.first()
    while name:
        if queue.lock(name):
            yield queue.get(name)
        name = queue.next()


def read_persist(folder: Path) -> Iterator[bytes]:
    from persistqueue import Queue

    queue = Queue(str(folder / "persist"))
    for _ in range(queue.qsize()):
        yield queue.get(block=False)


def kombu(folder: Path) -> Any:
    from kombu import Connection

    place = folder / "kombu"
    place.mkdir(exist_ok=True)
    folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), str(place))
    return Connection("filesystem://", transport_options=folders).SimpleQueue("work")


def put_kombu(folder: Path) -> Put:
    queue = kombu(folder)
    return lambda work: queue.put(work.decode())


def read_kombu(folder: Path) -> Iterator[bytes]:
    queue = kombu(folder)
    while True:
        try:
            message = queue.get(block=False)
        except queue.Empty:
            return
        yield message.payload.encode()
        message.ack()


CONTENDERS = (
    ours("strict"),
    ours("fast"),
    huey("huey SqliteStorage", peers.huey_sqlite, is_durable=True),
    huey("huey FileStorage", peers.huey_file, is_durable=False),
    Contender("python-dirq", lambda folder: peers.Dirq(folder).enqueue, read_dirq),
    Contender("persist-queue file", lambda folder: peers.PersistFile(folder).enqueue, read_persist),
    Contender("kombu filesystem", put_kombu, read_kombu),
)


def works() -> list[bytes]:
    return [b"%d " % number + PADDING for number in range(TASKS)]


def in_child(action: Callable[[Callable[[bytes], None]], None]) -> tuple[int, int]:
    """``action(tell)`` in a forked process: (its id, the end of a pipe that carries what it tells)."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    code = 1
    try:
        action(lambda told: void(os.write(writing, told)))
        code = 0
    finally:  # whatever happened: the parent counts what it was told, and this process ends here
        os._exit(code)


def void(_: object) -> None:
    """For a call whose answer nobody needs."""


def listen(reading: int, upto: int) -> bytes:
    """What is told until there are ``upto`` bytes of it, the process ends or takes too long."""
    said, ends_at = b"", time.monotonic() + DEADLINE_SECONDS
    while len(said) < upto and select.select([reading], [], [], max(0.0, ends_at - time.monotonic()))[0]:
        more = os.read(reading, 65_536)
        if not more:
            break
        said += more
    return said


def end(child: int, reading: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)


def survivors(contender: Contender, disk: LoopDisk) -> tuple[int, int]:
    """(tasks accepted when the power went, tasks that are readable, whole, after)."""
    def write(tell: Callable[[bytes], None]) -> None:
        put = contender.open(disk.path)
        for work in works():
            put(work)
            tell(b".")
        signal.pause()  # it is still there when the power goes

    def read(tell: Callable[[bytes], None]) -> None:
        wanted = set(works())
        for work in contender.read(disk.path):
            if work in wanted:
                wanted.discard(work)
                tell(b".")

    child, reading = in_child(write)
    accepted = len(listen(reading, TASKS))
    disk.cut(LOG_LOST)
    end(child, reading)
    disk.restore()
    child, reading = in_child(read)
    found = len(listen(reading, TASKS))
    end(child, reading)
    return accepted, found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="power cuts of each queue on each file system")
    rounds = parser.parse_args().rounds
    if reason := why_not():
        print(f"no power can be cut here: {reason}", file=sys.stderr)
        return 2
    rows, has_lost = [HEAD], False
    for contender in CONTENDERS:
        for kind in MIBIBYTES:
            accepted = found = 0
            for _ in range(rounds):
                with loop_disk(kind) as disk:
                    more, there = survivors(contender, disk)
                    accepted, found = accepted + more, found + there
            has_lost |= contender.name == CONTENDERS[0].name and found < rounds * TASKS
            rows.append((contender.name, kind, str(accepted), str(found), str(accepted - found) if accepted else "",
                         "yes" if contender.is_durable else "no") if accepted else
                        (contender.name, kind, "", "", "", "not installed, or it did not start"))
    print("\n".join(aligned(rows)))
    return int(has_lost)


if __name__ == "__main__":
    sys.exit(main())
