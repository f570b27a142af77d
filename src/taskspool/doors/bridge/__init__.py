"""The bridge, port 8091: one queue over HTTP, in the two dialects its clients speak."""

from __future__ import annotations

from flask import Flask

from taskspool.doors.bridge.client_views import ClientViews
from taskspool.doors.bridge.control_views import ControlViews
from taskspool.doors.bridge.event_views import EventViews
from taskspool.doors.bridge.log_routes import log_routes
from taskspool.doors.bridge.log_views import TEXT_PATHS, LogViews
from taskspool.doors.bridge.overview_routes import overview_routes
from taskspool.doors.bridge.overview_views import OverviewViews
from taskspool.doors.bridge.registry_routes import registry_routes
from taskspool.doors.bridge.registry_views import RegistryViews
from taskspool.doors.bridge.routes import client_routes, control_routes, event_routes, worker_routes
from taskspool.doors.bridge.worker_views import WorkerViews
from taskspool.engine.lifecycle import Queue
from taskspool.settings import Settings
from taskspool.web import docs
from taskspool.web.app import build_app

PAGES = frozenset({"/"}) | docs.PAGES
EXPLAIN_MISSING = {
    "/api/tasks/": "no task has this id: ids are lower-case UUIDs, as POST /api/tasks returns them",
    "/api/batches/": "no batch has this id: ids are lower-case UUIDs, as POST /api/batches returns them",
    "/api/workers/": "there is /api/workers/:worker, and below it heartbeat, quiet, run, terminate",
    "/api/results/": "no task has this id: ids are lower-case UUIDs, as POST /api/tasks returns them",
}


def create_app(queue: Queue, settings: Settings) -> Flask:
    """The bridge over ``queue``, which the caller has started and will close."""
    overview = OverviewViews(queue, settings)
    routes = [*overview_routes(overview), *client_routes(ClientViews(queue, settings)),
              *control_routes(ControlViews(queue, settings)), *worker_routes(WorkerViews(queue, settings)),
              *event_routes(EventViews(queue, settings)), *log_routes(LogViews(queue, settings)),
              *registry_routes(RegistryViews(queue, settings))]
    overview.describe(routes)
    return build_app(__name__, settings, routes, pages=PAGES, texts=TEXT_PATHS, explain_missing=EXPLAIN_MISSING)
