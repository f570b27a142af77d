"""A bridge, and the transports that this machine has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from live_bridge import LiveBridge, live_bridge
from powershell.transports import CORE, MONO, Transport, is_missing, transport

BOTH = [pytest.param(MONO, id="5.1"), pytest.param(CORE, id="7", marks=pytest.mark.slow)]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("bridge")) as one:
        yield one


@pytest.fixture(scope="module", params=BOTH)
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    """Each of the two transports."""
    if missing := is_missing(request.param):
        pytest.skip(f"this machine has no {missing}")
    with transport(request.param, tmp_path_factory.mktemp("exchange")) as one:
        yield one


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    """The transport of PowerShell 7."""
    if missing := is_missing(CORE):
        pytest.skip(f"this machine has no {missing}")
    with transport(CORE, tmp_path_factory.mktemp("exchange")) as one:
        yield one


@pytest.fixture(scope="module")
def mono(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Transport]:
    """The transport of Windows PowerShell 5.1."""
    if missing := is_missing(MONO):
        pytest.skip(f"this machine has no {missing}")
    with transport(MONO, tmp_path_factory.mktemp("exchange")) as one:
        yield one
