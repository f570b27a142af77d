"""One bridge for all tests of a module; a test that counts tasks, or wants any task, asks for ``fresh`` instead."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from live_bridge import LiveBridge, live_bridge

_numbers = itertools.count()


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("bridge")) as one:
        yield one


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("fresh")) as one:
        yield one


@pytest.fixture
def kind() -> str:
    """A task type no other test uses."""
    return f"kind-{next(_numbers)}"
