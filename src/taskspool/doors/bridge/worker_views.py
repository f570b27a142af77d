"""What workers call: take a task, say that they live, finish it or give it back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.bridge import wire
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.doors.bridge.registry_models import WorkerBeat
from taskspool.doors.bridge.registry_views import report_of
from taskspool.doors.bridge.told_claims import ToldClaims
from taskspool.doors.bridge.worker_models import Beat, ClaimRequest, Complete, Fail, Finish, Release
from taskspool.engine.history import ANONYMOUS
from taskspool.engine.lifecycle import KEEP, Queue
from taskspool.engine.task import CancelRequest, Claim, Lease, Result, State, is_task_id
from taskspool.engine.worker_record import BEAT_SECONDS, RUN
from taskspool.errors import LeaseLost, TaskNotFound
from taskspool.settings import Settings
from taskspool.web import waiting
from taskspool.web.app import MORE_HEADERS
from taskspool.web.reply import reply_bytes
from taskspool.web.waiting import SEAT, Leave, Parked

WORKER_NAME = "HTTP_X_WORKER_NAME"
TASK_STATUS = "Task-Status"
ORDER = "taskspool.order"
"""Key of what the worker was to do when its request came."""


class WorkerViews(Asking):
    def __init__(self, queue: Queue, settings: Settings) -> None:
        super().__init__(queue, settings)
        self._told = ToldClaims(queue)
        self._orders_told: dict[str, str] = {}

    def next_posted(self) -> Response:
        """POST /api/tasks/next, both dialects."""
        return self._next(self.body(ClaimRequest), is_bare=False)

    def next_got(self) -> Response:
        """GET /api/tasks/next, dialect B: the same, asked by query."""
        return self._next(self.query(ClaimRequest, lists=("types",), numbers=("max", "wait", "lease")), is_bare=True)

    def _next(self, asked: ClaimRequest, *, is_bare: bool) -> Response:
        seconds, headers = self.wait_seconds(asked.wait)
        worker = _worker(asked.worker) or ANONYMOUS
        order = self.queue.workers.asked(worker, asked.types, asked.started_at)
        claims, is_again = self._claim(worker, asked, order)
        if claims and not is_again:
            seat = request.environ.get(SEAT)
            if seat is not None:
                seat.give_back = partial(self._give_back, claims)
        elif not claims and seconds and not self._is_news(worker, order) and waiting.may_wait(request.environ):
            return waiting.park(request.environ, Parked(seconds, partial(self._await_task, worker, asked)))
        self._note_told(worker, order)
        body = wire.claims_body(claims, self.queue.clock.now(), is_bare=is_bare, is_again=is_again, order=order)
        return reply_bytes(body, headers=headers)

    def _is_news(self, worker: str, order: str) -> bool:
        """Whether the worker has not been told of its order, or it came while this request was waiting."""
        return order != request.environ.setdefault(ORDER, order) or order != self._orders_told.get(worker, RUN)

    def _note_told(self, worker: str, order: str) -> None:
        if order != RUN:
            self._orders_told[worker] = order
        elif self._orders_told:
            self._orders_told.pop(worker, None)

    def _claim(self, worker: str, asked: ClaimRequest, order: str) -> tuple[list[Claim], bool]:
        """What there is for ``worker``, nothing new if it was told to be quiet; True: this very request was answered
        with it before."""
        def take() -> list[Claim]:
            if order != RUN:
                return []
            return self.queue.claim(worker, types=asked.types, max_tasks=asked.max, lease_seconds=asked.lease)

        return (take(), False) if asked.request_id is None else self._told.take((worker, asked.request_id), take)

    def claim(self, task_id: str) -> Response:
        """Exactly this task, nothing else."""
        asked = self.body(ClaimRequest)
        claim = self.queue.claim_one(task_id, _worker(asked.worker) or ANONYMOUS, lease_seconds=asked.lease)
        return self.reply({"success": True, "task": wire.claim_json(claim)})

    def finish(self, task_id: str) -> Response:
        """POST /api/tasks/:id/result, both dialects, with a lease token or without."""
        body = self.body(Finish)
        self._cancel_of(task_id)
        return self._finished(task_id, self._finish(task_id, body))

    def _finish(self, task_id: str, body: Finish) -> Result | None:
        failure = wire.failure_of(body)
        if body.lease_token is None:
            return self.queue.finish_without_token(task_id, _worker(body.worker), body.data, failure)
        if failure is None:
            return self.queue.complete(task_id, body.lease_token, body.data)
        return self.queue.fail(task_id, body.lease_token, failure)

    def complete(self, task_id: str) -> Response:
        """POST /api/tasks/:id/complete: it was done."""
        body = self.body(Complete)
        self._cancel_of(task_id)
        return self._finished(task_id, self.queue.complete(task_id, body.lease_token, body.data))

    def fail(self, task_id: str) -> Response:
        """POST /api/tasks/:id/fail: it could not be done."""
        body = self.body(Fail)
        self._cancel_of(task_id)
        return self._finished(task_id, self.queue.fail(task_id, body.lease_token, wire.failing(body)))

    def _finished(self, task_id: str, result: Result | None) -> Response:
        if result is None:
            return self.reply({"success": True, "task_id": task_id, "status": "pending", "will_retry": True,
                               "message": "failure noted; the task will be tried again"})
        status = wire.STATUS[result.state]
        return self.reply({"success": True, "task_id": task_id, "status": status, "will_retry": False,
                           "message": f"result stored: the task is {status}"})

    def beat(self, task_id: str) -> Response:
        """The lease starts anew; what the worker tells of its progress is kept."""
        lease = self._extend(task_id, self.body(Beat))
        self.queue.workers.lives(lease.worker)
        wanted = self._cancel_of(task_id)
        return self.reply({
            "success": True, "task_id": task_id, "lease_expires_at": wire.expires_at(lease, self.queue.clock.now()),
            "cancel_requested": wanted is not None, "reason": None if wanted is None else wanted.reason,
            "next_beat": wire.heartbeat_seconds(lease),
        })

    def _extend(self, task_id: str, beat: Beat) -> Lease:
        told = beat.progress
        percent, message = (None, None) if told is None else (told.percent, told.message)
        checkpoint = beat.checkpoint if "checkpoint" in beat.model_fields_set else KEEP
        return self.queue.extend(task_id, beat.lease_token, percent=percent, message=beat.message or message,
                                 checkpoint=checkpoint)

    def _cancel_of(self, task_id: str) -> CancelRequest | None:
        """Who wants the task cancelled, if anybody: every answer to its worker says so in a header."""
        wanted = self.queue.cancel_request(task_id)
        if wanted is not None:
            request.environ[MORE_HEADERS] = [(TASK_STATUS, wire.CANCEL_REQUESTED)]
        return wanted

    def beats(self, worker: str) -> Response:
        """One sign of life for a worker and all its tasks."""
        body = self.body(WorkerBeat)
        order = self.queue.workers.beat(worker, report_of(body))
        lost: list[str] = []
        cancel: list[str] = []
        leases: dict[str, str] = {}
        next_beat = min(BEAT_SECONDS, float(self.queue.lease_seconds) / 3)
        for running in body.running:
            try:
                if not is_task_id(running.task_id):
                    raise TaskNotFound(running.task_id)
                lease = self._extend(running.task_id, running)
            except (LeaseLost, TaskNotFound):  # one lost task is news for its worker, not an error of this request
                lost.append(running.task_id)
                continue
            leases[running.task_id] = wire.expires_at(lease, self.queue.clock.now())
            next_beat = min(next_beat, wire.heartbeat_seconds(lease))
            if self.queue.cancel_request(running.task_id) is not None:
                cancel.append(running.task_id)
        return self.reply({"worker": worker, "state": order, "cancel": cancel, "lost": lost, "leases": leases,
                           "next_beat": round(next_beat, 3)})

    def release(self, task_id: str) -> Response:
        """Given back unfinished; it costs no attempt. One that is to be cancelled ends with that."""
        body = self.body(Release)
        wanted = self._cancel_of(task_id)
        self.queue.release(task_id, body.lease_token, delay_seconds=body.delay, reason=body.reason or None)
        if wanted is not None:
            return self.reply({"success": True, "task_id": task_id, "status": wire.STATUS[State.CANCELLED],
                               "message": "the task is cancelled, as was asked for"})
        return self.reply({"success": True, "task_id": task_id, "status": "pending",
                           "message": "the task waits for another worker"})

    def _give_back(self, claims: Collection[Claim]) -> None:
        """The worker left before it could be told what it got."""
        self._told.forget(claims)
        for claim in claims:
            self.queue.release(claim.task.id, claim.lease.token)

    def _await_task(self, worker: str, asked: ClaimRequest, wake: Callable[[], Any]) -> Leave:
        bell = self.queue.bell
        is_running = self.queue.workers.asked(worker, asked.types, asked.started_at) == RUN
        waiter = bell.wait_for_task(wake, asked.types if is_running else (), worker)
        return lambda took: bell.leave(waiter, took=took)


def _worker(named: str | None) -> str | None:
    """The worker's name: from the body, else from the header of dialect B."""
    return named or header_text(WORKER_NAME) or None
