"""Numbers: of tasks, of workers, of the line; and whether each part of the service works."""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.managed import wire
from taskspool.doors.managed.health import Checks
from taskspool.engine.figures import Figures
from taskspool.engine.index_query import Filter
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from taskspool.engine.worker_record import WorkerInfo
from taskspool.settings import Settings
from taskspool.web.reply import reply

SERVICE, VERSION = "task-manager", "1.0.0"
"""What clients know this service by; ours is told by /openapi.json and /metrics."""
WAITING = (State.READY, State.SCHEDULED)


class StatsViews:
    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.queue = queue
        self._checks = Checks(queue, settings)

    def tasks(self) -> Response:
        return reply(stats_json(self.queue.figures(request.args.get("kb_id") or None)))

    def system(self) -> Response:
        """With the workers that live; one that is gone is only counted, until it is forgotten."""
        figures, known = self.queue.figures(), self.queue.workers.list()
        alive = [info for info in known if info.is_alive]
        busy = sum(bool(info.running) for info in alive)
        mean = figures.mean_seconds
        means = self.queue.mean_seconds_by_worker()
        return reply({
            "total_workers": len(known), "active_workers": len(alive), "idle_workers": len(alive) - busy,
            "busy_workers": busy, "queue_size": queued_of(figures),
            "processing_rate": round(60 / mean, 2) if mean else 0.0,
            "workers": [worker_json(info, means.get(info.name, 0.0)) for info in alive],
            "task_stats": stats_json(figures),
        })

    def queue_info(self) -> Response:
        """How many are queued, of one priority or of all; a word that is no priority has none."""
        word = request.args.get("priority") or None
        key = "task_queue" if word is None else f"task_queue:{word}"
        return reply({"queue_size": self._queued(word), "queue_key": key})

    def _queued(self, word: str | None) -> int:
        if word is None:
            return queued_of(self.queue.figures())
        if word not in wire.PRIORITY:
            return 0
        index, levels = self.queue.store.index, frozenset({wire.PRIORITY[word]})
        ready = Filter(states=frozenset({State.READY}), priorities=levels)
        later = Filter(states=frozenset({State.SCHEDULED}), priorities=levels, is_retrying=False)
        return sum(index.listing(wanted, limit=0).total for wanted in (ready, later))

    def health(self) -> Response:
        """503 when a part does not work; what is wrong stands beside it."""
        parts = self._checks.all()
        errors = [str(part["error"]) for part in parts.values() if "error" in part]
        told: dict[str, Any] = {"status": "unhealthy" if errors else "healthy", "service": SERVICE,
                                "version": VERSION, "details": parts}
        return reply(told | ({"error": "; ".join(dict.fromkeys(errors))} if errors else {}), 503 if errors else 200)


def queued_of(figures: Figures) -> int:
    return sum(figures.by_state.get(state, 0) for state in WAITING) - figures.retrying


def stats_json(figures: Figures) -> dict[str, Any]:
    """``success_rate`` is the share of all tasks, in percent, that are completed: 1180 of 1250 are 94.4."""
    counts = {wire.STATUS[state]: figures.by_state.get(state, 0) for state in State if state not in WAITING}
    counts |= {"queued": queued_of(figures), wire.RETRYING: figures.retrying}
    total = sum(counts.values())
    return {
        "total_tasks": total, "queued_tasks": counts["queued"], "processing_tasks": counts["processing"],
        "completed_tasks": counts["completed"], "failed_tasks": counts["failed"],
        "avg_process_time": round(figures.mean_seconds or 0.0, 3),
        "success_rate": round(100 * counts["completed"] / total, 2) if total else 0.0,
        "status_breakdown": {word: count for word, count in counts.items() if count},
        "type_breakdown": {kind: count for kind, count in figures.by_type.items() if count},
    }


def worker_json(info: WorkerInfo, mean_seconds: float) -> dict[str, Any]:
    """A worker under the names of seed 004."""
    report = info.report
    started_at = report.started_at or info.first_seen_at
    return {
        "id": info.name, "status": "busy" if info.running else "idle",
        "current_task_id": info.running[0] if info.running else "", "tasks_processed": report.done + report.failed,
        "tasks_succeeded": report.done, "tasks_failed": report.failed,
        "last_heartbeat": wire.time_text(max(info.last_seen_at, started_at)), "started_at": wire.time_text(started_at),
        "average_task_time": round(mean_seconds, 3),
    }
