"""What users of the PowerShell module read is true of it."""

from __future__ import annotations

import re

import pytest
from powershell.cmdlets import CMDLETS
from powershell.readme import WORKER, blocks, examples, overview, quick_start
from powershell.rules import RULES
from powershell.syntax import CLIENT, PROJECT, Script, broken, commands, functions, tree_of

TEXTS = {**blocks(), **quick_start(), **examples(), **overview()}
SCENERY = {"Import-Module", "Copy-Row", "Test-Path", "Storage"}
"""Commands of the reader's own, or that everybody knows."""


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_examples_are_powershell_5_1(text: str) -> None:
    """Each can be parsed, by the grammar of 5.1."""
    assert broken(tree_of(text)) == []


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_examples_call_what_there_is(text: str) -> None:
    """Commands that exist, with parameters that exist, and all that must be given."""
    script = Script("an example", text, tree_of(text))
    named = {command.name for command in commands(script.root) if re.match(r"[A-Z]\w*-", command.name)}
    assert named <= functions().keys() | CMDLETS.keys() | SCENERY
    assert list(RULES["PSUseCmdletCorrectly: parameters that exist, and all that must be given"](script)) == []


def test_every_place_has_something_to_read() -> None:
    """Nothing is checked by being overlooked."""
    public = [each for each in functions().values() if each.is_public]
    assert len(examples()) >= len(public)
    assert min(len(blocks()), len(quick_start()), len(overview())) >= 1


def test_the_worker_is_ten_lines() -> None:
    """As promised by its heading, blank line and braces included."""
    assert len(blocks()[WORKER].strip().splitlines()) <= 10


def test_every_command_is_in_the_readme() -> None:
    """Each command of the module stands in its README's table."""
    text = (CLIENT / "README.md").read_text(encoding="utf-8")
    assert [each.name for each in functions().values() if each.is_public and f"`{each.name}`" not in text] == []


def test_everything_a_context_has_is_told() -> None:
    """The members of a handler's context stand in the help of Start-TaskWorker, and no others."""
    text = functions()["Start-TaskWorker"].help
    told = set(re.findall(r"^      (\w+)(?:\(|,| )", text, re.MULTILINE))
    methods = set(re.findall(r"^        (\w+) += \{", functions()["Get-ContextMethod"].text, re.MULTILINE))
    assert told - {"IsCancelled"} == methods
    made = functions()["Get-HandlerContext"].text
    for name in re.findall(r"^        (\w+) += (?:\$task\.|\{)", made, re.MULTILINE):
        assert re.search(rf"\b{name}\b", text), name


def test_links_of_the_readme_lead_somewhere() -> None:
    """The documents it points to exist."""
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (CLIENT / "README.md").read_text(encoding="utf-8")):
        assert (CLIENT / target).resolve().is_relative_to(PROJECT)
        assert (CLIENT / target).exists(), target
