"""docs/workers.md: its handlers can be loaded, and do what the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from taskspool.engine.lifecycle import Queue
from taskspool.worker.context import TaskContext
from taskspool.worker.handlers import load_handlers
from worker.at_work import at_work, put, result, source_of

PAGE = Path(__file__).parents[2] / "docs" / "workers.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_handlers_of_the_page_work(queue: Queue, root: Path, tmp_path: Path,
                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block is a module of handlers; a worker with all of them does their tasks."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    names = []
    for number, text in enumerate(BLOCKS):
        path = tmp_path / f"of_the_page_{number}.py"
        path.write_text(text, encoding="utf-8")
        names.append(str(path))
    handlers = load_handlers(names, builtin=False)
    assert handlers.types == ["fetch", "greet", "import", "work"]
    with source_of("folder", queue, root) as source, at_work(source, handlers):
        assert result(queue, put(queue, "greet", {"name": "Ann"})).data == {"message": "hello Ann"}
        assert result(queue, put(queue, "fetch")).data == {"attempt": 1}
        task_id = put(queue, "import", {"rows": 3})
        assert result(queue, task_id).data == {"rows": 3}
        assert queue.task(task_id).task.checkpoint == 0
        assert [line.text for line in queue.logs.read(task_id, -1, 9).lines] == ["all rows are there"]


def test_the_page_names_all_that_a_context_has() -> None:
    """Every public field, property and method stands in its table."""
    public = {name for name in dir(TaskContext) if not name.startswith("_")} - {"contact"}
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in public if not re.search(rf"`{name}[(`]", text)} == set()
