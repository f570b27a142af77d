"""GET /metrics: the door's own requests, its tasks and workers, for Prometheus."""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.managed.metrics import QueueCollector
from taskspool.doors.managed.models import DOCUMENTED_TYPES
from taskspool.engine.lifecycle import Queue
from taskspool.settings import Settings
from taskspool.web.metrics import HttpMetrics, told
from taskspool.web.route import Parameter, Route, Work

_ACCEPT = Parameter("Accept", {"type": "string"}, "application/openmetrics-text gives OpenMetrics", "header")


def monitoring_routes(queue: Queue, _settings: Settings, http: HttpMetrics) -> list[Route]:
    """``http`` counts the requests of this door (``build_app(observe=http.observe)``)."""
    http.registry.register(QueueCollector(queue, DOCUMENTED_TYPES))

    def metrics() -> Response:
        return told(http.registry, request.headers.get("Accept", ""))

    return [Route("GET", "/metrics", metrics, "Metrics for Prometheus, text 0.0.4 or OpenMetrics",
                  Work.SLOW, tag="monitoring", parameters=(_ACCEPT,), replies={200: ("text/plain", None)})]

