"""One server per kind of database for all tests here; who needs an empty store asks for ``empty``."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from databases import KINDS, clear
from live_todos import LiveTodos, live_todos


@pytest.fixture(scope="module", params=KINDS)
def todos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTodos]:
    with live_todos(request.param, tmp_path_factory.mktemp("todos")) as one:
        yield one


@pytest.fixture
def empty(todos: LiveTodos) -> LiveTodos:
    clear(todos.database)
    return todos


@pytest.fixture
def session_id() -> str:
    """A session no other test uses."""
    return str(uuid.uuid4())
