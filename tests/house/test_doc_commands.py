"""The commands in README, QUICKSTART and the examples work as they stand."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from house.powershell import Shell, addresses, body_of
from house.snippets import LANGUAGES, Reader, Snippet, is_missing, snippets
from service import services
from waiting import eventually

SNIPPETS = snippets("README.md", "QUICKSTART.md", "examples/README.md")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A bridge and a worker on one folder, and somebody who types."""
    folder = tmp_path_factory.mktemp("reader")
    with services(folder) as made:
        bridge = made.bridge(folder / "outputs")
        found = Reader(bridge.port(), folder / "outputs", folder / "commands")
        found.prepare()
        made.worker("--root", folder / "outputs")
        yield found


EVERYDAY = ("README.md", "QUICKSTART.md")
"""What a newcomer types in first; the other pages are typed in by the full run."""


def test_there_is_something_to_run() -> None:
    """The three languages of the documents each have a block that is run."""
    assert {snippet.language for snippet in SNIPPETS} == LANGUAGES


@pytest.mark.skipif(sys.platform == "win32", reason="the blocks for bash want a POSIX shell")
@pytest.mark.parametrize("snippet", [
    each if each.page in EVERYDAY else pytest.param(each, marks=pytest.mark.slow)
    for each in SNIPPETS if each.language != "powershell"],
                         ids=lambda snippet: snippet.name)
def test_commands_in_the_documents_run(reader: Reader, snippet: Snippet) -> None:
    """Every block marked for it runs to its end without an error, and says something."""
    if is_missing(snippet):
        pytest.skip(f"this machine has no {is_missing(snippet)}")
    done = reader.run(snippet)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip()
    assert '"error":"' not in done.stdout
    assert "Error:" not in done.stdout


@pytest.mark.parametrize("snippet", [each for each in SNIPPETS if each.language == "powershell"],
                         ids=lambda snippet: snippet.name)
def test_powershell_commands_run(reader: Reader, snippet: Snippet) -> None:
    """They run in pwsh where there is one; elsewhere what they send is answered as they expect."""
    if not is_missing(snippet):
        done = reader.run(snippet)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Error:" not in done.stdout
        return
    shell = Shell(reader.port)
    try:
        speak(shell, snippet.text)
    finally:
        shell.close()


def speak(shell: Shell, text: str) -> None:
    """Every call of the snippet: each is a 200 or 201 with JSON; a result is polled on a real 404 until it is there."""
    task_id = ""
    for address in addresses(text):
        if address.endswith("/result"):
            path = address.replace("$taskId", task_id)
            status, value = eventually(lambda path=path: answered(shell, path), 10, "the result")
            assert (status, value["status"], value["task_id"]) == (200, "success", task_id)
            continue
        status, value = shell.invoke(address, body_of(text) if "-Method POST" in text else None)
        assert status in (200, 201), value
        task_id = value.get("task_id", "")


def answered(shell: Shell, path: str) -> tuple[int, dict[str, str]] | None:
    status, value = shell.invoke(path)
    assert status in (200, 404), value
    return None if status == 404 else (status, value)


def test_the_shell_reads_the_snippet() -> None:
    """The calls and the body are found in the text: nothing is checked by being overlooked."""
    text = next(each.text for each in SNIPPETS if "ConvertTo-Json" in each.text)
    assert addresses(text) == ["/api/tasks", "/api/tasks/$taskId/result"]
    assert body_of(text) == {"task_type": "ping", "data": {}, "requester": "powershell-script"}
