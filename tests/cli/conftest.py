"""The command, called in this process, on a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from live_bridge import live_bridge
from taskspool.cli.main import run


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the queues are."""
    return tmp_path / "outputs"


@pytest.fixture
def command(root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """``taskspool ARGUMENTS`` with TASKSPOOL_ROOT set."""
    monkeypatch.setenv("TASKSPOOL_ROOT", str(root))
    monkeypatch.setenv("TASKSPOOL_DURABILITY", "fast")

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


@pytest.fixture(params=["folder", "bridge"])
def anywhere(request: pytest.FixtureRequest, command: Callable[..., Done], root: Path) -> Iterator[Callable[..., Done]]:
    """The same command, asked of the folder and, by ``--url``, of a bridge on it."""
    if request.param == "folder":
        yield command
        return
    with live_bridge(root) as bridge:
        yield lambda *arguments: command(*arguments, "--url", bridge.url)
