"""Live logs: workers append to them, anybody reads them, page by page or as they grow."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flask import request
from werkzeug.datastructures import Headers
from werkzeug.wrappers import Response

from taskspool.clock import to_text
from taskspool.doors.bridge import wire
from taskspool.doors.bridge.asking import Asking, header_text
from taskspool.doors.bridge.log_models import MAX_LINES, MAX_NUMBER, LineSent, LogAppend
from taskspool.doors.bridge.worker_views import TASK_STATUS
from taskspool.engine.lifecycle import Queue
from taskspool.engine.log_lines import LogLine, LogPage
from taskspool.errors import InvalidRequest
from taskspool.settings import Settings
from taskspool.web.app import MORE_HEADERS
from taskspool.web.bridge import BODY
from taskspool.web.errors import UpgradeRequired
from taskspool.web.following import Piece, Watch
from taskspool.web.json_body import parse
from taskspool.web.reply import Reply, encode, encode_part
from taskspool.web.shape import fit
from taskspool.web.streams import BEAT, EVENT_STREAM, stream_reply
from taskspool.web.websocket import is_handshake

TEXT_PATHS = re.compile(r"(?:/queues/[^/]+)?/api/tasks/[0-9a-f-]{36}/log")
"""Where a body need not be JSON, if the request has a header that no page of another site can send."""
LEASE_TOKEN = "HTTP_LEASE_TOKEN"  # noqa: S105  # the name of a header
LAST_EVENT_ID = "HTTP_LAST_EVENT_ID"
GREETING = b": the log follows\nretry: 1000\n\n"
PLAIN = "text/plain; charset=utf-8"
NDJSON = "application/x-ndjson"
PAGE = 1000
_NUMBER = re.compile(r"-1|[0-9]{1,12}", re.ASCII)


class LogViews(Asking):
    def __init__(self, queue: Queue, settings: Settings) -> None:
        super().__init__(queue, settings)
        self.watch = Watch(queue.logs.mark)
        queue.logs.heard = self.watch.wake

    # -- appending -----------------------------------------------------------------------------------------------

    def append(self, task_id: str) -> Response:
        """POST /api/tasks/:id/log: 202, and how many lines of this lease there are."""
        body = self._sent()
        lines = [(line.stream, line.text) for line in body.lines]
        count = self.queue.logs.append(task_id, body.lease_token, lines, body.offset)
        wanted = self.queue.cancel_request(task_id)
        if wanted is not None:
            request.environ[MORE_HEADERS] = [(TASK_STATUS, wire.CANCEL_REQUESTED)]
        said = {"Range": f"lines=0-{count - 1}"} if count else {}
        return self.reply({"task_id": task_id, "next_offset": count, "cancel_requested": wanted is not None}, 202, said)

    def _sent(self) -> LogAppend:
        kind = request.environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower()
        if kind not in ("text/plain", NDJSON):
            return self.body(LogAppend)
        raw: bytes = request.environ.get(BODY) or request.get_data()
        offset = self._number(request.args.get("offset"), "offset")
        told = {"lease_token": header_text(LEASE_TOKEN) or "", "lines": []} | ({} if offset is None else {
            "offset": offset})
        lines = raw.removesuffix(b"\n").split(b"\n") if raw else []
        if len(lines) > MAX_LINES:
            raise InvalidRequest(f"lines must hold at most {MAX_LINES}", field="lines",
                                 rule=f"must hold at most {MAX_LINES}")
        body = fit(LogAppend, told)
        said = self._objects(lines) if kind == NDJSON else [
            LineSent(text=line.decode("utf-8", "replace")) for line in lines]
        return body.model_copy(update={"lines": said})

    def _objects(self, lines: Iterable[bytes]) -> list[LineSent]:
        """Lines of NDJSON: each a text, or an object."""
        values = [parse(line, self.settings.max_depth) for line in lines if line.strip()]
        return fit(LogAppend, {"lease_token": "-", "lines": values}).lines

    # -- reading -------------------------------------------------------------------------------------------------

    def read(self, task_id: str) -> Response:
        """GET /api/tasks/:id/log: a page; with ``?follow=1``, or for who accepts an event stream, all that comes."""
        accepted = request.environ.get("HTTP_ACCEPT", "").lower()
        is_plain = _prefers(accepted, "text/plain")
        is_followed = self.number("follow", 0, 0, 1) == 1
        asked = self._number(request.args.get("after"), "after")
        seen = self._number(header_text(LAST_EVENT_ID), "Last-Event-ID")  # who comes back knows better
        place = _behind(asked if seen is None else seen)
        if request.method != "HEAD" and (is_followed or "text/event-stream" in accepted):
            return self._follow(task_id, place, is_plain=is_plain)
        page = self.queue.logs.read(task_id, place - 1, self.number("limit", PAGE, 1, PAGE))
        if is_plain:
            lines = Headers({"Content-Type": PLAIN, "Log-Next": str(page.next)})
            return Reply([_as_text(page)], 200, lines)
        return self.reply({"task_id": task_id, "first": page.first, "next": page.next,
                           "is_finished": page.is_finished, "lines": list(map(line_json, page.lines))})

    def _follow(self, task_id: str, place: int, *, is_plain: bool) -> Response:
        self.queue.logs.read(task_id, place - 1, 1)  # raises TaskNotFound while it can still be said
        if is_plain:
            return stream_reply(request.environ, self.watch.open(task_id, place, self._plain), PLAIN)
        reader = self.watch.open(task_id, place, self._events, greeting=GREETING, beat=BEAT)
        return stream_reply(request.environ, reader, EVENT_STREAM)

    def socket(self, task_id: str) -> Response:
        """GET /api/tasks/:id/log/ws: the handshake of a WebSocket, which is told the lines as JSON."""
        after = self._number(request.args.get("after"), "after")
        place = _behind(after)
        self.queue.logs.read(task_id, place - 1, 1)
        if not is_handshake(request.environ):
            raise UpgradeRequired("this is the address of a WebSocket",
                                  hint="without one: GET the log with ?follow=1, as server-sent events")
        return stream_reply(request.environ, self.watch.open(task_id, place, self._objects_of), NDJSON)

    def _objects_of(self, task_id: str, place: int) -> Piece:
        page = self.queue.logs.read(task_id, place - 1, PAGE)
        return Piece(b"".join(encode(line_json(line)) for line in page.lines), page.next, page.is_finished)

    def _events(self, task_id: str, place: int) -> Piece:
        page = self.queue.logs.read(task_id, place - 1, PAGE)
        text = b"".join(b"id: %d\ndata: %b\n\n" % (line.number, encode_part(line_json(line))) for line in page.lines)
        if page.is_finished:
            text += b"event: end\ndata: %b\n\n" % encode_part({"task_id": task_id, "next": page.next})
        return Piece(text, page.next, page.is_finished)

    def _plain(self, task_id: str, place: int) -> Piece:
        page = self.queue.logs.read(task_id, place - 1, PAGE)
        return Piece(_as_text(page), page.next, page.is_finished)

    def _number(self, text: str | None, field: str) -> int | None:
        """A whole number; ``after`` may be -1."""
        if text is None:
            return None
        if _NUMBER.fullmatch(text) is None or (text == "-1" and field != "after"):
            rule = f"a whole number in {-1 if field == 'after' else 0}..{MAX_NUMBER}"
            raise InvalidRequest(f"{field} must be {rule}", field=field, rule=rule)
        return int(text)


def _behind(number: int | None) -> int:
    """The number of the line behind that one; None: of the first."""
    return 0 if number is None else number + 1


def line_json(line: LogLine) -> Mapping[str, Any]:
    return {"number": line.number, "at": None if line.at is None else to_text(line.at), "attempt": line.attempt,
            "stream": line.stream, "text": line.text}


def _as_text(page: LogPage) -> bytes:
    return b"".join(line.text.encode("utf-8", "replace") + b"\n" for line in page.lines)


def _prefers(accepted: str, kind: str) -> bool:
    """Whether an answer of ``kind`` is asked for by name, and no JSON."""
    return kind in accepted and "json" not in accepted and "text/event-stream" not in accepted
