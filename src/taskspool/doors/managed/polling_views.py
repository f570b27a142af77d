"""Waiting for news of tasks: GET /api/v1/polling/status, a long poll. Source: the original service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.managed import answers, wire
from taskspool.doors.managed.asking import number_of
from taskspool.doors.managed.changes import Changes
from taskspool.doors.managed.dialect import InvalidQuery
from taskspool.doors.managed.replies import API, asked
from taskspool.doors.managed.task_views import TaskViews
from taskspool.engine.task import Snapshot, is_task_id
from taskspool.web import waiting
from taskspool.web.fields import INSTANT_RULE, INSTANT_SCHEMA, instant_of
from taskspool.web.reply import reply
from taskspool.web.route import Parameter, Route, Work
from taskspool.web.waiting import Parked

MAX_IDS = 100
MAX_SECONDS = 300
DEFAULT_SECONDS = 30
OVERLAP = timedelta(milliseconds=5)
"""A token tells whole milliseconds only: rather tell a change twice than not at all."""


class PollingViews:
    def __init__(self, tasks: TaskViews) -> None:
        self._tasks = tasks
        self._queue = tasks.queue
        self._changes = Changes(tasks.queue)

    def status(self) -> Response:
        """What changed after ``since``, at once or as soon as something does; without ``since`` all as it stands.

        Of what is no task nothing will ever be told: nobody waits for that.
        """
        ids = _ids_of(request.args.get("task_ids", ""))
        since = _instant_of(request.args.get("since", ""))
        seconds = number_of(request.args, "timeout", DEFAULT_SECONDS, 0, MAX_SECONDS)
        now = self._queue.clock.now()
        known = [snapshot for task_id in ids if (snapshot := self._queue.store.find(task_id)) is not None]
        updates = self._updates(known, since)
        if known and not updates and seconds and waiting.may_wait(request.environ):
            self._changes.check_room()
            return waiting.park(request.environ, Parked(seconds, partial(self._changes.join, ids)))
        return reply({"updates": updates, "timestamp": wire.time_text(now - OVERLAP), "has_more": False})

    def _updates(self, known: Sequence[Snapshot], since: datetime | None) -> list[dict[str, Any]]:
        """Oldest change first."""
        found = [(wire.updated_at_of(snapshot), snapshot) for snapshot in known]
        changed = sorted((one for one in found if since is None or one[0] > since), key=lambda one: one[0])
        return [_update_json(at, self._tasks.listed(snapshot)) for at, snapshot in changed]


def _update_json(at: datetime, task: dict[str, Any]) -> dict[str, Any]:
    return {"type": "task_update", "timestamp": wire.time_text(at), "task_id": task["id"], "status": task["status"],
            "progress": task["progress"], "message": task["error_message"], "task": task}


def _ids_of(text: str) -> list[str]:
    """Of ``a,b,c``; what cannot be an id is no task. Raises InvalidQuery."""
    ids = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not 1 <= len(ids) <= MAX_IDS:
        rule = f"1..{MAX_IDS} ids with commas between them"
        raise InvalidQuery(f"task_ids must be {rule}", field="task_ids", rule=rule)
    return [one for one in ids if is_task_id(one)]


def _instant_of(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return instant_of(text.replace(" ", "+"))  # a + in a query is a space, unless it was escaped
    except ValueError as error:
        raise InvalidQuery(f"since {error}", field="since", rule=INSTANT_RULE) from None


def polling_routes(views: PollingViews) -> list[Route]:
    return [
        Route("GET", f"{API}/polling/status", views.status, "Wait for news of tasks", Work.SLOW, parameters=(
            Parameter("task_ids", {"type": "string", "pattern": f"^[0-9A-Za-z-]+(,[0-9A-Za-z-]+){{0,{MAX_IDS - 1}}}$"},
                      f"up to {MAX_IDS} ids, commas between them", is_required=True),
            Parameter("since", INSTANT_SCHEMA, "the timestamp of the last answer; left out: how things stand"),
            Parameter("timeout", {"type": "integer", "minimum": 0, "maximum": MAX_SECONDS,
                                  "default": DEFAULT_SECONDS}, "seconds to wait at most")),
              replies=asked({200: ("what changed; nothing when the time was over", answers.Updates),
                             400: ("INVALID_REQUEST", None)})),
    ]
