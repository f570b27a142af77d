"""Managed tasks, port 8084: background jobs of a knowledge base, as the clients of seed 004 know them."""

from __future__ import annotations

from flask import Flask

from taskspool.doors.managed.description import description_of
from taskspool.doors.managed.dialect import DIALECT
from taskspool.doors.managed.metrics_routes import monitoring_routes
from taskspool.doors.managed.polling_views import PollingViews, polling_routes
from taskspool.doors.managed.routes import stats_routes, task_routes
from taskspool.doors.managed.stats_views import StatsViews
from taskspool.doors.managed.task_views import TaskViews
from taskspool.doors.managed.uploads_routes import upload_routes
from taskspool.engine.lifecycle import Queue
from taskspool.settings import Settings
from taskspool.web import docs
from taskspool.web.app import build_app
from taskspool.web.metrics import HttpMetrics


def create_app(queue: Queue, settings: Settings) -> Flask:
    """The door over ``queue``, which the caller has started and will close."""
    tasks = TaskViews(queue, settings)
    http = HttpMetrics()
    routes = [*task_routes(tasks), *stats_routes(StatsViews(queue, settings)), *polling_routes(PollingViews(tasks)),
              *upload_routes(queue, settings, tasks.submit), *monitoring_routes(queue, settings, http)]
    pages = docs.docs_routes(lambda: description_of(routes))
    return build_app(__name__, settings, [*routes, *pages], pages=docs.PAGES, dialect=DIALECT, observe=http.observe)
