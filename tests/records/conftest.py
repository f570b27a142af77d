"""Databases of the three kinds, one of each for a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from databases import KINDS, clear, open_fresh
from taskspool.records.database import Database


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with open_fresh(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield found


@pytest.fixture
def database(made: Database) -> Iterator[Database]:
    """An open database with empty tables, of each kind in turn."""
    yield made
    clear(made)
