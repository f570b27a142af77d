"""The old library's names over the package: for programs that hand work over, or do it, through the folder.

    import sys; sys.path.insert(0, "scripts")
    from shared_task_queue import TaskQueue
    task_id = TaskQueue().push_task("ping", {})
    result = TaskQueue().get_result(task_id, timeout=10)

Importing opens nothing: a folder is opened by the first call, shared by all TaskQueue objects of the process, and
closed with it.
"""

from __future__ import annotations

import atexit
import os
import threading
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _find_package import HERE, find_package

find_package()  # only makes `import taskspool` possible; nothing is opened

if TYPE_CHECKING:
    from taskspool.engine.lifecycle import Queue
    from taskspool.engine.task import Result, Snapshot

ROOT = Path(os.environ.get("TASKSPOOL_ROOT") or HERE / "outputs")
QUEUE_DIR = ROOT / (os.environ.get("TASKSPOOL_QUEUE") or "task_queue")
TASKS_DIR = QUEUE_DIR / "tasks"
RESULTS_DIR = QUEUE_DIR / "results"

CLAIM_SECONDS = 300
"""How long ``pop_task`` holds a task. A script may pop, end, and hand the result in from another process; a task whose
result does not come within this time is given to another worker."""
MOST_LISTED = 10_000


@dataclass
class Task:
    id: str
    type: str
    requester: str
    data: Any
    status: str
    created_at: str
    assigned_to: str | None = None
    updated_at: str | None = None


@dataclass
class TaskResult:
    task_id: str
    worker: str
    status: str
    data: Any
    completed_at: str
    error_message: str | None = None


_OPENING = threading.Lock()
_OPEN: dict[tuple[int, Path], Queue] = {}
"""Queues by process and folder: a forked child opens its own."""


class TaskQueue:
    """The queue in ``folder`` (default: QUEUE_DIR). Errors are ``taskspool.errors``."""

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder = Path(folder) if folder is not None else QUEUE_DIR

    def push_task(self, task_type: str, data: Any, requester: str = "copilot") -> str:
        """Hand a task over; its id. When this returned, ``tasks/<id>.json`` exists, unless a worker took it."""
        from taskspool.engine.task import NewTask

        return self._queue().enqueue(NewTask(task_type, {} if data is None else data, requester)).task_id

    def pop_task(self, worker: str = "comet-browser", task_type: str | None = None) -> Task | None:
        """Claim the next task (of ``task_type``) for CLAIM_SECONDS; None: nothing waits."""
        queue = self._queue()
        queue.sweep()  # files others dropped, and claims that ran out, when no bridge or worker is up to see to them
        claims = queue.claim(worker, types=None if task_type is None else [task_type], lease_seconds=CLAIM_SECONDS)
        return _task(queue.task(claims[0].task.id)) if claims else None

    def push_result(self, task_id: str, data: Any, worker: str | None = None, status: str = "success",
                    error: str | None = None) -> None:
        """Finish a task, from this process or another than popped it. ``worker`` None: whoever popped it.

        Raises LeaseLost when another worker holds, or has finished, it; TaskNotFound.
        """
        from taskspool.engine.lifecycle import Failure

        is_failure = error is not None or status not in ("success", "completed")
        failure = Failure(error or status, data, retryable=False) if is_failure else None
        self._queue().finish_without_token(task_id, worker, data, failure)

    def get_result(self, task_id: str, timeout: float = 60.0) -> TaskResult | None:
        """The result, waited for up to ``timeout`` seconds; None: not yet."""
        from taskspool.cli.waiting import wait_for_result

        found = wait_for_result(self._queue(), task_id, timeout)
        return None if found is None else _result(found)

    def list_pending_tasks(self, task_type: str | None = None) -> list[Task]:
        """What waits, in the order it will be claimed."""
        from taskspool.engine.task import State

        queue = self._queue()
        queue.sweep()
        types = None if task_type is None else [task_type]
        return [_task(snapshot) for state in (State.READY, State.SCHEDULED)
                for snapshot in queue.listing(state, types=types, limit=MOST_LISTED)]

    def held_tasks(self) -> list[Task]:
        """What workers hold now, longest first."""
        return [_task(snapshot) for snapshot, _lease in self._queue().leases()]

    def latest_results(self, limit: int = 5) -> list[TaskResult]:
        """Newest first."""
        return [_result(result) for result in self._queue().latest_results(limit)]

    def cleanup_old_tasks(self, max_age_hours: float = 24) -> int:
        """Remove tasks that were finished longer ago, with their results; how many. What waits is never removed."""
        queue = self._queue()
        return queue.store.prune(queue.clock.now() - timedelta(hours=max_age_hours))

    def _queue(self) -> Queue:
        from taskspool.engine.lifecycle import open_queue
        from taskspool.settings import from_environment

        name = (os.getpid(), self._folder.absolute())
        with _OPENING:
            if name not in _OPEN:
                _OPEN[name] = open_queue(from_environment(root=name[1].parent, queue=name[1].name))
                atexit.register(_close, name)
            return _OPEN[name]


def _close(name: tuple[int, Path]) -> None:
    """What was popped stays claimed. A child that was forked leaves its parent's queues alone."""
    queue = _OPEN.pop(name, None)
    if queue is not None and name[0] == os.getpid():
        queue.close()


def _task(snapshot: Snapshot) -> Task:
    from taskspool.clock import to_text
    from taskspool.engine.task import State

    words = {State.CLAIMED: "in_progress", State.DONE: "completed", State.DEAD: "failed", State.CANCELLED: "cancelled"}
    task = snapshot.task
    return Task(task.id, task.type, task.requester, task.data, words.get(snapshot.state, "pending"),
                to_text(task.created_at), snapshot.worker, to_text(snapshot.updated_at))


def _result(result: Result) -> TaskResult:
    from taskspool.clock import to_text

    return TaskResult(result.task_id, result.worker, result.status, result.data, to_text(result.completed_at),
                      result.error_message)
