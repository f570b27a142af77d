"""What those who have work done call: submit it, look for it, fetch its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool import shapes
from taskspool.doors.bridge import asked, telling, wire
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.doors.bridge.models import ManyTasks, NamedBatch, OlderSubmission, Submission
from taskspool.engine.batch import Batch
from taskspool.engine.lifecycle import Enqueued
from taskspool.engine.task import NewTask, Result, State
from taskspool.errors import ResultPending
from taskspool.web import waiting
from taskspool.web.waiting import Leave, Parked

IDEMPOTENCY_KEY = "HTTP_IDEMPOTENCY_KEY"
MAX_OFFSET = 10_000_000
_NEW_IN_LISTS = (*(name for name in asked.FILTERS if name != "type"), "sort", "order", "offset", "cursor")
"""Whoever names none of these gets what clients of seed 002 know: what waits, oldest first."""


class ClientViews(Asking):
    # -- submitting ----------------------------------------------------------------------------------------------

    def submit(self) -> Response:
        """Dialect A: POST /api/tasks."""
        new = asked.new_task(self.body(Submission))
        made = self.queue.enqueue(new, key=header_text(IDEMPOTENCY_KEY))
        headers = {"Location": self.address(f"/api/tasks/{made.task_id}")}
        return self.reply(self._enqueued(made, new), 201 if made.created else 200, headers)

    def create(self) -> Response:
        """Dialect B: POST /api/tasks/create?priority= and POST /api/enqueue."""
        new = asked.new_task(self.body(OlderSubmission), priority=request.args.get("priority"), is_lenient=True)
        made = self.queue.enqueue(new, key=header_text(IDEMPOTENCY_KEY))
        position = self.queue.store.position(made.task_id)
        return self.reply(self._enqueued(made, new) | {"queue_position": position or 0})

    def submit_batch(self) -> Response:
        """All of the tasks, or none."""
        news = [asked.new_task(one) for one in self.body(ManyTasks).tasks]
        made = self.queue.enqueue_many(news, key=header_text(IDEMPOTENCY_KEY))
        created = made[0].created
        return self.reply({
            "success": True, "count": len(made), "created": created, "task_ids": [one.task_id for one in made],
            "tasks": [self._enqueued(one, new) for one, new in zip(made, news, strict=True)],
        }, 201 if created else 200)

    def _enqueued(self, made: Enqueued, new: NewTask) -> dict[str, Any]:
        """With the state it is in: a new one's is plain from what was asked for, one that was there is looked at."""
        snapshot = None if made.created else self.queue.store.find(made.task_id)
        if snapshot is not None:
            state = snapshot.state
        else:
            is_later = new.delay_seconds > 0 or (new.run_at is not None and new.run_at > self.queue.clock.now())
            state = State.SCHEDULED if is_later else State.READY
        return wire.enqueued_json(made, new, state)

    # -- batches -------------------------------------------------------------------------------------------------

    def make_batch(self) -> Response:
        """A named set of tasks, all or none."""
        body = self.body(NamedBatch)
        news = [asked.new_task(one) for one in body.tasks]
        batch = self.queue.enqueue_batch(news, name=body.name, key=header_text(IDEMPOTENCY_KEY))
        headers = {"Location": self.address(f"/api/batches/{batch.record.id}")}
        return self._batch_reply(batch, 201 if batch.created else 200, headers, created=batch.created)

    def batches(self) -> Response:
        """The latest batches, newest first."""
        found = self.queue.batches(self.number("limit", 10, 1, 100))
        return self.reply({"count": len(found), "batches": [shapes.batch_json(batch) for batch in found]})

    def batch(self, batch: str) -> Response:
        return self._batch_reply(self.queue.batch(batch))

    def _batch_reply(self, batch: Batch, status: int = 200, headers: dict[str, str] | None = None,
                     **more: bool) -> Response:
        return self.reply({"success": True, **shapes.batch_json(batch), **more}, status, headers)

    # -- lists ---------------------------------------------------------------------------------------------------

    def list_tasks(self) -> Response:
        """What waits, oldest first; with a filter, an order or a page: any tasks, from the index."""
        if any(name in request.args for name in _NEW_IN_LISTS):
            return self._search()
        limit, task_type = self.number("limit", 10, 1, 1000), request.args.get("type")
        types = None if not task_type else [task_type]
        found = [*self.queue.listing(State.READY, types=types, limit=limit, oldest=True),
                 *self.queue.listing(State.SCHEDULED, types=types, limit=limit)]
        found = sorted(found, key=lambda snapshot: (snapshot.task.created_at, snapshot.task.id))[:limit]
        counts = self.queue.counts()
        return self.reply({"count": len(found), "total_pending": counts.ready + counts.scheduled,
                           "tasks": [wire.snapshot_json(snapshot) for snapshot in found]})

    def _search(self) -> Response:
        wanted = asked.filter_of({name: request.args.getlist(name) for name in asked.FILTERS})
        limit, offset = self.number("limit", 10, 1, 1000), self.number("offset", 0, 0, MAX_OFFSET)
        page = self.queue.store.index.listing(
            wanted, sort=asked.sort_of(request.args.get("sort"), request.args.get("order")), limit=limit,
            offset=offset, cursor=request.args.get("cursor"))
        return self.reply({"count": len(page.items), "total": page.total, "limit": limit, "offset": offset,
                           "next_cursor": page.cursor,
                           "tasks": [telling.listed_json(snapshot) for snapshot in page.items]})

    # -- results -------------------------------------------------------------------------------------------------

    def result(self, task_id: str) -> Response:
        """200 once the task is finished; 404 until then, after up to ``wait`` seconds."""
        seconds, headers = self.wait_seconds(None)
        result = self._result(task_id)
        if result is not None:
            return self.reply(wire.result_json(result), headers=headers)
        if seconds and waiting.may_wait(request.environ):
            return waiting.park(request.environ, Parked(seconds, partial(self._await_result, task_id)))
        snapshot = self.queue.task(task_id)
        status = wire.STATUS[snapshot.state]
        raise ResultPending(f"task {task_id} is {status}: it has no result yet", task_id=task_id, status=status,
                            progress=shapes.progress_json(snapshot.task.progress))

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
