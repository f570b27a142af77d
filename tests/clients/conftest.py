"""What the tests of all that is built on the TypeScript client share."""

from __future__ import annotations

from pathlib import Path

import pytest

from clients.building import built_client


@pytest.fixture(scope="session")
def client_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clients/typescript, built."""
    return built_client(tmp_path_factory.mktemp("built") / "typescript")
