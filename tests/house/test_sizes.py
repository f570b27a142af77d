"""Files and functions stay small enough to be read in one go."""

from __future__ import annotations

import ast

from house.source import EVERYTHING, name_of, tree_of

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
MAX_LINE_CHARS = 120


def test_no_file_is_longer_than_400_lines() -> None:
    """400 lines are the wall, 150 are home."""
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in EVERYTHING}
    assert {name: length for name, length in lengths.items() if length > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_40_lines() -> None:
    """40 lines are the wall, 12 are home. Counted from `def` to the last line."""
    lengths = {f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
               for path in EVERYTHING for node in ast.walk(tree_of(path))
               if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_no_line_is_wider_than_120_characters() -> None:
    """Two files fit beside each other on a screen."""
    wide = [f"{name_of(path)}:{number}" for path in EVERYTHING
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
            if len(line) > MAX_LINE_CHARS]
    assert wide == []
