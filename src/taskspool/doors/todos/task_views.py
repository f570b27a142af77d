"""To-dos over HTTP: one, many, a page of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import request
from werkzeug.wrappers import Response

from taskspool.clock import Clock
from taskspool.doors.todos import models
from taskspool.doors.todos.wire import page_json, task_json
from taskspool.errors import NotFound, TaskNotFound
from taskspool.records.database import Database
from taskspool.records.models.todos import Todo
from taskspool.records.todo_changes import CHANGEABLE, NewTodo, change_todos, create_todo, delete_todos
from taskspool.records.todo_reading import todo_of
from taskspool.records.todos import TodoFilter, page_of_todos
from taskspool.settings import Settings
from taskspool.web.reply import plain_reply
from taskspool.web.validation import Asked, read


class TaskViews:
    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._max_depth = settings.max_depth
        self._clock = clock

    def create(self) -> Response:
        body = read(request.environ, body=models.TaskCreate, max_depth=self._max_depth).body
        made = self._database.run(
            lambda session: task_json(create_todo(session, new_todo(body), body.session_id, self._clock.now())))
        return plain_reply(made, 201)

    def page(self) -> Response:
        asked = read(request.environ, query=models.TaskQuery).query
        with self._database.reading() as session:
            todos, total = page_of_todos(session, _filter_of(asked), asked.sort_by.value, asked.order.value,
                                         asked.page, asked.page_size)
            return plain_reply(page_json(map(task_json, todos), total, asked.page, asked.page_size))

    def one(self, task_id: str) -> Response:
        wanted = _id(task_id)
        with self._database.reading() as session:
            todo = todo_of(session, wanted)
            if todo is None:
                raise _unknown(wanted)
            return plain_reply(task_json(todo))

    def change(self, task_id: str) -> Response:
        asked: Asked[None, models.TaskUpdate] = read(
            request.environ, path={"task_id": (task_id, models.ID)}, body=models.TaskUpdate, max_depth=self._max_depth)
        wanted = asked.path["task_id"]
        changed = self._changed([(wanted, changes_of(asked.body))])
        if not changed:
            raise _unknown(wanted)
        return plain_reply(changed[0])

    def change_many(self) -> Response:
        """Unknown ids are skipped; the to-dos come back in the order of the request."""
        body = read(request.environ, body=models.BulkUpdate, max_depth=self._max_depth).body
        return plain_reply({"updated": self._changed([(one.id, changes_of(one)) for one in body.tasks])})

    def delete(self, task_id: str) -> Response:
        wanted = _id(task_id)
        if not self._database.run(lambda session: delete_todos(session, [wanted], self._clock.now())):
            raise _unknown(wanted)
        return Response(status=204)

    def delete_many(self) -> Response:
        body = read(request.environ, body=models.BulkDelete, max_depth=self._max_depth).body
        count = self._database.run(lambda session: delete_todos(session, set(body.ids), self._clock.now()))
        return plain_reply({"deleted_count": count})

    def _changed(self, changes: list[tuple[UUID, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        return self._database.run(lambda session: _shown(change_todos(session, changes, self._clock.now())))


def _shown(todos: list[Todo]) -> list[dict[str, Any]]:
    return [task_json(todo) for todo in todos]


def _filter_of(asked: models.TaskQuery) -> TodoFilter:
    status = None if asked.status is None else asked.status.value
    return TodoFilter(asked.session_id, status, asked.batch_id, asked.q)


def new_todo(body: models.TaskCreate) -> NewTodo:
    return NewTodo(body.title, body.description, body.status.value,
                   None if body.priority is None else body.priority.value, body.due_date)


def changes_of(body: models.TaskUpdate) -> dict[str, Any]:
    """Name -> new value. null in a body changes nothing; what ``clear`` names becomes null."""
    given = {name: value for name in CHANGEABLE if (value := getattr(body, name)) is not None}
    plain = {name: getattr(value, "value", value) for name, value in given.items()}
    return plain | dict.fromkeys(body.clear)


def _id(text: str) -> UUID:
    value: UUID = read(request.environ, path={"task_id": (text, models.ID)}).path["task_id"]
    return value


def _unknown(task_id: UUID) -> NotFound:
    return TaskNotFound(f"Task {task_id} not found")
