"""What a door tells Prometheus about the requests it answered, and the text all of its metrics are told in.

Every process counts its own requests and is scraped at its own address: Prometheus adds them up
(``sum without (instance)``). What is told of tasks comes out of the queue and is the same wherever it is asked: see
``doors.managed.metrics``. Labels are bounded: methods and routes as they are declared, whatever was asked.
Text format 0.0.4, or OpenMetrics for who asks for it (prometheus.io/docs/instrumenting/exposition_formats).
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry, Counter, GCCollector, Histogram, Info, PlatformCollector, ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from werkzeug.wrappers import Response

from taskspool.web.version import installed_version

BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Around what is promised (0.05 s), and up to the longest poll."""
NO_ROUTE = "none"
"""The route of a request to an address that does not exist."""
OTHER = "other"
"""The method of a request that is none of HTTP's usual ones."""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class HttpMetrics:
    """The registry of one door in one process. ``observe`` is what ``build_app`` tells of every answer."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # of a second series beside each counter
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Info("taskspool_build", "Which taskspool this is.", registry=self.registry).info(
            {"version": installed_version()})
        self._requests = Counter("http_requests_total", "Requests answered.", ("method", "route", "status"),
                                 registry=self.registry)
        self._seconds = Histogram("http_request_duration_seconds", "From a request's last byte to its answer's first.",
                                  ("method", "route"), buckets=BUCKETS_SECONDS, registry=self.registry)
        self._kept: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def observe(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count one answer. ``route``: the path as it was declared; None: there is no such path."""
        asked = (method if method in METHODS else OTHER, route or NO_ROUTE, status)
        kept = self._kept.get(asked)
        if kept is None:
            kept = self._kept[asked] = (self._requests.labels(asked[0], asked[1], str(status)),
                                        self._seconds.labels(*asked[:2]))
        kept[0].inc()
        kept[1].observe(seconds)


def told(registry: CollectorRegistry, accept: str) -> Response:
    """All metrics of ``registry``, as text that ``accept`` (a request's header) asks for."""
    encode, content_type = choose_encoder(accept)
    return Response(encode(registry), content_type=content_type)
