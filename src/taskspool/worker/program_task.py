"""What a program is told of its task: one JSON object on stdin, and the same in its environment."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from taskspool.clock import to_text
from taskspool.engine.task import JsonValue
from taskspool.worker.context import TaskContext
from taskspool.worker.process_tree import MARK

MAX_DATA_CHARS = 32_000
"""Larger data are on stdin only: systems limit what one variable may hold."""
TASK_ID, TASK_TYPE = "TASKSPOOL_TASK_ID", "TASKSPOOL_TASK_TYPE"
ATTEMPT, MAX_ATTEMPTS = "TASKSPOOL_ATTEMPT", "TASKSPOOL_MAX_ATTEMPTS"
DATA, RESULT_FILE = "TASKSPOOL_DATA", "TASKSPOOL_RESULT_FILE"
PREVIOUS_ERROR, DEADLINE = "TASKSPOOL_PREVIOUS_ERROR", "TASKSPOOL_DEADLINE"
NAMES = (TASK_ID, TASK_TYPE, ATTEMPT, MAX_ATTEMPTS, DATA, RESULT_FILE, PREVIOUS_ERROR, DEADLINE, MARK)


def task_line(data: JsonValue, context: TaskContext) -> bytes:
    """The task as one line of JSON. ASCII: whatever code page a program reads with, it reads the same."""
    task = {
        "id": context.task_id, "type": context.type, "data": data, "attempt": context.attempt,
        "max_attempts": context.max_attempts, "priority": context.priority, "requester": context.requester,
        "worker": context.worker, "previous_error": context.previous_error,
        "checkpoint": context.previous_checkpoint, "deadline_at": _deadline(context),
    }
    return json.dumps(task).encode("ascii") + b"\n"


def environment(data: JsonValue, context: TaskContext, result_file: Path, mark: str) -> dict[str, str]:
    """The worker's own environment, and what there is to say of the task in it."""
    text = json.dumps(data)
    told: Mapping[str, str | None] = {
        TASK_ID: context.task_id, TASK_TYPE: context.type, ATTEMPT: str(context.attempt),
        MAX_ATTEMPTS: str(context.max_attempts), DATA: text if len(text) <= MAX_DATA_CHARS else None,
        RESULT_FILE: str(result_file), PREVIOUS_ERROR: context.previous_error, DEADLINE: _deadline(context), MARK: mark,
    }
    own = {name: value for name, value in os.environ.items() if name not in NAMES}
    return own | {name: _speakable(value) for name, value in told.items() if value is not None}


def _deadline(context: TaskContext) -> str | None:
    return None if context.deadline is None else to_text(context.deadline)


def _speakable(text: str) -> str:
    """No NUL and no half letters, which no environment can hold."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
