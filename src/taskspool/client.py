"""The HTTP client of the bridge: hand tasks over, wait for results, look after them, or be a worker.

    client = Client()
    task_id = client.submit("ping", {})
    result = client.result(task_id, wait=30)

Errors are the engine's own (``taskspool.errors``): what the server raised is raised here again; no answer is
ServerUnreachable. Every call has an end, and every call that is repeated after a lost answer is safe to repeat:
submits carry an idempotency key, finishes a lease token.

Durations are seconds; a time is a ``datetime``, or text in RFC 3339.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from taskspool.client_call import backoff_seconds, nap
from taskspool.client_events import event_in, messages
from taskspool.client_logs import SILENCE_SECONDS, LogCalls
from taskspool.client_registry import RegistryCalls
from taskspool.client_wire import event_of, given, query_of, result_of, submission, submission_of, task_path
from taskspool.client_worker import LONG_POLL_SECONDS, WorkerCalls
from taskspool.engine.events import Event
from taskspool.engine.options import Backoff
from taskspool.engine.task import JsonValue, NewTask, Priority, Result
from taskspool.errors import ResultPending, ServerUnreachable, StoreUnavailable

EVENTS_AT_ONCE = 500


class Page(list[dict[str, Any]]):
    """Tasks, and how many there are in all (``total``; None from a bridge that does not say)."""

    def __init__(self, items: Sequence[dict[str, Any]], total: int | None) -> None:
        super().__init__(items)
        self.total = total


class Client(WorkerCalls, LogCalls, RegistryCalls):
    """A client of the bridge at ``url``. Safe for many threads; each has its own connection.

    ``timeout``: seconds an answer may take (long polls add their wait). ``retries``: how often a call is repeated
    when no answer came, or the server said "not now" (503); 5 cover a restart of about 3 s.
    """

    # -- handing over --------------------------------------------------------------------------------------------

    def submit(self, type: str, data: Mapping[str, JsonValue] | None = None, *,  # noqa: A002  # the word of the wire
               requester: str = "http-client", priority: Priority | str = Priority.NORMAL, max_retries: int = 0,
               backoff: Backoff | Mapping[str, Any] | None = None, delay: float | None = None,
               run_at: datetime | str | None = None, start_before: datetime | str | None = None,
               timeout: float | None = None, total_timeout: float | None = None, lease: int | None = None,
               unique_key: str | None = None, on_conflict: str | None = None, group: str | None = None,
               tags: Sequence[str] | None = None, parent: str | None = None,
               idempotency_key: str | None = None) -> str:
        """Hand one task over; its id. Once it returned, the task is on the server's disk.

        ``delay`` or ``run_at``: not before. ``start_before``: given up if nobody began it by then. ``timeout``: of
        one attempt, ``total_timeout``: from now to its end. ``lease``: how long its worker may be silent.
        ``backoff``: how long a failed attempt waits, a Backoff or ``{kind, base, cap, jitter}``. ``unique_key``: only
        one unfinished task may have it; ``on_conflict`` existing (its id is returned), reject or replace.
        ``parent``: the id of the task it belongs to.
        ``idempotency_key``: the same key with the same task gives the same id, for as long as there is the task; made
        when absent. Raises InvalidRequest, IdempotencyConflict, DuplicateTask, StoreUnavailable, ServerUnreachable.
        """
        body = submission(type, data, {
            "requester": requester, "priority": priority, "max_retries": max_retries, "backoff": backoff,
            "delay": delay, "run_at": run_at, "start_before": start_before, "timeout": timeout,
            "total_timeout": total_timeout, "lease": lease, "unique_key": unique_key, "on_conflict": on_conflict,
            "group": group, "tags": tags, "parent": parent})
        return self._submit(body, idempotency_key)

    def submit_task(self, task: NewTask | Mapping[str, Any], *, idempotency_key: str | None = None) -> str:
        """As ``submit``, for a task that is a value already: a NewTask, or a mapping of the arguments of ``submit``."""
        return self._submit(_submission_of(task), idempotency_key)

    def _submit(self, body: Mapping[str, Any], key: str | None) -> str:
        return str(self._call("POST", "/api/tasks", body, headers=_key_header(key))["task_id"])

    def submit_many(self, tasks: Sequence[NewTask | Mapping[str, Any]], *,
                    idempotency_key: str | None = None) -> list[str]:
        """Hand ``tasks`` over, all of them or none; their ids in the same order.

        Each as in ``submit_task``; none may have a ``unique_key``.
        """
        body = {"tasks": [_submission_of(task) for task in tasks]}
        answer = self._call("POST", "/api/tasks/batch", body, headers=_key_header(idempotency_key))
        return [str(task_id) for task_id in answer["task_ids"]]

    def submit_batch(self, tasks: Sequence[NewTask | Mapping[str, Any]], *, name: str | None = None,
                     idempotency_key: str | None = None) -> dict[str, Any]:
        """As ``submit_many``, as a set that is found again: ``{batch_id, name, counts, task_ids, ...}``."""
        body = given(name=name, tasks=[_submission_of(task) for task in tasks])
        return self._call("POST", "/api/batches", body, headers=_key_header(idempotency_key))

    def result(self, task_id: str, wait: float | None = None) -> Result:
        """The result of a finished task, waiting up to ``wait`` seconds for it (None: one look).

        A failed task has a result too: see ``status``. Raises ResultPending, TaskNotFound.
        """
        path = task_path(task_id, "result")
        ends_at = time.monotonic() + (wait or 0.0)
        while True:
            left = max(0.0, ends_at - time.monotonic())
            try:
                return result_of(self._call("GET", path, wait=min(left, LONG_POLL_SECONDS)))
            except ResultPending:
                if time.monotonic() >= ends_at:
                    raise
                nap(min(0.05, left))  # bounds the pace should a server answer without waiting

    # -- looking -------------------------------------------------------------------------------------------------

    def task(self, task_id: str) -> dict[str, Any]:
        """``{id, type, requester, data, status, created_at, assigned_to, updated_at, ...}``, its progress and its
        ``history``. Raises TaskNotFound."""
        return self._call("GET", task_path(task_id))

    def explain(self, task_id: str) -> dict[str, Any]:
        """Why the task is where it is and what happens next: ``{state, summary, sentences, next}``. Raises
        TaskNotFound."""
        return self._call("GET", task_path(task_id, "explain"))

    def tasks(self, *, type: str | Sequence[str] | None = None,  # noqa: A002  # the word of the wire
              limit: int = 10, **filters: Any) -> Page:
        """Up to ``limit`` tasks. Without ``filters``: those that wait, oldest first.

        Filters: ``state`` and ``priority`` (one or several), ``group``, ``tag``, ``requester``, ``worker``, ``batch``,
        ``parent``, ``created_after``, ``created_before``, ``finished_after``, ``finished_before``; ``sort`` is
        created_at, updated_at, finished_at, priority, type or state, with ``-`` before it to fall; ``offset`` skips.
        """
        answer = self._call("GET", "/api/tasks", query=query_of(type=type, limit=limit, **filters))
        return Page(answer["tasks"], answer.get("total"))

    def batch(self, batch_id: str) -> dict[str, Any]:
        """The batch as it stands now: how many of its tasks are where. Raises BatchNotFound."""
        return self._call("GET", f"/api/batches/{quote(batch_id, safe='')}")

    def batches(self, limit: int = 10) -> list[dict[str, Any]]:
        """Up to ``limit`` batches, newest first."""
        return list(self._call("GET", "/api/batches", query=query_of(limit=limit))["batches"])

    def stats(self, **filters: Any) -> dict[str, Any]:
        """How many tasks are where, and how long they took: the body of ``GET /api/stats``. Filters: ``type``,
        ``group``."""
        return self._call("GET", "/api/stats", query=query_of(**filters))

    def queue(self) -> dict[str, Any]:
        """What is paused, since when and by whom, and how many tasks are where: the body of ``GET /api/queue``."""
        return self._call("GET", "/api/queue")

    def health(self) -> dict[str, Any]:
        """The body of ``GET /health``."""
        return self._call("GET", "/health")

    # -- looking after -------------------------------------------------------------------------------------------

    def cancel(self, task_id: str, *, by: str | None = None, reason: str | None = None) -> dict[str, Any]:
        """End the task: one that waits at once, one that runs as soon as its worker lets go (``cancel_requested``).

        Raises TaskNotFound, TaskFinished.
        """
        return self._call("POST", task_path(task_id, "cancel"), given(by=by, reason=reason))

    def retry(self, task_id: str, *, by: str | None = None, reason: str | None = None) -> dict[str, Any]:
        """Let a dead or cancelled task wait again, with all its attempts before it. Raises TaskNotFound,
        NotRetryable."""
        return self._call("POST", task_path(task_id, "retry"), given(by=by, reason=reason))

    def cancel_many(self, **chosen: Any) -> dict[str, Any]:
        """Cancel what waits or runs and fits: ``state``, ``type``, ``group``, ``older_than`` seconds, or ``all=True``;
        up to ``limit``. How many, and their ids. ``by`` and ``reason`` as for one."""
        return self._call("POST", "/api/tasks/cancel", given(**chosen))

    def retry_many(self, **chosen: Any) -> dict[str, Any]:
        """The same for dead (and, by ``state``, cancelled) tasks."""
        return self._call("POST", "/api/tasks/retry", given(**chosen))

    def pause(self, types: Sequence[str] | None = None, *, by: str | None = None,
              reason: str | None = None) -> dict[str, Any]:
        """Hand out nothing more of ``types`` (None: at all) until ``resume``; what runs goes on, submits go on."""
        wanted = None if types is None else list(types)
        return self._call("POST", "/api/queue/pause", given(types=wanted, by=by, reason=reason))

    def resume(self, types: Sequence[str] | None = None) -> dict[str, Any]:
        """End the pause of ``types``, or (None) of the queue as a whole; types paused by name stay so."""
        return self._call("POST", "/api/queue/resume", given(types=None if types is None else list(types)))

    # -- events --------------------------------------------------------------------------------------------------

    def events(self, after: str | None = None, *, task_id: str | None = None, follow: bool = True) -> Iterator[Event]:
        """What happens to tasks, as it happens (``follow``), or what has happened until now; of one task or of all.

        ``after``: the id of the last event that was seen; None begins now, or, without ``follow``, as far back as is
        known. A connection that breaks is made anew and goes on behind the last event. An event with the verb
        ``reset`` says that what came between is not known any more: look anew.
        """
        path = "/api/events" if task_id is None else task_path(task_id, "events")
        return self._follow(path, after) if follow else self._past(path, after)

    def _past(self, path: str, after: str | None) -> Iterator[Event]:
        while True:
            answer = self._call("GET", path, query=query_of(after=after, limit=EVENTS_AT_ONCE))
            found = [event for body in answer["events"] if (event := event_of(body)) is not None]
            yield from found
            if len(answer["events"]) < EVENTS_AT_ONCE:
                return
            after = found[-1].id

    def _follow(self, path: str, after: str | None) -> Iterator[Event]:
        """Ends by itself only when the server refuses for good."""
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
            try:
                with self._stream(path, {}, headers, SILENCE_SECONDS) as pieces:
                    failures = 0
                    for message in messages(pieces):
                        after = message.id or after
                        if (event := event_in(message)) is not None:
                            yield event
            except (ServerUnreachable, StoreUnavailable):
                if failures >= self.retries:
                    raise
            nap(backoff_seconds(failures))
            failures += 1


def _key_header(key: str | None) -> Mapping[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex if key is None else key}


def _submission_of(task: NewTask | Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(task, NewTask):
        return submission_of(task)
    wishes = dict(task)
    return submission(wishes.pop("task_type", None) or wishes.pop("type", None), wishes.pop("data", None), wishes)
