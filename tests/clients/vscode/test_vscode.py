"""The extension for VS Code under node, with its real poller against a real bridge.

The editor itself cannot be had in a test: `vscode_module/` stands in for its API, `editor.mjs` for the editor.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from live_bridge import LiveBridge, live_bridge
from service import PROJECT
from waiting import eventually

from clients.building import NODE, copied, node

EXTENSION = PROJECT / "clients" / "vscode-extension"
README = (EXTENSION / "README.md").read_text(encoding="utf-8")
HERE = Path(__file__).parent
SECONDS = 60.0

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("bridge")) as one:
        yield one


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, client_folder: Path) -> Path:
    """A folder with editor.mjs and the extension as it is."""
    return built_with(tmp_path_factory.mktemp("vscode"), client_folder)


def built_with(folder: Path, client: Path, handlers: str | None = None) -> Path:
    """``folder`` with editor.mjs and the built extension; ``handlers`` instead of its src/handlers.ts."""
    copy = copied("vscode-extension", folder / "vscode-extension")
    if handlers is not None:
        (copy / "src" / "handlers.ts").write_text(handlers, encoding="utf-8")
    node(copy, "scripts/build.mjs", TASKSPOOL_CLIENT=str(client))
    home = folder / "editor"
    shutil.copytree(copy / "out", home / "out")
    shutil.copytree(HERE / "vscode_module", home / "node_modules" / "vscode")
    shutil.copy(copy / "package.json", home)
    shutil.copy(HERE / "editor.mjs", home)
    return home


class Editor:
    """``said``: what it showed, oldest first."""

    def __init__(self, home: Path, store: Path, folder: Path, **settings: Any) -> None:
        self.said: list[dict[str, Any]] = []
        given = json.dumps({"settings": {f"taskspool.{name}": value for name, value in settings.items()},
                            "folder": str(folder)})
        self._process = subprocess.Popen([NODE or "node", "editor.mjs", str(store)], cwd=home, encoding="utf-8",
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         env={**os.environ, "EDITOR": given})
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.told(shown="taskspool")

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(json.loads(line))

    def run(self, command: str) -> None:
        """A command of the palette, to its end."""
        assert self._process.stdin is not None
        del self.said[:]
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        self.told(ran=command)

    def told(self, **what: Any) -> dict[str, Any]:
        """What was said that has all of ``what``, as soon as it was."""
        return eventually(lambda: next((each for each in list(self.said) if what.items() <= each.items()), None),
                          SECONDS, f"{what} among {self.said}")

    def close(self) -> None:
        """As when the window is closed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            assert self._process.wait(SECONDS) == 0
        finally:
            self._process.kill()
            self._process.wait(10)
            self._reader.join(10)


@contextmanager
def editor(home: Path, folder: Path, url: str, **settings: Any) -> Iterator[Editor]:
    """An editor with ``folder`` open, whose extension works for the bridge at ``url``."""
    one = Editor(home, folder / "state.json", folder, address=url, **settings)
    try:
        yield one
    finally:
        one.close()


def result(bridge: LiveBridge, task_id: str) -> Any:
    reply = eventually(lambda: bridge.get(f"/api/tasks/{task_id}/result?wait=2"), SECONDS, "its result")
    return reply.json()


@slow
def test_it_works_while_it_is_started(bridge: LiveBridge, built: Path, tmp_path: Path) -> None:
    """Nothing is claimed before Start and after Stop; between them the editor answers, and the item says so."""
    with editor(built, tmp_path, bridge.url) as one:
        one.told(item="$(circle-slash) taskspool")
        first = bridge.submit("ping")
        one.run("taskspool.start")
        answer = result(bridge, first)
        assert (answer["status"], answer["data"]["message"]) == ("success", "pong")
        assert answer["worker"].startswith("vscode-my-folder-")
        one.told(item="$(check) taskspool")
        one.run("taskspool.showStatus")
        assert "1 done" in one.told(choices=["Stop"])["message"]
        one.run("taskspool.stop")
        one.told(item="$(circle-slash) taskspool")
        waits = bridge.submit("ping")
        assert bridge.get(f"/api/workers/{answer['worker']}").json()["is_alive"] is False
        one.run("taskspool.start")
        assert result(bridge, waits)["worker"] == answer["worker"]


@slow
def test_it_starts_with_the_editor(bridge: LiveBridge, built: Path, tmp_path: Path) -> None:
    """With the setting, the worker runs without a command, under the name that was set."""
    with editor(built, tmp_path, bridge.url, startWithEditor=True, workerName="my-editor"):
        assert result(bridge, bridge.submit("vscode.info"))["data"]["folders"] == [str(tmp_path)]
        assert bridge.get("/api/workers/my-editor").json()["kind"] == "vscode"
    assert bridge.get("/api/workers/my-editor").json()["running"] == []


@slow
def test_it_opens_files_of_its_folders_only(bridge: LiveBridge, built: Path, tmp_path: Path) -> None:
    """A file of the open folder is shown at its line; any other, also by way of `..`, is refused for good."""
    inside, outside = tmp_path / "folder" / "here.txt", tmp_path / "secret.txt"
    inside.parent.mkdir()
    for file in (inside, outside):
        file.write_text("text\n" * 20)
    with editor(built, inside.parent, bridge.url, startWithEditor=True) as one:
        task_id = bridge.submit("vscode.open", {"path": str(inside), "line": 7})
        assert result(bridge, task_id)["data"] == {"path": str(inside), "line": 7}
        one.told(opened=str(inside), line=6)
        for path in (str(outside), str(inside.parent / ".." / "secret.txt"), "", None):
            answer = result(bridge, bridge.submit("vscode.open", {"path": path}, max_retries=3))
            assert (answer["status"], "must name a file of a folder" in answer["error_message"]) == ("error", True)
        assert [each for each in one.said if each.get("opened") not in (None, str(inside))] == []


def handler_of(readme: str) -> str:
    """The block of TypeScript that a reader copies."""
    blocks = re.findall(r"^```ts\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])


def test_a_handler_takes_ten_lines() -> None:
    """The README's handler, blank lines aside, is no longer than ten lines."""
    assert len([line for line in handler_of(README).splitlines() if line.strip()]) <= 10


def test_the_readme_knows_every_command_and_setting() -> None:
    """Each command and setting of package.json stands in the README."""
    offers = json.loads((EXTENSION / "package.json").read_text(encoding="utf-8"))["contributes"]
    titles = [command["title"] for command in offers["commands"]]
    assert [each for each in [*titles, *offers["configuration"]["properties"]] if each not in README] == []


@slow
def test_the_readmes_handler_works(bridge: LiveBridge, client_folder: Path, tmp_path: Path) -> None:
    """Copied into src/handlers.ts as it stands, it is built and does its tasks."""
    home = built_with(tmp_path / "own", client_folder, handler_of(README))
    with editor(home, tmp_path, bridge.url, startWithEditor=True):
        task_id = bridge.submit("editor.show", {"text": "look here"})
        assert result(bridge, task_id)["data"] == {"answer": None}
