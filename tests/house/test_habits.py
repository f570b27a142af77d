"""Habits of the code that a tool can see."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from house.source import PACKAGE, PRODUCT, PROJECT, TESTS, name_of, tree_of

BROAD = {"Exception", "BaseException"}
TIRED_WORD = re.compile(r"(?i)(manager|helper|util)")
EXCEPTION_FROM_A_RULE = re.compile(r"#\s*(?:noqa: ?[A-Z]+\d+(?:, ?[A-Z]+\d+)*|type: ignore\[[\w, -]+\])")
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def test_nobody_catches_everything_without_a_reason() -> None:
    """No bare except; a broad one says why in a comment on its line or the one before."""
    assert [where for path in PRODUCT for where in careless_catches(path)] == []


def careless_catches(path: Path) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    for node in ast.walk(tree_of(path)):
        if not isinstance(node, ast.ExceptHandler):
            continue
        names = {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)} if node.type else BROAD
        comments = [line.partition("#")[2] for line in lines[node.lineno - 2:node.lineno]]
        reason = EXCEPTION_FROM_A_RULE.sub("", "#" + " ".join(comments))
        if node.type is None or (names & BROAD and len(reason.split()) < 4):
            yield f"{name_of(path)}:{node.lineno}"


def test_names_say_what_a_thing_is() -> None:
    """No class, function or file is called manager, helper or util."""
    named = [(f"{name_of(path)}:{node.lineno}", node.name) for path in PRODUCT for node in ast.walk(tree_of(path))
             if isinstance(node, DEFINITIONS)]
    named += [(name_of(path), path.stem) for path in PRODUCT]
    assert [(where, name) for where, name in named if TIRED_WORD.search(name)] == []


def test_modules_and_what_they_offer_say_what_they_are() -> None:
    """A module has a docstring; so has every public function of it that is longer than a few statements."""
    silent = [name_of(path) for path in PRODUCT if tree_of(path).body and not ast.get_docstring(tree_of(path))]
    silent += [f"{name_of(path)}:{node.lineno} {node.name}" for path in PRODUCT for node in tree_of(path).body
               if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
               and len(node.body) > 3 and not ast.get_docstring(node)]
    assert silent == []


def test_tests_wait_for_conditions() -> None:
    """No test sleeps: it waits for a condition, with a deadline (`waiting.eventually`)."""
    assert [f"{name_of(path)}:{node.lineno}" for path in TESTS for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep"] == []


def test_tests_state_their_rule() -> None:
    """Every test has a docstring: its rule in a sentence."""
    assert [f"{name_of(path)}:{node.lineno} {node.name}" for path in TESTS if path.name.startswith("test_")
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
            and not ast.get_docstring(node)] == []


def test_package_files_hold_no_work() -> None:
    """An `__init__` is empty or names what its package offers."""
    assert [name_of(path) for path in PACKAGE.rglob("__init__.py")
            if len(path.read_text(encoding="utf-8").splitlines()) > 60] == []


def test_requirements_and_project_file_ask_for_the_same() -> None:
    """requirements.txt is the run-time dependencies of pyproject.toml plus pytest, with the same bounds."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tests = project["optional-dependencies"]["test"]
    wanted = {*project["dependencies"], *(each for each in tests if re.match(r"pytest[<>=]", each))}
    lines = (PROJECT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line.strip() for line in lines if line.strip() and not line.startswith("#")} == wanted


def test_every_exception_from_a_rule_has_its_reason_beside_it() -> None:
    """Each `noqa`, each `type: ignore` and each ignored rule in pyproject.toml is followed by words."""
    silent = []
    for path in PRODUCT:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            found = EXCEPTION_FROM_A_RULE.search(line)
            if found and len(EXCEPTION_FROM_A_RULE.sub("", line[found.start():]).strip(" #").split()) < 2:
                silent.append(f"{name_of(path)}:{number}")
    for line in (PROJECT / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if re.match(r'\s+"[A-Z]{1,4}\d{0,4}",?\s*(#.*)?$', line) and "#" not in line:
            silent.append(f"pyproject.toml: {line.strip()}")
    assert silent == []
