"""What clients do with tasks: submit, look, cancel, retry, tell how far they are, list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.managed import wire
from taskspool.doors.managed.asking import body_of, listing_of, many_tasks, one_task, progress_of, tasks_of
from taskspool.doors.managed.capacity import Capacity
from taskspool.doors.managed.outlook import Outlooks
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, Priority, Snapshot, State
from taskspool.errors import NotRetryable, TaskFinished
from taskspool.settings import Settings
from taskspool.web.reply import reply

CANCELED = "Task canceled successfully"
UPDATED = "Task progress updated successfully"
CLIENT = "http-client"
"""Who wants it, in the story of a task: clients of this door give no names."""


class TaskViews:
    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.queue = queue
        self.settings = settings
        self.outlooks = Outlooks(queue)
        self.capacity = Capacity(queue, settings.managed_max_waiting)

    # -- submitting ----------------------------------------------------------------------------------------------

    def create(self) -> Response:
        new = one_task(body_of(request.environ, self.settings), self.settings.max_depth)
        return reply(self._put([new])[0], 201)

    def create_many(self) -> Response:
        """All of them, or none."""
        made = self._put(many_tasks(body_of(request.environ, self.settings), self.settings.max_depth))
        return reply({"tasks": made, "count": len(made)}, 201)

    def submit(self, bodies: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Tasks as their bodies ask for them, all or none; told as ``create`` does. Raises what that raises."""
        return self._put(tasks_of(bodies))

    def _put(self, news: Sequence[NewTask]) -> list[dict[str, Any]]:
        with self.capacity.room_for(len(news)):
            if len(news) == 1:
                ids = [self.queue.enqueue(news[0]).task_id]
            else:
                ids = [one.task_id for one in self.queue.enqueue_many(news)]
        made = [_as_waiting(self.queue.task(task_id)) for task_id in ids]
        return [self._told(one, place) for one, place in zip(made, self._places(made), strict=True)]

    def _places(self, made: Sequence[Snapshot]) -> list[int]:
        """Of tasks that were put in line together: those of one priority stand behind each other, so that only the
        last of them is looked for."""
        places: list[int] = []
        last: dict[Priority, int] = {}
        for snapshot in reversed(made):
            level = snapshot.task.priority
            if snapshot.state is State.READY:
                last[level] = max(0, last[level] - 1) if level in last else self._position(snapshot)
            places.append(last[level] if snapshot.state is State.READY else 0)
        return places[::-1]

    # -- one task ------------------------------------------------------------------------------------------------

    def detail(self, task_id: str) -> Response:
        snapshot = self.queue.task(task_id)
        return reply(self._told(snapshot, self._position(snapshot)))

    def cancel(self, task_id: str) -> Response:
        """Raises TaskFinished for any other than queued and processing, also one that is retrying (contract)."""
        status = wire.status_of(self.queue.task(task_id))
        if status not in ("queued", "processing"):
            raise TaskFinished(f"task {task_id} is {status}", task_id=task_id, status=status)
        self.queue.cancel(task_id, by=CLIENT, at_once=True)
        return reply({"message": CANCELED, "task_id": task_id})

    def retry(self, task_id: str) -> Response:
        """Failed, retrying -> queued, last of its priority, while retries are left. Raises NotRetryable."""
        snapshot = self.queue.task(task_id)
        status, used = wire.status_of(snapshot), wire.retry_count_of(snapshot, self.queue.max_crashes)
        if status not in ("failed", wire.RETRYING) or used >= snapshot.task.max_retries:
            raise NotRetryable(f"task {task_id} is {status}", task_id=task_id, status=status, retry_count=used,
                               max_retries=snapshot.task.max_retries)
        if status == "failed":
            self.queue.retry(task_id, by=CLIENT, keep_attempts=True)
        else:
            self.queue.promote(task_id, by=CLIENT, uses_attempt=True)
        snapshot = _as_waiting(self.queue.task(task_id))
        return reply(self._told(snapshot, self._position(snapshot)))

    def progress(self, task_id: str) -> Response:
        """Whoever says it: clients of this door know no tokens. Of a finished task nothing changes."""
        environ = request.environ
        told = progress_of(body_of(environ, self.settings), environ.get("CONTENT_TYPE", ""), self.settings.max_depth)
        self._revise(task_id, told.progress, told.message)
        return reply({"message": UPDATED, "task_id": task_id, "progress": told.progress})

    def _revise(self, task_id: str, percent: int, message: str | None) -> None:
        """Without a message the last one is taken back. What is finished stays as it is, and that is no error."""
        with suppress(TaskFinished):
            self.queue.revise(task_id, percent=percent, message=message or "", by=CLIENT)

    # -- lists ---------------------------------------------------------------------------------------------------

    def listing(self) -> Response:
        asked = listing_of(request.args)
        items: list[dict[str, Any]] = []
        total = 0
        if asked.wanted is not None:
            page = self.queue.store.index.listing(asked.wanted, sort=asked.sort, limit=asked.page_size,
                                                  offset=asked.offset)
            items, total = [self.listed(snapshot) for snapshot in page.items], page.total
        return reply({"tasks": items, "pagination": {
            "page": asked.page, "page_size": asked.page_size, "total": total,
            "total_pages": -(-total // asked.page_size)}})

    # -- telling -------------------------------------------------------------------------------------------------

    def listed(self, snapshot: Snapshot) -> dict[str, Any]:
        result = self.queue.store.result(snapshot.task.id) if snapshot.state.is_final else None
        return wire.task_json(snapshot, result, self.queue.max_crashes, self.queue.clock.now())

    def _position(self, snapshot: Snapshot) -> int:
        """Its place in line, 1 = next; 0: it is not in line."""
        return self.queue.store.position(snapshot.task.id) or 0 if snapshot.state is State.READY else 0

    def _told(self, snapshot: Snapshot, position: int) -> dict[str, Any]:
        """With its place in line, and when it will be done."""
        estimate = None
        if wire.status_of(snapshot) in ("queued", "processing"):
            estimate = self.outlooks.now().completion_at(snapshot, position, self.queue.clock.now())
        return self.listed(snapshot) | {"estimated_completion": wire.optional_text(estimate),
                                        "queue_position": position}


def _as_waiting(snapshot: Snapshot) -> Snapshot:
    """As it was when it was put in line, should a worker have been faster than the answer."""
    if snapshot.state in (State.SCHEDULED, State.READY):
        return snapshot
    return Snapshot(replace(snapshot.task, progress=None), State.READY, snapshot.task.created_at)
