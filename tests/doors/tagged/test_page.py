"""docs/tagged.md tells what the door does: its tables are complete, and its handlers can be loaded."""

from __future__ import annotations

import re
from pathlib import Path

from service import PROJECT

from taskspool.doors.tagged.answers import Task
from taskspool.doors.tagged.models import Status
from taskspool.worker.handlers import load_handlers

TEXT = (PROJECT / "docs" / "tagged.md").read_text(encoding="utf-8")


def first_cells(heading: str) -> set[str]:
    """The names in the first column of the tables below ``heading``."""
    section = TEXT.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_field_is_explained() -> None:
    """The table of fields names those of an answer, and no other."""
    assert first_cells("The task") == set(Task.model_fields)


def test_every_status_is_explained() -> None:
    """The table of statuses names all of them, and no other."""
    assert first_cells("The status") == {status.value for status in Status}


def test_the_handlers_of_the_page_can_be_loaded(tmp_path: Path) -> None:
    """What it shows as a module of handlers is one."""
    [block] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    path = tmp_path / "of_the_tagged_page.py"
    path.write_text(block, encoding="utf-8")
    handlers = load_handlers([str(path)], builtin=False)
    assert (handlers.types, [hook.name for hook in handlers.hooks.all]) == (["resize"], ["on_failure"])
