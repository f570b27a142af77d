"""What happens to tasks, as it happens: server-sent events for those who listen, a list for those who ask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.bridge import telling
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.engine.events import Event
from taskspool.engine.index import RESET
from taskspool.engine.lifecycle import Queue
from taskspool.errors import InvalidRequest
from taskspool.settings import Settings
from taskspool.web.reply import encode_part
from taskspool.web.streams import Hub, Line, Place, stream_reply

LAST_EVENT_ID = "HTTP_LAST_EVENT_ID"
BEGINNING = "0"
"""``?after=0``: all that is known."""
MAX_PLACE_CHARS = 64


class EventSource:
    """The events of a queue as lines of the stream."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def tip(self) -> Place:
        return _place(self._queue.store.index.last_event_id())

    def after(self, place: str | None, topic: str | None, limit: int) -> list[Line]:
        return [line_of(event) for event in self._queue.store.index.events(place, task_id=topic, limit=limit)]


class EventViews(Asking):
    def __init__(self, queue: Queue, settings: Settings) -> None:
        super().__init__(queue, settings)
        self.hub = Hub(EventSource(queue))

    def events(self) -> Response:
        """Of all tasks: from now on, unless the reader says where it was."""
        return self._tell(None)

    def events_of(self, task_id: str) -> Response:
        """Of one task: all that is known of it, and then what comes."""
        self.queue.task(task_id)
        return self._tell(task_id)

    def _tell(self, task_id: str | None) -> Response:
        accepted = request.environ.get("HTTP_ACCEPT", "")
        asked = _checked(request.args.get("after"))
        after = _checked(header_text(LAST_EVENT_ID)) or asked  # who comes back knows better than its address
        is_list = "limit" in request.args or ("application/json" in accepted and "text/event-stream" not in accepted)
        if is_list or request.method == "HEAD":
            return self._list(after, task_id)
        stream = self.hub.open(None if after == BEGINNING else after, task_id,
                               from_now=after is None and task_id is None)
        return stream_reply(request.environ, stream)

    def _list(self, after: str | None, task_id: str | None) -> Response:
        """Who asks for a list gets what is known, and where it ends."""
        limit = self.number("limit", 100, 1, 1000)
        index = self.queue.store.index
        tip = index.last_event_id()  # before the look: what came before it is in the list, or was never asked for
        place = None if after == BEGINNING else after
        found = index.events(place, task_id=task_id, limit=limit)
        last = found[-1].id if found and (task_id is None or len(found) == limit) else tip
        return self.reply({"count": len(found), "events": [telling.event_json(event) for event in found],
                           "last": last})


def line_of(event: Event) -> Line:
    """As the HTML standard wants it; only a reset has a name, so that one listener hears all that happens."""
    is_reset = event.verb == RESET
    name = b"event: reset\n" if is_reset else b""
    told: Mapping[str, Any] = telling.event_json(event)
    text = b"id: " + event.id.encode() + b"\n" + name + b"data: " + encode_part(told) + b"\n\n"
    return Line(_place(event.id), event.task_id, text, is_reset)


def _place(event_id: str) -> Place:
    generation, _, number = event_id.rpartition("-")
    return Place(generation, int(number))


def _checked(text: str | None) -> str | None:
    """Where the reader was. What we never gave out is answered by a reset; what cannot be one of ours is refused."""
    if text is not None and not (0 < len(text) <= MAX_PLACE_CHARS and text.isascii() and text.isprintable()):
        raise InvalidRequest("after must be the id of an event", field="after", rule="as the stream told it")
    return text
