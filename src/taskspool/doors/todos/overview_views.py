"""Whether the door answers, and how far the to-dos have come."""

from __future__ import annotations

from flask import request
from werkzeug.wrappers import Response

from taskspool.clock import Clock
from taskspool.doors.todos import models
from taskspool.doors.todos.wire import statistics_json
from taskspool.records.database import Database, is_healthy
from taskspool.records.todo_statistics import statistics_of
from taskspool.web.reply import plain_reply
from taskspool.web.validation import read

VERSION = "0.1.0"
"""Of the interface, as its description tells it (contract todos-8001, 1.1); not of the package."""


class OverviewViews:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def health(self) -> Response:
        """200 whether the database answers or not: this door does."""
        is_well = is_healthy(self._database)
        return plain_reply({"status": "healthy" if is_well else "degraded", "version": VERSION,
                            "database": "healthy" if is_well else "unhealthy"})

    def stats(self) -> Response:
        asked = read(request.environ, query=models.SessionQuery).query
        with self._database.reading() as session:
            told = statistics_of(session, asked.session_id, self._clock.now())
        return plain_reply(statistics_json(asked.session_id, told))
