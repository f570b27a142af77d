"""The addresses of the registry of workers."""

from __future__ import annotations

from taskspool.doors.bridge.registry_models import OrderWish, WorkerAnswer, WorkerList
from taskspool.doors.bridge.registry_views import RegistryViews
from taskspool.doors.bridge.replies import Replies, asked, stored
from taskspool.engine.worker_record import QUIET, RUN, TERMINATE
from taskspool.web.route import Route, Work

WORKER = "/api/workers/<worker>"
ORDERED = "/api/workers/<name:worker>"


def registry_routes(views: RegistryViews) -> list[Route]:
    """Looking at workers, and telling them what to do."""
    one: Replies = {200: ("the worker", WorkerAnswer), 404: ("WORKER_NOT_FOUND: unknown, or gone", None)}
    summaries = {QUIET: "Have a worker take no new tasks; what runs goes on", RUN: "Have a quiet worker go on",
                 TERMINATE: "Have a worker end, as with SIGTERM"}
    return [
        Route("GET", "/api/workers", views.list, "Who works here, and on what", Work.SLOW, "workers",
              replies=asked({200: ("all that are known", WorkerList)})),
        Route("GET", WORKER, views.look, "Look at one worker", Work.SLOW, "workers", replies=asked(one)),
        *(Route("POST", f"{ORDERED}/{order}", views.ordering(order), summary, Work.SLOW, "workers", body=OrderWish,
                is_body_optional=True, replies=stored(one)) for order, summary in summaries.items()),
    ]
