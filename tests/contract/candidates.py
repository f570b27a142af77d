"""The stores that sit the exam. A new store joins by one class here and one line in ``CANDIDATES``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from fake_clock import FakeClock
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Queue
from taskspool.settings import Settings

BACKOFF_SECONDS = 3600.0
"""Longer than any lease here, so that what waits for its time stays where it is while leases run out."""


class Crash(BaseException):
    """Stands for the end of a process: nothing of the store may catch it."""


class Candidate(Protocol):
    """One empty place for tasks, and the ways the exam needs to get at it."""

    clock: FakeClock

    def open(self, **options: Any) -> Queue:
        """A started queue on the place; each call is what another process would see."""

    def crash_between_key_and_task(self, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on ``queue`` dies (raises Crash) once an idempotency key is stored, before its task is."""

    def end(self) -> None:
        """Close everything that was opened."""


class FileCandidate:
    def __init__(self, folder: Path, durability: str) -> None:
        self.clock = FakeClock()
        self._settings = Settings(root=folder, durability=durability, lease_seconds=60)  # type: ignore[arg-type]
        self._queues: list[Queue] = []

    def open(self, **options: Any) -> Queue:
        options = {"backoff": lambda _: BACKOFF_SECONDS, **options}
        queue = Queue(FileStore(self._settings, self.clock), clock=self.clock, **options)
        queue.start()
        self._queues.append(queue)
        return queue

    def crash_between_key_and_task(self, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        def crash(*_: object) -> None:
            raise Crash

        monkeypatch.setattr(queue.store._arrivals, "_put_one", crash)  # type: ignore[attr-defined]

    def end(self) -> None:
        for queue in self._queues:
            queue.close()


CANDIDATES: dict[str, Callable[[Path], Candidate]] = {
    "files-strict": lambda folder: FileCandidate(folder, "strict"),
    "files-fast": lambda folder: FileCandidate(folder, "fast"),
}
