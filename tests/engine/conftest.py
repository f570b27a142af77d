"""A queue in a fresh folder on a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_clock import FakeClock
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Queue
from taskspool.settings import Settings

LEASE_SECONDS = 60


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def opener(tmp_path: Path, clock: FakeClock) -> Iterator[Callable[..., Queue]]:
    """``opener(**settings)`` starts one more queue on the folder, as another process would."""
    queues: list[Queue] = []

    def open_one(**settings: Any) -> Queue:
        store = FileStore(Settings(root=tmp_path, lease_seconds=LEASE_SECONDS, **settings), clock)
        queue = Queue(store, clock=clock, lease_seconds=LEASE_SECONDS, backoff=lambda _: 30.0)
        queue.start()
        queues.append(queue)
        return queue

    yield open_one
    for queue in queues:
        queue.close()


@pytest.fixture
def queue(opener: Callable[..., Queue]) -> Queue:
    return opener()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The queue's own folder."""
    return tmp_path / "task_queue"


@pytest.fixture
def elsewhere(tmp_path: Path, clock: FakeClock) -> Iterator[Queue]:
    """An empty queue somewhere else."""
    queue = Queue(FileStore(Settings(root=tmp_path / "elsewhere"), clock), clock=clock)
    queue.start()
    yield queue
    assert list(queue.store.findings()) == []
    queue.close()
