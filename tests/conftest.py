"""Fixtures every test may ask for."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _own_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of the person who runs it."""
    for name in [name for name in os.environ if name.startswith("TASKSPOOL_")]:
        if name not in ("TASKSPOOL_SLOW", "TASKSPOOL_TEST_ROUNDS"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _log_as_it_was() -> Iterator[None]:
    """A command that stays up sets the level of all logs; the tests after it do not hear more for that."""
    level = logging.getLogger().level
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture
def free_port() -> int:
    """A port nobody listened on a moment ago. A server that can take port 0 itself does not need this."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
