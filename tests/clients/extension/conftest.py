"""The extension, built once with handlers for tests, and bridges for it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_bridge import LiveBridge, live_bridge
from service import Services, services

from clients.building import copied, node
from clients.extension.extension_browser import ORIGIN, ExtensionBrowser, aimed, browser_with


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, client_folder: Path) -> Path:
    """dist/ of the extension, with tests/clients/extension/handlers.ts."""
    copy = copied("browser-extension", tmp_path_factory.mktemp("built") / "browser-extension")
    shutil.copy(Path(__file__).parent / "handlers.ts", copy / "src" / "handlers.ts")
    node(copy, "scripts/build.mjs", TASKSPOOL_CLIENT=str(client_folder))
    return copy / "dist"


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[LiveBridge]:
    """A bridge that trusts the extension, as its README says."""
    with live_bridge(tmp_path / "outputs", cors_origins=(ORIGIN,)) as one:
        yield one


@pytest.fixture
def browser(bridge: LiveBridge, built: Path, tmp_path: Path) -> Iterator[ExtensionBrowser]:
    """A browser whose extension works for ``bridge``."""
    with browser_with(aimed(built, bridge.url, tmp_path / "extension"), tmp_path / "profile") as one:
        yield one


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path) as made:
        yield made
