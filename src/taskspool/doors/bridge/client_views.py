"""What those who have work done call: submit it, look at it, fetch its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.bridge import wire
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.doors.bridge.models import Batch, OlderSubmission, Submission
from taskspool.engine.task import Result, State
from taskspool.errors import ResultPending
from taskspool.web import waiting
from taskspool.web.waiting import Leave, Parked

IDEMPOTENCY_KEY = "HTTP_IDEMPOTENCY_KEY"


class ClientViews(Asking):
    def submit(self) -> Response:
        """Dialect A: POST /api/tasks."""
        new = wire.new_task(self.body(Submission))
        made = self.queue.enqueue(new, key=header_text(IDEMPOTENCY_KEY))
        headers = {"Location": f"/api/tasks/{made.task_id}"}
        return self.reply(wire.enqueued_json(made, new), 201 if made.created else 200, headers)

    def create(self) -> Response:
        """Dialect B: POST /api/tasks/create?priority= and POST /api/enqueue."""
        new = wire.new_task(self.body(OlderSubmission), priority=request.args.get("priority"), is_lenient=True)
        made = self.queue.enqueue(new, key=header_text(IDEMPOTENCY_KEY))
        position = self.queue.store.position(made.task_id)
        return self.reply(wire.enqueued_json(made, new) | {"queue_position": position or 0})

    def submit_batch(self) -> Response:
        """All of the tasks, or none."""
        news = [wire.new_task(one) for one in self.body(Batch).tasks]
        made = self.queue.enqueue_many(news, key=header_text(IDEMPOTENCY_KEY))
        created = made[0].created
        return self.reply({
            "success": True, "count": len(made), "created": created, "task_ids": [one.task_id for one in made],
            "tasks": [wire.enqueued_json(one, new) for one, new in zip(made, news, strict=True)],
        }, 201 if created else 200)

    def list_tasks(self) -> Response:
        """The waiting tasks, oldest first."""
        limit, task_type = self.number("limit", 10, 1, 1000), request.args.get("type")
        types = None if not task_type else [task_type]
        found = [*self.queue.listing(State.READY, types=types, limit=limit, oldest=True),
                 *self.queue.listing(State.SCHEDULED, types=types, limit=limit)]
        found = sorted(found, key=lambda snapshot: (snapshot.task.created_at, snapshot.task.id))[:limit]
        counts = self.queue.counts()
        return self.reply({"count": len(found), "total_pending": counts.ready + counts.scheduled,
                           "tasks": [wire.snapshot_json(snapshot) for snapshot in found]})

    def task(self, task_id: str) -> Response:
        return self.reply(wire.snapshot_json(self.queue.task(task_id)))

    def result(self, task_id: str) -> Response:
        """200 once the task is finished; 404 until then, after up to ``wait`` seconds."""
        seconds, headers = self.wait_seconds(None)
        result = self._result(task_id)
        if result is not None:
            return self.reply(wire.result_json(result), headers=headers)
        if seconds and waiting.may_wait(request.environ):
            return waiting.park(request.environ, Parked(seconds, partial(self._await_result, task_id)))
        status = wire.STATUS[self.queue.task(task_id).state]
        raise ResultPending(f"task {task_id} is {status}: it has no result yet", task_id=task_id, status=status)

    def results(self) -> Response:
        """The latest results, newest first."""
        found = self.queue.latest_results(self.number("count", 10, 1, 1000))
        return self.reply({"count": len(found), "results": [wire.result_json(result) for result in found]})

    def _result(self, task_id: str) -> Result | None:
        """None while there is none. Raises TaskNotFound."""
        try:
            return self.queue.result(task_id)
        except ResultPending:  # the one error a view cures: it waits
            return None

    def _await_result(self, task_id: str, wake: Callable[[], Any]) -> Leave:
        bell = self.queue.bell
        waiter = bell.wait_for_result(wake, task_id)
        return lambda took: bell.leave(waiter, took=took)
