"""What workers call: take a task, say that they live, finish it or give it back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.bridge import wire
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.doors.bridge.models import Beat, Beats, ClaimRequest, Finish, Release
from taskspool.engine.lifecycle import ANONYMOUS
from taskspool.engine.task import Claim, Result, check_name, is_task_id
from taskspool.errors import LeaseLost, TaskNotFound
from taskspool.web import waiting
from taskspool.web.reply import reply_bytes
from taskspool.web.waiting import SEAT, Leave, Parked

WORKER_NAME = "HTTP_X_WORKER_NAME"


class WorkerViews(Asking):
    def next_posted(self) -> Response:
        """POST /api/tasks/next, both dialects."""
        return self._next(self.body(ClaimRequest), is_bare=False)

    def next_got(self) -> Response:
        """GET /api/tasks/next, dialect B: the same, asked by query."""
        return self._next(self.query(ClaimRequest, lists=("types",), numbers=("max", "wait", "lease")), is_bare=True)

    def _next(self, asked: ClaimRequest, *, is_bare: bool) -> Response:
        seconds, headers = self.wait_seconds(asked.wait)
        claims = self.queue.claim(_worker(asked.worker) or ANONYMOUS, types=asked.types, max_tasks=asked.max,
                                  lease_seconds=asked.lease)
        if claims:
            seat = request.environ.get(SEAT)
            if seat is not None:
                seat.give_back = partial(self._give_back, claims)
        elif seconds and waiting.may_wait(request.environ):
            return waiting.park(request.environ, Parked(seconds, partial(self._await_task, asked.types)))
        return reply_bytes(wire.claims_body(claims, self.queue.clock.now(), is_bare=is_bare), headers=headers)

    def claim(self, task_id: str) -> Response:
        """Exactly this task, nothing else."""
        asked = self.body(ClaimRequest)
        claim = self.queue.claim_one(task_id, _worker(asked.worker) or ANONYMOUS, lease_seconds=asked.lease)
        return self.reply({"success": True, "task": wire.claim_json(claim)})

    def finish(self, task_id: str) -> Response:
        """POST /api/tasks/:id/result, both dialects, with a lease token or without."""
        body = self.body(Finish)
        result = self._finish(task_id, body)
        if result is None:
            return self.reply({"success": True, "task_id": task_id, "status": "pending", "will_retry": True,
                               "message": "failure noted; the task will be tried again"})
        status = "completed" if result.is_success else "failed"
        return self.reply({"success": True, "task_id": task_id, "status": status, "will_retry": False,
                           "message": f"result stored: the task is {status}"})

    def _finish(self, task_id: str, body: Finish) -> Result | None:
        failure = wire.failure_of(body)
        if body.lease_token is None:
            return self.queue.finish_without_token(task_id, _worker(body.worker), body.data, failure)
        if failure is None:
            return self.queue.complete(task_id, body.lease_token, body.data)
        return self.queue.fail(task_id, body.lease_token, failure)

    def beat(self, task_id: str) -> Response:
        """The lease starts anew."""
        lease = self.queue.extend(task_id, self.body(Beat).lease_token)
        return self.reply({
            "success": True, "task_id": task_id, "lease_expires_at": wire.expires_at(lease, self.queue.clock.now()),
            "cancel_requested": False, "next_beat": wire.heartbeat_seconds(lease),
        })

    def beats(self, worker: str) -> Response:
        """One sign of life for all the tasks of a worker."""
        check_name("worker", worker)
        lost: list[str] = []
        leases: dict[str, str] = {}
        next_beat = float(self.queue.lease_seconds) / 3
        for running in self.body(Beats).running:
            try:
                if not is_task_id(running.task_id):
                    raise TaskNotFound(running.task_id)
                lease = self.queue.extend(running.task_id, running.lease_token)
            except (LeaseLost, TaskNotFound):  # one lost task is news for its worker, not an error of this request
                lost.append(running.task_id)
                continue
            leases[running.task_id] = wire.expires_at(lease, self.queue.clock.now())
            next_beat = min(next_beat, wire.heartbeat_seconds(lease))
        return self.reply({"worker": worker, "state": "run", "cancel": [], "lost": lost, "leases": leases,
                           "next_beat": round(next_beat, 3)})

    def release(self, task_id: str) -> Response:
        """Given back unfinished; it costs no attempt."""
        body = self.body(Release)
        self.queue.release(task_id, body.lease_token, delay_seconds=body.delay)
        return self.reply({"success": True, "task_id": task_id, "status": "pending",
                           "message": "the task waits for another worker"})

    def _give_back(self, claims: Collection[Claim]) -> None:
        """The worker left before it could be told what it got."""
        for claim in claims:
            self.queue.release(claim.task.id, claim.lease.token)

    def _await_task(self, types: Collection[str] | None, wake: Callable[[], Any]) -> Leave:
        bell = self.queue.bell
        waiter = bell.wait_for_task(wake, types)
        return lambda took: bell.leave(waiter, took=took)


def _worker(named: str | None) -> str | None:
    """The worker's name: from the body, else from the header of dialect B."""
    return named or header_text(WORKER_NAME) or None
