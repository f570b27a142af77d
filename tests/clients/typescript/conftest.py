"""A bridge of its own for every module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from live_bridge import LiveBridge, live_bridge
from service import Services, services


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("bridge")) as one:
        yield one


@pytest.fixture
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Processes of the test, ended with it."""
    with services(tmp_path_factory.mktemp("services")) as made:
        yield made
