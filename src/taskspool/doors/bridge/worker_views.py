"""What workers call: take a task, say that they live, finish it or give it back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.bridge import wire
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.doors.bridge.told_claims import ToldClaims
from taskspool.doors.bridge.worker_models import Beat, Beats, ClaimRequest, Complete, Fail, Finish, Release
from taskspool.engine.history import ANONYMOUS
from taskspool.engine.lifecycle import KEEP, Queue
from taskspool.engine.task import CancelRequest, Claim, Lease, Result, State, check_name, is_task_id
from taskspool.errors import LeaseLost, TaskNotFound
from taskspool.settings import Settings
from taskspool.web import waiting
from taskspool.web.app import MORE_HEADERS
from taskspool.web.reply import reply_bytes
from taskspool.web.waiting import SEAT, Leave, Parked

WORKER_NAME = "HTTP_X_WORKER_NAME"
TASK_STATUS = "Task-Status"


class WorkerViews(Asking):
    def __init__(self, queue: Queue, settings: Settings) -> None:
        super().__init__(queue, settings)
        self._told = ToldClaims(queue)

    def next_posted(self) -> Response:
        """POST /api/tasks/next, both dialects."""
        return self._next(self.body(ClaimRequest), is_bare=False)

    def next_got(self) -> Response:
        """GET /api/tasks/next, dialect B: the same, asked by query."""
        return self._next(self.query(ClaimRequest, lists=("types",), numbers=("max", "wait", "lease")), is_bare=True)

    def _next(self, asked: ClaimRequest, *, is_bare: bool) -> Response:
        seconds, headers = self.wait_seconds(asked.wait)
        claims, is_again = self._claim(_worker(asked.worker) or ANONYMOUS, asked)
        if claims and not is_again:
            seat = request.environ.get(SEAT)
            if seat is not None:
                seat.give_back = partial(self._give_back, claims)
        elif not claims and seconds and waiting.may_wait(request.environ):
            return waiting.park(request.environ, Parked(seconds, partial(self._await_task, asked.types)))
        body = wire.claims_body(claims, self.queue.clock.now(), is_bare=is_bare, is_again=is_again)
        return reply_bytes(body, headers=headers)

    def _claim(self, worker: str, asked: ClaimRequest) -> tuple[list[Claim], bool]:
        """What there is for ``worker``; True: this very request was answered with it before."""
        def take() -> list[Claim]:
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
        """One sign of life for all the tasks of a worker."""
        check_name("worker", worker)
        lost: list[str] = []
        cancel: list[str] = []
        leases: dict[str, str] = {}
        next_beat = float(self.queue.lease_seconds) / 3
        for running in self.body(Beats).running:
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
        return self.reply({"worker": worker, "state": "run", "cancel": cancel, "lost": lost, "leases": leases,
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

    def _await_task(self, types: Collection[str] | None, wake: Callable[[], Any]) -> Leave:
        bell = self.queue.bell
        waiter = bell.wait_for_task(wake, types)
        return lambda took: bell.leave(waiter, took=took)


def _worker(named: str | None) -> str | None:
    """The worker's name: from the body, else from the header of dialect B."""
    return named or header_text(WORKER_NAME) or None
