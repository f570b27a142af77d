"""The project's own files, for the tests that read them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "src" / "taskspool"


def python_files(*rooms: str) -> list[Path]:
    """Every Python file below these folders of the project."""
    return sorted(path for room in rooms for path in (PROJECT / room).rglob("*.py"))


PRODUCT = python_files("src", "scripts")
TESTS = python_files("tests")
EVERYTHING = python_files("src", "scripts", "tests", "benchmarks")


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    """How a person finds it: the path in the project."""
    return path.relative_to(PROJECT).as_posix()
