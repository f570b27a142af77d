"""The to-dos, port 8001: a list of what is to be done, in batches and sessions. Nothing executes them."""

from __future__ import annotations

from typing import Any

from flask import Flask

from taskspool.clock import Clock, SystemClock
from taskspool.doors.todos.answers import ErrorAnswer, ValidationAnswer
from taskspool.doors.todos.batch_views import BatchViews
from taskspool.doors.todos.dialect import DIALECT
from taskspool.doors.todos.event_views import EventViews
from taskspool.doors.todos.overview_views import VERSION, OverviewViews
from taskspool.doors.todos.routes import batch_routes, overview_routes, task_routes
from taskspool.doors.todos.task_views import TaskViews
from taskspool.records.database import Database
from taskspool.settings import Settings
from taskspool.web import docs, redoc
from taskspool.web.app import build_app
from taskspool.web.openapi import describe
from taskspool.web.route import Route

TITLE = "aklp-task"
"""The title of the original's description: generated clients are named for it."""
DESCRIPTION = "To-dos of a session, one by one or in batches. Nothing executes them: clients tell how far they are."


def create_app(database: Database, settings: Settings, clock: Clock | None = None) -> Flask:
    """The to-dos in ``database``, which the caller has opened and will close."""
    clock = clock or SystemClock()
    routes = [*task_routes(TaskViews(database, settings, clock)), *batch_routes(BatchViews(database, settings, clock)),
              *overview_routes(OverviewViews(database, clock), EventViews(database))]

    def description() -> dict[str, Any]:
        return _described(routes)

    return build_app(__name__, settings, [*routes, *docs.docs_routes(description), *redoc.redoc_routes(description)],
                     pages=docs.PAGES | redoc.PAGES, dialect=DIALECT)


def _described(routes: list[Route]) -> dict[str, Any]:
    return describe(routes, title=TITLE, version=VERSION, description=DESCRIPTION,
                    tags=("tasks", "batches", "overview"), error=ErrorAnswer, errors={422: ValidationAnswer})
