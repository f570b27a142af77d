"""A long log arrives complete and in order at a reader that joined late and was cut off."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from live_bridge import LiveBridge, live_bridge

from taskspool.client import Client
from taskspool.engine.log_lines import LogLine
from taskspool.worker.task_log import TaskLog


class Cutter:
    """A way to the bridge that breaks in the middle of an answer, after so many bytes each time; then it holds."""

    def __init__(self, port: int, *after_bytes: int) -> None:
        self._port = port
        self._limits = list(after_bytes)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed: the test is over
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", self._port))
        threading.Thread(target=self._copy, args=(near, far, None), daemon=True).start()
        limit = self._limits.pop(0) if self._limits else None
        self._copy(far, near, limit)

    def _copy(self, source: socket.socket, target: socket.socket, limit: int | None) -> None:
        left = limit
        try:
            while content := source.recv(16_384):
                target.sendall(content if left is None else content[:left])
                if left is not None and (left := left - len(content)) <= 0:
                    self.cuts += 1
                    break
        except OSError:
            pass  # the other side left
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def cutter(bridge: LiveBridge, *after_bytes: int) -> Iterator[Cutter]:
    made = Cutter(bridge.port, *after_bytes)
    try:
        yield made
    finally:
        made.close()


def read_while_written(bridge: LiveBridge, count: int, *after_bytes: int) -> tuple[list[LogLine], int]:
    """What a reader is told that joins when a third is written, and is cut off after so many bytes; and how often."""
    task_id = bridge.submit("long")
    token = bridge.claim(types=["long"])["lease"]["token"]
    may_join = threading.Event()

    def work() -> None:
        with Client(bridge.url) as client:
            log = TaskLog(lambda lines, offset: client.append_log(task_id, token, lines, offset))
            for number in range(count):
                log.write("out", f"{number} of a long log")
                if number == count // 3:
                    may_join.set()
            assert log.close(100)
            client.complete(task_id, token, "w", {})

    writer = threading.Thread(target=work)
    writer.start()
    assert may_join.wait(60)
    with cutter(bridge, *after_bytes) as way, Client(way.url) as reader:
        told = list(reader.follow_log(task_id))
        cuts = way.cuts
    writer.join()
    return told, cuts


@pytest.mark.slow
def test_a_hundred_thousand_lines(tmp_path: Path) -> None:
    """100,000 lines, written by a worker, all reach a reader that joined late and was cut off twice: each once, in
    order, and then it is told that this is the end."""
    with live_bridge(tmp_path) as bridge:
        told, cuts = read_while_written(bridge, 100_000, 3_000_017, 4_000_003)
    assert cuts == 2
    assert [line.number for line in told] == list(range(100_000))
    assert [line.text for line in told] == [f"{number} of a long log" for number in range(100_000)]


def test_a_shorter_one(tmp_path: Path) -> None:
    """The same with 3,000 lines, cut off in the middle of a line."""
    with live_bridge(tmp_path) as bridge:
        told, cuts = read_while_written(bridge, 3_000, 100_001, 60_007)
    assert cuts == 2
    assert [line.text for line in told] == [f"{number} of a long log" for number in range(3_000)]
