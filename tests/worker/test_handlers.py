"""Handlers: marked, found, and called with what they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskspool import handler
from taskspool.errors import InvalidRequest, RefusedToStart
from taskspool.worker.handlers import Handlers, load_handlers

BUILTIN_TYPES = ["batch_calculation", "calculation", "data_transform", "ping"]


@pytest.fixture(autouse=True)
def _sys_path_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What load_handlers makes importable is forgotten after the test."""
    import sys

    monkeypatch.setattr(sys, "path", list(sys.path))


def write(path: Path, text: str) -> str:
    path.write_text(f"from taskspool import handler\n{text}\n", encoding="utf-8")
    return str(path)


def test_the_builtin_types_are_there_unless_left_out() -> None:
    """A worker can do the four types of seed 002 from the start; without them and without modules it refuses."""
    assert load_handlers().types == BUILTIN_TYPES
    with pytest.raises(RefusedToStart, match="nothing to do"):
        load_handlers(builtin=False)


def test_handlers_of_a_file_are_found(tmp_path: Path) -> None:
    """All marked functions of a .py file are collected, one function may serve several types."""
    path = write(tmp_path / "my_jobs.py", '@handler("a", "b")\ndef ab(data): return data\n'
                                          '@handler("c")\ndef c(data, context): return context\ndef other(): pass')
    found = load_handlers([path], builtin=False)
    assert found.types == ["a", "b", "c"]
    assert [found.get(name).wants_context for name in found.types] == [False, False, True]


def test_handlers_of_a_module_in_the_current_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module beside the caller needs no installation."""
    write(tmp_path / "jobs_beside_me.py", '@handler("beside")\ndef beside(data): return 1')
    monkeypatch.chdir(tmp_path)
    assert "beside" in load_handlers(["jobs_beside_me"]).types


def test_a_file_may_import_its_neighbours(tmp_path: Path) -> None:
    """A handlers file is run as `python file` would run it: its folder is importable."""
    (tmp_path / "neighbour_of_jobs.py").write_text("ANSWER = 42\n", encoding="utf-8")
    path = write(tmp_path / "jobs_with_neighbour.py",
                 'import neighbour_of_jobs\n@handler("n")\ndef n(data): return neighbour_of_jobs.ANSWER')
    assert load_handlers([path], builtin=False).get("n").function({}) == 42


@pytest.mark.parametrize(("text", "says"), [
    ('@handler("ping")\ndef mine(data): return 1', "two handlers for the task type 'ping'"),
    ('@handler("x")\ndef one(data): return 1\n@handler("x")\ndef two(data): return 2', "two handlers for"),
    ("def unmarked(data): return 1", "has no handlers"),
    ('@handler("x")\nclass X: pass', "class without run"),
    ('@handler("x")\nclass X:\n def __init__(self, a): pass\n def run(self, data): pass', "without arguments"),
    ('from taskspool import on_start\n@on_start\ndef x(): return 1', "cannot be called with"),
    ('@handler("x")\ndef x(): return 1', "cannot be called with"),
    ('@handler("x")\ndef x(a, b, c): return 1', "cannot be called with"),
    ("1 / 0", "ZeroDivisionError"),
    ('@handler("")\ndef x(data): return 1', "task_type must be"),
    ("@handler()\ndef x(data): return 1", "at least one task type"),
])
def test_a_handlers_file_that_is_wrong_says_why(tmp_path: Path, text: str, says: str) -> None:
    """Each mistake refuses the start with its own sentence and a hint."""
    with pytest.raises(RefusedToStart, match=says) as refused:
        load_handlers([write(tmp_path / "wrong_jobs.py", text)])
    assert refused.value.hint


def test_a_module_that_is_not_there_says_so() -> None:
    """A name that cannot be imported is named in the message."""
    with pytest.raises(RefusedToStart, match="no_such_module_at_all"):
        load_handlers(["no_such_module_at_all"])
    with pytest.raises(RefusedToStart, match="no such file"):
        load_handlers(["no_such_file.py"])


def test_the_decorator_only_marks() -> None:
    """A decorated function stays the same function; nothing is registered anywhere."""
    def plain(data: object) -> object:
        return data

    assert handler("t")(plain) is plain
    assert "t" not in load_handlers().types
    with pytest.raises(InvalidRequest):
        handler("two\nlines")


def test_arguments_with_a_default_are_the_handlers_own() -> None:
    """A second argument with a default does not receive the context."""
    def with_default(data: object, factor: int = 2) -> int:
        return factor

    def many(*arguments: object) -> int:
        return len(arguments)

    handlers = Handlers({"d": with_default, "m": many})
    assert not handlers.get("d").wants_context
    assert handlers.get("m").wants_context
