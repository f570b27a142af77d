"""The registry of workers over HTTP: a worker's report of itself, who is alive, and what workers are told."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from taskspool.client_call import Connection
from taskspool.client_wire import given
from taskspool.clock import to_text
from taskspool.engine.worker_record import RUN, WorkerReport


class RegistryCalls(Connection):
    """What is asked and said about workers."""

    def report_worker(self, report: WorkerReport, *, timeout: float | None = None) -> str:
        """Say what a worker is, as a sign of life; what it is to do: ``run``, ``quiet`` or ``terminate``."""
        started_at = None if report.started_at is None else to_text(report.started_at)
        body = given(
            types=None if report.types is None else list(report.types), kind=report.kind, host=report.host,
            pid=report.pid, version=report.version, concurrency=report.concurrency, state=report.state,
            started_at=started_at, done=report.done, failed=report.failed, labels=dict(report.labels))
        answer = self._call("POST", worker_path(report.worker, "heartbeat"), body, timeout=timeout, retries=0)
        return str(answer.get("state") or RUN)

    def workers(self) -> list[dict[str, Any]]:
        """All workers that are known, by name: ``{worker_id, kind, state, is_alive, types, running, ...}``."""
        return list(self._call("GET", "/api/workers")["workers"])

    def worker(self, worker: str) -> dict[str, Any]:
        """One of them. Raises WorkerNotFound."""
        return self._call("GET", worker_path(worker))

    def order_worker(self, worker: str, order: str, *, by: str | None = None,
                     reason: str | None = None) -> dict[str, Any]:
        """Tell a live worker to take no new tasks (``quiet``), to go on (``run``), or to end (``terminate``).

        Raises WorkerNotFound.
        """
        return self._call("POST", worker_path(worker, order), given(by=by, reason=reason))


def worker_path(worker: str, verb: str = "") -> str:
    return f"/api/workers/{quote(worker, safe='')}" + (f"/{verb}" if verb else "")
