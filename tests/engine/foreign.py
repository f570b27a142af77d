"""What other programs do to the folder, the way they do it: truncate, then write, in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ID = "01936f5e-0000-4000-8000-00000000000{}"


def drop(folder: Path, n: int, document: Any = None, text: str | None = None) -> str:
    task_id = ID.format(n)
    document = {"id": task_id, "type": "ping", "requester": "old", "data": {"n": n}, "status": "pending",
                "created_at": "2026-01-02T03:04:05", "assigned_to": None, "updated_at": None, **(document or {})}
    (folder / "tasks" / f"{task_id}.json").write_text(json.dumps(document) if text is None else text, encoding="utf-8")
    return task_id


def reply(folder: Path, task_id: str, **document: Any) -> None:
    text = json.dumps({"task_id": task_id, "worker": "old", "status": "success", "data": {"by": "old"}, **document})
    (folder / "results" / f"{task_id}.json").write_text(text, encoding="utf-8")


def rewrite(folder: Path, task_id: str, **changes: Any) -> None:
    """As the old library does: read, truncate, write."""
    path = folder / "tasks" / f"{task_id}.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")


def quarantined(folder: Path) -> dict[str, str]:
    """What lies in quarantine -> its reason."""
    found = {path.name for path in (folder / "quarantine").iterdir()}
    reasons = {name.removesuffix(".reason.txt"): (folder / "quarantine" / name).read_text(encoding="utf-8")
               for name in found if name.endswith(".reason.txt")}
    assert found == {*reasons, *(f"{name}.reason.txt" for name in reasons)}, "every file has its reason beside it"
    return reasons


def pop(folder: Path, task_id: str, worker: str = "comet") -> None:
    rewrite(folder, task_id, status="in_progress", assigned_to=worker, updated_at="2026-01-02T03:04:06")
