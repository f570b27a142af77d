"""One door for all tests of a module; a test that counts tasks, or wants any task, asks for ``fresh`` instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_clock import FakeClock
from live_managed import LiveManaged, live_managed


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveManaged]:
    with live_managed(tmp_path_factory.mktemp("managed")) as one:
        yield one


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveManaged]:
    with live_managed(tmp_path_factory.mktemp("fresh")) as one:
        yield one


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def still(tmp_path: Path, clock: FakeClock) -> Iterator[LiveManaged]:
    """A door whose time passes only when the test says so."""
    with live_managed(tmp_path, clock=clock) as door:
        yield door
