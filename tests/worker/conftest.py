"""What the tests of the workers share: a folder, a queue on it, and worker processes that end with the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.settings import Settings
from worker_processes import Processes, processes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def queue(root: Path) -> Iterator[Queue]:
    """The queue in ``root``, swept by this process too, as a bridge would do it."""
    opened = open_queue(Settings(root=root, durability="fast"))
    sweeper = Sweeper(opened)
    sweeper.start()
    yield opened
    sweeper.stop()
    opened.close()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Processes]:
    with processes(tmp_path) as made:
        yield made
