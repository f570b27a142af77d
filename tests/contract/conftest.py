"""The exam's two fixtures: an empty candidate, and a queue on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contract.candidates import CANDIDATES, Candidate
from taskspool.engine.lifecycle import Queue


@pytest.fixture(params=[
    name if name == "files-strict" else pytest.param(name, marks=pytest.mark.slow) for name in sorted(CANDIDATES)])
def candidate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Candidate]:
    candidate = CANDIDATES[request.param](tmp_path)
    yield candidate
    candidate.end()


@pytest.fixture
def queue(candidate: Candidate) -> Iterator[Queue]:
    """A queue that, whatever the test did to it, must be in order at the end."""
    queue = candidate.open()
    yield queue
    queue.sweep()
    assert list(queue.store.problems()) == []
