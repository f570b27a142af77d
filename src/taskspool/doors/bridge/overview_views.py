"""What anybody calls to see how things stand: the index, health, statistics, who works on what."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from flask import render_template, request
from werkzeug.wrappers import Response

from taskspool import shapes
from taskspool.clock import to_text
from taskspool.doors.bridge import wire
from taskspool.doors.bridge.asking import Asking
from taskspool.doors.bridge.answers import ErrorAnswer
from taskspool.engine.lifecycle import Queue
from taskspool.engine.queues import queues_below
from taskspool.errors import StoreUnavailable
from taskspool.settings import Settings
from taskspool.web.openapi import describe
from taskspool.web.pages import page
from taskspool.web.route import Route
from taskspool.web.version import installed_version

log = logging.getLogger("taskspool.web")

_PLACE = re.compile(r"<(?:[a-z_]+:)?([a-z_]+)>")

TAGS = ("tasks", "batches", "workers", "control", "events", "logs", "overview", "older dialect")
DESCRIPTION = "A task queue you can ls: programs hand work to each other through one folder or one HTTP port."


class OverviewViews(Asking):
    def __init__(self, queue: Queue, settings: Settings) -> None:
        super().__init__(queue, settings)
        self.endpoints: Mapping[str, str] = {}
        self._routes: Sequence[Route] = ()
        self.version = installed_version()

    def describe(self, routes: Sequence[Route]) -> None:
        """Tell the index and the description what there is."""
        self._routes = routes
        self.endpoints = {f"{route.method} {colon_path(route.path)}": route.summary
                          for route in routes if route.is_documented}

    def index(self) -> Response:
        """JSON for programs, a page for browsers."""
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return page(render_template("index.html", **self._page_values()))
        return self.reply({"name": "taskspool", "version": self.version, "description": DESCRIPTION,
                           "endpoints": self.endpoints, "docs": "/docs", "openapi": "/openapi.json"})

    def health(self) -> Response:
        """Cheap: says that the server answers, and on what it works."""
        paused = self.queue.paused()
        return self.reply({"status": "ok", "service": "taskspool", "version": self.version,
                           **wire.folders_json(self.settings.folder), "durability": self.queue.store.durability,
                           "queue": self.settings.queue, "lease_seconds": self.settings.lease_seconds,
                           "paused": paused.queue is not None, "paused_types": sorted(paused.types)})

    def health_with_numbers(self) -> Response:
        """Dialect B: GET /api/health."""
        counts = wire.counts_json(self.queue.counts())
        return self.reply({
            "status": "ok", "service": "taskspool", "version": self.version, "queue_size": counts["pending"],
            "queue_urgent": counts["pending_urgent"], "queue_normal": counts["pending_normal"],
            "queue_low": counts["pending_low"], "results_count": counts["completed"], "timestamp": self._now(),
        })

    def stats(self) -> Response:
        """The numbers of both dialects, and what the index has counted: ``?type=``, ``?group=``, ``?minutes=``."""
        minutes = self.number("minutes", 60, 1, 2_880)
        workers = Counter(lease.worker for _, lease in self.queue.leases())
        return self.reply({**self._indexed(minutes), **wire.counts_json(self.queue.counts()),
                           **wire.folders_json(self.settings.folder), "workers": dict(workers),
                           "timestamp": self._now()})

    def _indexed(self, minutes: int) -> dict[str, Any]:
        """Nothing while the index cannot be asked: the older numbers do not need it."""
        try:
            told = self.queue.store.index.statistics(minutes=minutes)
        except StoreUnavailable as error:
            log.warning("statistics without the index: %s", error)
            return {}
        return shapes.statistics_json(told, request.args.getlist("type"), request.args.getlist("group"))

    def description(self) -> dict[str, Any]:
        return describe(self._routes, title="taskspool bridge", version=self.version, description=DESCRIPTION,
                        tags=TAGS, error=ErrorAnswer)

    def queues(self) -> Response:
        """Which queues there are below this root, whether they are served yet or not."""
        found = queues_below(self.settings)
        return self.reply({"queue": self.settings.queue, "count": len(found), "queues": [
            {"name": one.name, "counts": {state.value: number for state, number in one.counts.items()}}
            for one in found]})

    def inflight(self) -> Response:
        """What is being worked on, longest first."""
        now = self.queue.clock.now()
        held = [
            {"task_id": snapshot.task.id, "type": snapshot.task.type, "leased_at": to_text(lease.claimed_at),
             "worker": lease.worker, "age_sec": round((now - lease.claimed_at).total_seconds(), 3),
             "attempt": lease.attempt}
            for snapshot, lease in self.queue.leases()
        ]
        return self.reply({"count": len(held), "inflight": held})

    def _now(self) -> str:
        return to_text(self.queue.clock.now())

    def _page_values(self) -> dict[str, Any]:
        return {"version": self.version, "description": DESCRIPTION, "stats": wire.counts_json(self.queue.counts()),
                "folder": str(self.settings.folder.absolute()), "origin": request.host_url.rstrip("/"),
                "durability": self.settings.durability, "endpoints": self.endpoints}


def colon_path(path: str) -> str:
    """Flask's ``/api/tasks/<task_id:task_id>`` as people write it: ``/api/tasks/:id``."""
    return _PLACE.sub(lambda match: ":id" if match[1] == "task_id" else f":{match[1]}", path)
