"""What happens to to-dos and batches: server-sent events for those who listen, a list for those who ask."""

from __future__ import annotations

from uuid import UUID

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.todos import models
from taskspool.doors.todos.wire import event_json, events_json
from taskspool.records.database import Database
from taskspool.records.models.todos import TodoEvent
from taskspool.records.todo_events import events_after, first_number, last_number
from taskspool.web.reply import encode_part, plain_reply
from taskspool.web.streams import Hub, Line, Place, stream_reply
from taskspool.web.validation import read

LIST_LIMIT = 100
POLL_SECONDS = 0.5
"""So often the database is asked while somebody listens."""


class EventSource:
    """The feed as lines of the stream; the topic of a line is its session."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tip(self) -> Place:
        with self._database.reading() as session:
            return Place("", last_number(session))

    def after(self, place: str | None, topic: str | None, limit: int) -> list[Line]:
        number = 0 if place is None else int(place.rpartition("-")[2])
        with self._database.reading() as session:
            last, first = last_number(session), first_number(session) or 1
            lines = [line_of(event) for event in events_after(session, number, _session(topic), limit)]
        is_lost = number > last or (place is not None and number + 1 < first)
        return [_reset(min(number, last) if lines else last), *lines][:limit] if is_lost else lines


class EventViews:
    def __init__(self, database: Database) -> None:
        self._database = database
        self.hub = Hub(EventSource(database), poll_seconds=POLL_SECONDS)

    def events(self) -> Response:
        """From now on, unless the reader says where it was; with a ``limit`` or for JSON, a list of what is known."""
        asked = read(request.environ, query=models.EventQuery).query
        accepted = request.environ.get("HTTP_ACCEPT", "")
        is_for_json = "application/json" in accepted and "text/event-stream" not in accepted
        if asked.limit is not None or is_for_json:
            return self._list(asked)
        topic = None if asked.session_id is None else str(asked.session_id)
        after = _seen() if asked.after is None else asked.after
        stream = self.hub.open(None if after is None else f"-{after}", topic, from_now=after is None)
        return stream_reply(request.environ, stream)

    def _list(self, asked: models.EventQuery) -> Response:
        limit = asked.limit or LIST_LIMIT
        with self._database.reading() as session:
            found = events_after(session, asked.after or 0, asked.session_id, limit)
            last = found[-1].seq if len(found) == limit else last_number(session)
            return plain_reply(events_json(found, last))


def _seen() -> int | None:
    """The number a browser saw last, as it tells when it comes back. What is no number of ours counts as nothing."""
    text = request.environ.get("HTTP_LAST_EVENT_ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _session(topic: str | None) -> UUID | None:
    return None if topic is None else UUID(topic)


def line_of(event: TodoEvent) -> Line:
    text = b"id: %d\ndata: %s\n\n" % (event.seq, encode_part(event_json(event)))
    return Line(Place("", event.seq), "" if event.session_id is None else str(event.session_id), text)


def _reset(number: int) -> Line:
    """Tells a reader that events behind its place are lost: what it shows has to be read anew."""
    return Line(Place("", number), "", b'id: %d\nevent: reset\ndata: {"kind":"reset"}\n\n' % number, is_reset=True)
