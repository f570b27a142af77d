"""A task's live log over HTTP: append to it, read it, follow it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from taskspool.client_call import Connection, backoff_seconds, nap
from taskspool.client_events import Message, messages
from taskspool.client_wire import query_of, task_path
from taskspool.clock import from_text
from taskspool.engine.log_lines import LogLine, LogPage
from taskspool.engine.task import JsonValue
from taskspool.errors import ServerUnreachable, StoreUnavailable

SILENCE_SECONDS = 45.0
"""A stream that says nothing for so long is broken: the bridge gives a sign of life every 15 s."""


class LogCalls(Connection):
    """What is asked of the log of a task."""

    def append_log(self, task_id: str, lease_token: str, lines: Sequence[str | tuple[str, str]],
                   offset: int) -> int:
        """Add ``lines``, each a text or (stream, text), stream out, err or log. How many this lease has appended now.

        ``offset``: how many it had appended before these; what came twice is dropped, so the call may be repeated.
        Raises LogOffset for a gap (``details["next_offset"]``), LeaseLost: stop working on it.
        """
        told: list[JsonValue] = [line if isinstance(line, str) else {"stream": line[0], "text": line[1]}
                                 for line in lines]
        body = {"lease_token": lease_token, "offset": offset, "lines": told}
        return int(self._call("POST", task_path(task_id, "log"), body)["next_offset"])

    def log(self, task_id: str, after: int = -1, limit: int = 1000) -> LogPage:
        """Up to ``limit`` (1..1000) lines behind the line ``after``; -1: from the first that is kept.

        Go on behind ``next - 1``. Raises TaskNotFound.
        """
        answer = self._call("GET", task_path(task_id, "log"), query=query_of(after=after, limit=limit))
        return LogPage(tuple(map(_line_of, answer["lines"])), int(answer["first"]), int(answer["next"]),
                       bool(answer["is_finished"]))

    def follow_log(self, task_id: str, after: int = -1) -> Iterator[LogLine]:
        """Every line behind ``after``, as it comes, once and in order, until the task has ended and all is told.

        A connection that breaks is made anew and goes on behind the last line. Raises TaskNotFound,
        ServerUnreachable.
        """
        failures = 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({} if after < 0 else {"Last-Event-ID": str(after)})
            try:
                with self._stream(task_path(task_id, "log"), {"follow": "1"}, headers, SILENCE_SECONDS) as pieces:
                    for message in messages(pieces):
                        if message.name == "end":
                            return
                        line = _line_in(message)
                        if line is not None and line.number > after:
                            failures, after = 0, line.number
                            yield line
            except (ServerUnreachable, StoreUnavailable):
                if failures >= self.retries:
                    raise
            nap(backoff_seconds(failures))
            failures += 1


def _line_in(message: Message) -> LogLine | None:
    """The line that a message tells; None when it is of another kind than we know."""
    try:
        body = json.loads(message.data)
    except ValueError:
        return None
    return _line_of(body) if isinstance(body, dict) and "number" in body else None


def _line_of(body: Mapping[str, Any]) -> LogLine:
    at = body.get("at")
    return LogLine(int(body["number"]), from_text(at) if isinstance(at, str) else None, int(body.get("attempt") or 0),
                   str(body.get("stream") or "log"), str(body.get("text") or ""))
