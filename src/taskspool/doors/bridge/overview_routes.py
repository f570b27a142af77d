"""Every address of the bridge for people and for those who watch: what this is, health, numbers, pages."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from taskspool.doors.bridge import answers
from taskspool.doors.bridge.overview_views import OverviewViews
from taskspool.doors.bridge.replies import Replies, asked, text
from taskspool.web.docs import docs_routes
from taskspool.web.pages import files_in, files_view
from taskspool.web.route import Parameter, Route, Work

_MINUTES = Parameter("minutes", {"type": "integer", "minimum": 1, "maximum": 2_880, "default": 60},
                     "how far back the throughput goes")


def overview_routes(views: OverviewViews) -> list[Route]:
    def ok(model: type[BaseModel]) -> Replies:
        return asked({200: ("ok", model)})

    return [
        Route("GET", "/", views.index, "What this is", Work.SLOW, "overview", replies=ok(answers.Index)),
        Route("GET", "/health", views.health, "Whether the bridge answers", tag="overview",
              replies=ok(answers.Health)),
        Route("GET", "/api/health", views.health_with_numbers, "Health, with numbers (older dialect)", Work.SLOW,
              "older dialect", replies=ok(answers.Health)),
        Route("GET", "/api/stats", views.stats, "Counts, rates, times and throughput", Work.SLOW, "overview",
              parameters=(text("type", "by_type: only this one; may be repeated"),
                          text("group", "by_group: only this one; may be repeated"), _MINUTES),
              replies=ok(answers.Stats)),
        Route("GET", "/api/inflight", views.inflight, "Who works on what", Work.SLOW, "overview",
              replies=ok(answers.Inflight)),
        Route("GET", "/queues", views.queues, "The queues below this root", Work.SLOW, "overview",
              replies=ok(answers.QueueList)),
        *docs_routes(views.description),
        Route("GET", "/assets/<name>", files_view(files_in(
            Path(__file__).parent / "assets", "page.css", "page.js", "mark.svg")), "", Work.SLOW, is_documented=False),
    ]
