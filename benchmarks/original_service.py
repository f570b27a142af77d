"""A stand-in for the original service of seed 002: what our bridge replaces, to be measured beside it.

    python -m benchmarks.original_service --port P --root DIR

This is a RECONSTRUCTION, written by us from the public contract (the documented dialect of the bridge on port 8091)
and from what is known of the original's ways, not its code: Flask's development server with threads; a JSON file per
task in ``tasks/`` and per result in ``results/``; ``next`` lists the folder, parses every file, sorts by
``created_at`` and takes the first pending one; files are rewritten in place; counts are made by listing. No fsync.
Where we had a choice we took the kinder one: no lock around a claim (so it can hand a task out twice, but waits for
nobody), no indentation in the files, and a finished task's file is removed, so that an empty queue stays empty.
"""

from __future__ import annotations

import argparse
import json
import logging
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, request
from flask.typing import ResponseReturnValue


class Folder:
    """The original's library: a folder of JSON files."""

    def __init__(self, root: Path) -> None:
        self.tasks = root / "task_queue" / "tasks"
        self.results = root / "task_queue" / "results"
        for path in (self.tasks, self.results):
            path.mkdir(parents=True, exist_ok=True)

    def push_task(self, asked: dict[str, Any]) -> str:
        task_id = str(uuid.uuid4())
        task = {"id": task_id, "type": asked["task_type"], "requester": asked.get("requester", "http-client"),
                "data": asked.get("data", {}), "status": "pending", "created_at": _now(), "assigned_to": None,
                "updated_at": None}
        self._write(self.tasks / f"{task_id}.json", task)
        return task_id

    def pop_task(self, worker: str) -> dict[str, Any] | None:
        pending = self.pending()
        if not pending:
            return None
        task = pending[0]
        task.update(status="in_progress", assigned_to=worker, updated_at=_now())
        self._write(self.tasks / f"{task['id']}.json", task)
        return task

    def pending(self) -> list[dict[str, Any]]:
        tasks = [task for path in self.tasks.glob("*.json") if (task := self._read(path)) is not None]
        return sorted((task for task in tasks if task["status"] == "pending"), key=lambda task: str(task["created_at"]))

    def push_result(self, task_id: str, asked: dict[str, Any]) -> bool:
        task = self._read(self.tasks / f"{task_id}.json")
        if task is None:
            return False
        self._write(self.results / f"{task_id}.json", {
            "task_id": task_id, "worker": asked.get("worker_id", "unknown"), "status": asked.get("status", "success"),
            "data": asked.get("data", {}), "completed_at": _now(), "error_message": asked.get("error_message")})
        (self.tasks / f"{task_id}.json").unlink(missing_ok=True)
        return True

    def result(self, task_id: str) -> dict[str, Any] | None:
        return self._read(self.results / f"{task_id}.json")

    def _write(self, path: Path, document: dict[str, Any]) -> None:
        path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")

    def _read(self, path: Path) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return found


def create_app(folder: Folder) -> Flask:
    app = Flask("original_service")

    @app.get("/health")
    def health() -> ResponseReturnValue:
        return jsonify({"status": "ok", "tasks_dir": str(folder.tasks), "results_dir": str(folder.results)})

    @app.get("/api/stats")
    def stats() -> ResponseReturnValue:
        return jsonify({"pending_tasks": len(folder.pending()),
                        "completed_tasks": len(list(folder.results.glob("*.json")))})

    @app.post("/api/tasks")
    def submit() -> ResponseReturnValue:
        asked = request.get_json(silent=True)
        if not asked or "task_type" not in asked:
            return jsonify({"error": "task_type is required"}), 400
        return jsonify({"success": True, "task_id": folder.push_task(asked), "message": "Task submitted"}), 201

    @app.post("/api/tasks/next")
    def claim_next() -> ResponseReturnValue:
        asked = request.get_json(silent=True) or {}
        return jsonify({"task": folder.pop_task(asked.get("worker_id", "http-worker"))})

    @app.post("/api/tasks/<task_id>/result")
    def submit_result(task_id: str) -> ResponseReturnValue:
        if not folder.push_result(task_id, request.get_json(silent=True) or {}):
            return jsonify({"error": "Task not found"}), 404
        return jsonify({"success": True, "task_id": task_id, "message": "Result submitted"})

    @app.get("/api/tasks/<task_id>/result")
    def get_result(task_id: str) -> ResponseReturnValue:
        result = folder.result(task_id)
        return (jsonify({"error": "Result not found"}), 404) if result is None else jsonify(result)

    return app


def _now() -> str:
    return datetime.now(UTC).isoformat()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--root", type=Path, required=True)
    given = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # the kinder choice: its line per request costs time
    create_app(Folder(given.root)).run("127.0.0.1", given.port, threaded=True)


if __name__ == "__main__":
    main()
