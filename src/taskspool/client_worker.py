"""The verbs of a worker over HTTP: claim, heartbeat, complete, fail, release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from taskspool.client_call import Connection
from taskspool.client_wire import claims_of, given, task_path
from taskspool.clock import to_text
from taskspool.engine.lifecycle import KEEP
from taskspool.engine.task import Claim, JsonValue
from taskspool.engine.worker_record import RUN

LONG_POLL_SECONDS = 25.0
"""Longest single wait the bridge grants; longer waits are made of several."""


class Claims(list[Claim]):
    """The tasks that were given, and what the worker is to do: ``state`` is run, quiet or terminate."""

    def __init__(self, claims: Sequence[Claim], state: str) -> None:
        super().__init__(claims)
        self.state = state


class WorkerCalls(Connection):
    """What a worker asks of the bridge."""

    def next(self, worker: str, *, types: Sequence[str] | None = None,
             max: int = 1, wait: float = 0.0,  # noqa: A002  # the word of the wire
             lease: int | None = None, request_id: str | None = None,
             started_at: datetime | None = None) -> Claims:
        """Claim up to ``max`` tasks of ``types`` (None: any), waiting up to ``wait`` (0..25) seconds for the first.

        Never repeated by itself: a claim whose answer was lost comes back when its lease runs out. Or, at once, to who
        asks again with the same ``request_id``. ``started_at``: see ``report_worker``.
        """
        body = given(worker_id=worker, types=None if types is None else list(types), max=max,
                     wait=min(wait, LONG_POLL_SECONDS), lease=lease, request_id=request_id,
                     started_at=None if started_at is None else to_text(started_at))
        answer = self._call("POST", "/api/tasks/next", body, retries=0, read_margin=wait)
        return Claims(claims_of(answer, worker), str(answer.get("state") or RUN))

    def heartbeat(self, task_id: str, token: str, *, progress: float | None = None, message: str | None = None,
                  checkpoint: JsonValue = KEEP) -> dict[str, Any]:
        """The lease starts anew: ``{lease_expires_at, cancel_requested, ...}``. Raises LeaseLost: stop working on it.

        ``progress`` in 0..100 and ``message`` for people are shown to who looks; ``checkpoint`` is kept for the next
        attempt. ``cancel_requested``: stop, and ``release`` it.
        """
        body = given(lease_token=token, progress=progress, message=message)
        if checkpoint is not KEEP:
            body["checkpoint"] = checkpoint
        return self._call("POST", task_path(task_id, "heartbeat"), body)

    def heartbeat_worker(self, worker: str, leases: Mapping[str, str], *,
                         timeout: float | None = None) -> dict[str, Any]:
        """One beat for all of ``leases`` (task id -> token): ``{lost: [task ids], cancel: [task ids], ...}``."""
        running = [{"task_id": task_id, "lease_token": token} for task_id, token in leases.items()]
        path = f"/api/workers/{quote(worker, safe='')}/heartbeat"
        return self._call("POST", path, {"running": running}, timeout=timeout)

    def complete(self, task_id: str, token: str, worker: str, data: JsonValue) -> dict[str, Any]:
        """Hand in the result. The same token again is answered again; any other raises LeaseLost."""
        body = {"worker_id": worker, "status": "success", "data": data, "lease_token": token}
        return self._call("POST", task_path(task_id, "result"), body)

    def fail(self, task_id: str, token: str, worker: str, message: str, *, retryable: bool = True,
             retry_after: float | None = None, data: JsonValue = None) -> dict[str, Any]:
        """Say that the attempt failed: it is tried again while retries are left, else it is dead with a result."""
        body = given(worker_id=worker, status="error", error_message=message, data=data, lease_token=token,
                     retryable=retryable, retry_after=retry_after)
        return self._call("POST", task_path(task_id, "result"), body)

    def release(self, task_id: str, token: str, *, delay: float = 0.0, reason: str = "",
                timeout: float | None = None) -> dict[str, Any]:
        """Give the task back undone, to wait ``delay`` seconds; it costs no attempt. Raises LeaseLost."""
        body = {"lease_token": token, "delay": delay, "reason": reason}
        return self._call("POST", task_path(task_id, "release"), body, timeout=timeout)
