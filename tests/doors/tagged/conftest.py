"""One door per kind of database for all tests here; who does real work asks for ``fresh``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from databases import KINDS
from live_tagged import LiveTagged, live_tagged, new_tag

from taskspool.jobs import tagged as jobs

@pytest.fixture(scope="module", params=KINDS)
def tagged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTagged]:
    with live_tagged(request.param, tmp_path_factory.mktemp("tagged")) as one:
        yield one


@pytest.fixture(params=KINDS)
def fresh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTagged]:
    with live_tagged(request.param, tmp_path_factory.mktemp("fresh")) as one:
        yield one
        if jobs.opened.cache_info().currsize:  # real work was done in this process
            jobs.opened(one.settings).database.close()
            jobs.opened.cache_clear()


@pytest.fixture
def tag() -> str:
    return new_tag()
