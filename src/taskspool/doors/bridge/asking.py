"""How a view asks for what came with its request, and answers: the base of all views of the bridge."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.clock import to_text
from taskspool.doors.bridge.fields import MAX_WAIT_SECONDS
from taskspool.engine.lifecycle import Queue
from taskspool.errors import InvalidRequest
from taskspool.settings import Settings
from taskspool.web.bridge import ENVELOPE_BYTES
from taskspool.web.reply import reply
from taskspool.web.shape import AnyShape, fit, read

_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,6})\"?\s*(?=$|[,;])")
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")


class Asking:
    """Views over one queue."""

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self.queue = queue
        self.settings = settings

    def body(self, shape: type[AnyShape]) -> AnyShape:
        """The body as ``shape``. Raises InvalidRequest, PayloadTooLarge."""
        settings = self.settings
        return read(request.environ, shape, max_bytes=settings.max_task_bytes + ENVELOPE_BYTES,
                    max_depth=settings.max_depth)

    def query(self, shape: type[AnyShape], *, lists: tuple[str, ...] = (),
              numbers: tuple[str, ...] = ()) -> AnyShape:
        """The query as ``shape``: ``lists`` are split at commas, ``numbers`` read as such."""
        values: dict[str, Any] = {}
        for name, text in request.args.items():
            values[name] = _number(name, text) if name in numbers else text
            if name in lists:
                values[name] = [part.strip() for part in text.split(",")]
        return fit(shape, values)

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number of the query."""
        text = request.args.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and low <= int(text) <= high):
            rule = f"a whole number in {low}..{high}"
            raise InvalidRequest(f"{name} must be {rule}", field=name, rule=rule)
        return int(text)

    def address(self, path: str) -> str:
        """``path`` as this request's client reaches it."""
        return str(request.environ["SCRIPT_NAME"]) + path

    def wait_seconds(self, told: float | None) -> tuple[float, Mapping[str, str]]:
        """How long this request may wait: as its body says (``told``), else ``?wait=``, else ``Prefer: wait=``.

        Also the headers that say so: a preference (RFC 7240) beyond the limit is cut down to it, and reported.
        """
        asked = _wait_of_query(request.args.get("wait")) if request.environ["QUERY_STRING"] else None
        told = asked if told is None else told
        if told is not None:
            return told, {}
        preferred = _PREFER_WAIT.search(request.environ.get("HTTP_PREFER", ""))
        if preferred is None:
            return 0.0, {}
        seconds = min(int(preferred[1]), MAX_WAIT_SECONDS)
        return seconds, {"Preference-Applied": f"wait={seconds}"}

    def reply(self, value: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """``value`` with the server's time."""
        value["server_time"] = to_text(self.queue.clock.now())
        return reply(value, status, headers)


def header_text(key: str) -> str | None:
    """A header of the request, None when it is missing. UTF-8, where it is."""
    raw = request.environ.get(key)
    if raw is None:
        return None
    try:
        return str(raw).encode("latin-1").decode()
    except UnicodeDecodeError:
        return str(raw)


def _wait_of_query(text: str | None) -> float | None:
    if text is None:
        return None
    seconds = _number("wait", text)
    if not 0 <= seconds <= MAX_WAIT_SECONDS:
        rule = f"a number in 0..{MAX_WAIT_SECONDS}"
        raise InvalidRequest(f"wait must be {rule}", field="wait", rule=rule)
    return seconds


def _number(name: str, text: str) -> float:
    """A number of the query: whole ones as int."""
    if not text.isascii() or _NUMBER.fullmatch(text) is None:
        raise InvalidRequest(f"{name} must be a number", field=name, rule="number")
    number = float(text)
    return int(number) if number.is_integer() else number
