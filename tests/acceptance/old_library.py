"""The library old programs carry with them, as seen from outside: what it writes, reads, and breaks on.

It knows no lock and no rename: files are opened, truncated, written. Its values are built from all the keys of a
file, so one key it does not know is a TypeError, which goes through here: the test that meets it fails.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass
class Task:
    id: str
    type: str
    requester: str
    data: dict[str, Any]
    status: str
    created_at: str
    assigned_to: str | None = None
    updated_at: str | None = None


@dataclass
class TaskResult:
    task_id: str
    worker: str
    status: str
    data: dict[str, Any]
    completed_at: str
    error_message: str | None = None


class OldLibrary:
    """One old program on ``folder`` (the one that holds tasks/ and results/)."""

    def __init__(self, folder: Path) -> None:
        self.tasks = folder / "tasks"
        self.results = folder / "results"

    def push_task(self, task_type: str, data: dict[str, Any], requester: str = "copilot") -> str:
        task = Task(str(uuid.uuid4()), task_type, requester, data, "pending", local_now())
        write(self.tasks / f"{task.id}.json", asdict(task))
        return task.id

    def pop_task(self, worker: str = "comet-browser", task_type: str | None = None) -> Task | None:
        """The first waiting task (of ``task_type``), marked in its file; None when none waits."""
        for path in sorted(self.tasks.glob("*.json")):
            document = read(path)
            if document is None:
                continue
            task = Task(**document)
            if task.status == "pending" and task_type in (None, task.type):
                task.status, task.assigned_to, task.updated_at = "in_progress", worker, local_now()
                write(path, asdict(task))
                return task
        return None

    def push_result(self, task_id: str, data: dict[str, Any], worker: str = "comet-browser",
                    status: str = "success", error: str | None = None) -> None:
        write(self.results / f"{task_id}.json", asdict(TaskResult(task_id, worker, status, data, local_now(), error)))
        path = self.tasks / f"{task_id}.json"
        document = read(path)
        if document is not None:
            document |= {"status": "completed" if status == "success" else "failed", "updated_at": local_now()}
            write(path, document)

    def get_result(self, task_id: str) -> TaskResult | None:
        """One look; None: not there, or not whole yet."""
        document = read(self.results / f"{task_id}.json")
        return None if document is None else TaskResult(**document)


def local_now() -> str:
    """It writes the time of its clock on the wall, without a zone."""
    return datetime.now().isoformat()  # noqa: DTZ005  # that is what it does


def write(path: Path, document: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=2, ensure_ascii=False)


def read(path: Path) -> dict[str, Any] | None:
    """None for what is not there or still being written."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return found
