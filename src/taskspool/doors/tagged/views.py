"""Tagged tasks over HTTP: one, a list of them, their tags, and the proof of concept's task."""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.tagged import models
from taskspool.doors.tagged.wire import enqueued_json, tags_json, task_json
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask
from taskspool.errors import TaskNotFound
from taskspool.records.database import Database, is_healthy
from taskspool.records.tagged_follow import TaggedFollower
from taskspool.records.tagged_standing import HEAVY, REQUESTER
from taskspool.records.tagged_tasks import TaggedTasks, Wanted
from taskspool.settings import Settings
from taskspool.web.reply import plain_reply
from taskspool.web.validation import Asked, read
from taskspool.web.version import installed_version

PROOF_TIMEOUT_SECONDS = 10.0
PROOF_RETRIES = 2
"""Three tries in all. Source of both: seed 003, the worker of the proof of concept."""


class TaskViews:
    def __init__(self, queue: Queue, database: Database, settings: Settings) -> None:
        self._queue = queue
        self._tasks = TaggedTasks(queue, database)
        self._follower = TaggedFollower(queue, database)
        self._max_depth = settings.max_depth

    def create(self) -> Response:
        body = read(request.environ, body=models.TaskCreate, max_depth=self._max_depth).body
        row = self._tasks.create(body.columns(), body.tags)
        return plain_reply(task_json(row), 201, {"Location": f"/tasks/{row.id}"})

    def list(self) -> Response:
        """What the engine did until now is in the rows before they are filtered."""
        asked = read(request.environ, query=models.TaskQuery).query
        wanted = Wanted(None if asked.status is None else asked.status.value,
                        None if asked.priority is None else asked.priority.value, asked.tag)
        self._follower.catch_up()
        rows, total = self._tasks.page(wanted, asked.limit, asked.offset)
        return plain_reply([task_json(row) for row in rows], 200, {"X-Total-Count": str(total)})

    def one(self, task_id: str) -> Response:
        return plain_reply(task_json(self._tasks.get(_id(task_id))))

    def change(self, task_id: str) -> Response:
        asked: Asked[None, models.TaskUpdate] = read(
            request.environ, path={"task_id": (task_id, models.ID)}, body=models.TaskUpdate, max_depth=self._max_depth)
        number = _in_range(asked.path["task_id"])
        tags = asked.body.tags if "tags" in asked.body.model_fields_set else None
        return plain_reply(task_json(self._tasks.change(number, asked.body.columns(), tags)))

    def delete(self, task_id: str) -> Response:
        self._tasks.remove(_id(task_id))
        return Response(status=204)

    def tags(self) -> Response:
        return plain_reply(tags_json(self._tasks.tags()))

    def prove(self) -> Response:
        """A task that is in the queue alone: it has no row."""
        asked = read(request.environ, query=models.ProofQuery).query
        wish = NewTask(HEAVY, {"sleep_time": asked.sleep_time}, REQUESTER, max_retries=PROOF_RETRIES,
                       options=Options(timeout_seconds=PROOF_TIMEOUT_SECONDS, crashes_count=True))
        return plain_reply(enqueued_json(self._queue.enqueue(wish).task_id))


class HealthViews:
    def __init__(self, database: Database) -> None:
        self._database = database

    def health(self) -> Response:
        """200 whether the database answers or not: this door does."""
        is_well = is_healthy(self._database)
        return plain_reply({"status": "healthy" if is_well else "degraded", "version": installed_version(),
                            "database": "healthy" if is_well else "unhealthy"})


def _id(text: str) -> int:
    return _in_range(read(request.environ, path={"task_id": (text, models.ID)}).path["task_id"])


def _in_range(number: int) -> int:
    """No row has a number beyond what the databases count to."""
    if not 1 <= number <= models.MAX_ID:
        raise TaskNotFound("Task not found")
    return number
