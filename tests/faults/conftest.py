"""A folder for tests that make and throw away thousands of queues."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """In memory where the system has such a place (kill -9 does not care what is below the file system)."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK)):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="taskspool-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
