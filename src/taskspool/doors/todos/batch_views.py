"""Batches over HTTP: to-dos that were made together."""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from taskspool.clock import Clock
from taskspool.doors.todos import models
from taskspool.doors.todos.task_views import new_todo
from taskspool.doors.todos.wire import batch_json, page_json
from taskspool.errors import BatchNotFound
from taskspool.records.database import Database
from taskspool.records.todo_reading import batch_of, latest_batch, page_of_batches
from taskspool.records.todo_changes import create_batch, delete_batch
from taskspool.settings import Settings
from taskspool.web.reply import plain_reply
from taskspool.web.validation import Asked, read


class BatchViews:
    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._max_depth = settings.max_depth
        self._clock = clock

    def create(self) -> Response:
        """The to-dos get the session of the batch; their own is ignored, also when the batch has none."""
        body = read(request.environ, body=models.BatchCreate, max_depth=self._max_depth).body
        news = [new_todo(task) for task in body.tasks]
        made = self._database.run(lambda session: batch_json(
            create_batch(session, body.session_id, body.reason, news, self._clock.now())))
        return plain_reply(made, 201)

    def page(self) -> Response:
        asked = read(request.environ, query=models.BatchQuery).query
        with self._database.reading() as session:
            batches, total = page_of_batches(session, asked.session_id, asked.page, asked.page_size)
            return plain_reply(page_json(map(batch_json, batches), total, asked.page, asked.page_size))

    def latest(self) -> Response:
        """The batch that was made last, or null: never a 404."""
        asked = read(request.environ, query=models.SessionQuery).query
        with self._database.reading() as session:
            batch = latest_batch(session, asked.session_id)
            return plain_reply(None if batch is None else batch_json(batch))

    def one(self, batch_id: str) -> Response:
        wanted = read(request.environ, path={"batch_id": (batch_id, models.ID)}).path["batch_id"]
        with self._database.reading() as session:
            batch = batch_of(session, wanted)
            if batch is None:
                raise BatchNotFound(f"Batch {wanted} not found")
            return plain_reply(batch_json(batch))

    def delete(self, batch_id: str) -> Response:
        """Its to-dos stay, and belong to no batch any more; with ``?tasks=true`` they go with it."""
        asked: Asked[models.BatchDeletion, None] = read(
            request.environ, path={"batch_id": (batch_id, models.ID)}, query=models.BatchDeletion)
        wanted = asked.path["batch_id"]
        was_there = self._database.run(lambda session: delete_batch(
            session, wanted, with_todos=asked.query.tasks, now=self._clock.now()))
        if not was_there:
            raise BatchNotFound(f"Batch {wanted} not found")
        return Response(status=204)
