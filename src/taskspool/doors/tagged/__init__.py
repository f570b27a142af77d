"""Tagged tasks, port 8002: rows with priority and tags, done by workers, tried again when they fail."""

from __future__ import annotations

from typing import Any

from flask import Flask

from taskspool.doors.tagged.answers import ErrorAnswer, ValidationAnswer
from taskspool.doors.tagged.dialect import DIALECT
from taskspool.doors.tagged.routes import health_routes, task_routes
from taskspool.doors.tagged.views import HealthViews, TaskViews
from taskspool.engine.lifecycle import Queue
from taskspool.records.database import Database
from taskspool.settings import Settings
from taskspool.web import docs, redoc
from taskspool.web.app import build_app
from taskspool.web.openapi import describe
from taskspool.web.version import installed_version

DESCRIPTION = ("Tasks with priority, tags and a time limit. Workers do them, by priority; what fails is tried again up "
               "to retry_limit times. The status is the worker's: no client changes it.")


def create_app(queue: Queue, database: Database, settings: Settings) -> Flask:
    """The tagged tasks of ``database``, executed by ``queue``; the caller has opened both and will close them."""
    routes = [*task_routes(TaskViews(queue, database, settings)), *health_routes(HealthViews(database))]

    def description() -> dict[str, Any]:
        return describe(routes, title="taskspool: tagged tasks", version=installed_version(), description=DESCRIPTION,
                        tags=("tasks", "tags", "proof of concept", "overview"), error=ErrorAnswer,
                        errors={422: ValidationAnswer})

    return build_app(__name__, settings, [*routes, *docs.docs_routes(description), *redoc.redoc_routes(description)],
                     pages=docs.PAGES | redoc.PAGES, dialect=DIALECT)
