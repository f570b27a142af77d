"""Server-sent events, read line by line. Source of the format: HTML standard, section 9.2.6."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from taskspool.client_wire import event_of
from taskspool.engine.events import Event

MAX_EVENT_BYTES = 1 << 20
"""A line that does not end by then is none of the bridge's."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the stream. ``id`` empty: the last one stands."""

    id: str
    name: str
    data: str


def messages(pieces: Iterable[bytes]) -> Iterator[Message]:
    """The messages in ``pieces``, however they are cut. One that did not end is dropped."""
    name, id_, data = "", "", list[str]()
    for line in _lines(pieces):
        if not line:
            if data:
                yield Message(id_, name, "\n".join(data))
            name, id_, data = "", "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            id_ = value


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    """Lines without their ends; ``\\r\\n`` counts once, also when it was cut in two."""
    rest, is_after_cr = b"", False
    for piece in filter(None, pieces):
        came = piece.removeprefix(b"\n") if is_after_cr else piece
        is_after_cr = piece.endswith(b"\r")
        *whole, rest = (rest + came).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        if len(rest) > MAX_EVENT_BYTES:
            raise ValueError("a line of the stream does not end")
        yield from (line.decode("utf-8", "replace") for line in whole)


def event_in(message: Message) -> Event | None:
    """The event that a message tells; None when it is of another kind than we know.

    ``reset`` is told as an event: what came between is not known any more.
    """
    try:
        body = json.loads(message.data)
    except ValueError:
        return None
    if not isinstance(body, dict):
        return None
    return event_of({"event": message.name, **body, "id": message.id or body.get("id")})
