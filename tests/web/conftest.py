"""One bridge for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live_bridge import LiveBridge, live_bridge


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("web")) as one:
        yield one
