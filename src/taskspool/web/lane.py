"""The fast lane: a quick request is answered in the very call that brought its last byte.

The usual way of a request through ASGI (a task, an event, two messages) costs as much as Flask itself. A request that
the door calls quick needs none of it. Everything else, and a quick request that parks, takes the usual way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from taskspool.web.protocol import Protocol
from taskspool.web.waiting import Answer

if TYPE_CHECKING:
    from taskspool.web.bridge import Front

MAX_LANE_BYTES = 64 * 1024
"""Largest declared body of a request in the fast lane."""
MAX_IN_A_ROW = 16
"""So many requests that came in one piece are answered at once; what is behind them takes the usual way, in turns with
everybody else: a thousand on one connection would keep the others waiting."""

log = logging.getLogger("taskspool.web")


class FastLane(Protocol):
    """One connection, with the short way for quick requests."""

    _in_lane = False
    _lane_body = b""
    _keeps_alive = True
    _in_a_row = 0

    def data_received(self, data: bytes) -> None:
        self._in_a_row = 0
        super().data_received(data)

    def on_headers_complete(self) -> None:
        self._in_lane = self._may_take_lane()
        if not self._in_lane:
            super().on_headers_complete()
            return
        self.head_since = None
        self._in_a_row += 1
        self._lane_body = b""
        self._keeps_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"

    def on_body(self, body: bytes) -> None:
        if self._in_lane:
            self._lane_body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._in_lane:
            super().on_message_complete()
            return
        self._in_lane = False
        front = cast("Front", self.app)
        environ = front.environ(cast("dict[str, Any]", self.scope), self._lane_body)
        try:
            answer = front.answer(environ)
        except Exception:  # the WSGI app answers errors itself; whatever still gets here must not kill the connection
            log.exception("unexpected error in the fast lane")
            self.refuse(500, "INTERNAL_ERROR", "the server failed to answer; the reason is in its log")
            return
        if answer is None:
            self._take_usual_way(environ)
        else:
            self._write(answer)
            self._begin_idle()

    def _may_take_lane(self) -> bool:
        """Whether this request is quick, small, and the only one on its connection. Completes the scope."""
        is_alone = cast(Any, self.cycle) is None or self.cycle.response_complete
        if self.expect_100_continue or self.pipeline or not is_alone or self.flow.write_paused:
            return False
        if self._in_a_row >= MAX_IN_A_ROW:
            return False
        if not self.url.startswith(b"/") or self.parser.should_upgrade():
            return False
        for name, value in self.headers:
            if name == b"transfer-encoding" or (name == b"content-length" and int(value) > MAX_LANE_BYTES):
                return False
        url = httptools.parse_url(self.url)
        scope = cast("dict[str, Any]", self.scope)
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["raw_path"], scope["query_string"], scope["target"] = url.path, url.query or b"", self.url
        return cast("Front", self.app).is_quick(scope["method"], url.path.decode("latin-1"))

    def _take_usual_way(self, environ: Any) -> None:
        """Hand a request that parked over to the event loop, as a task."""
        cast("dict[str, Any]", self.scope)["parked"] = environ
        super().on_headers_complete()
        super().on_message_complete()

    def _write(self, answer: Answer) -> None:
        body = answer.body()
        lines = [f"{name}: {value}\r\n" for name, value in answer.headers]
        if not self._keeps_alive:
            lines.append("connection: close\r\n")
        dates = [name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers]
        head = STATUS_LINE[int(answer.status[:3])] + b"".join(dates) + "".join(lines).encode("latin-1") + b"\r\n"
        self.raw_transport.write(head if self.scope["method"] == "HEAD" else head + body)

    def _begin_idle(self) -> None:
        self.server_state.total_requests += 1
        if self._keeps_alive:
            self.idle_since = self.loop.time()
        else:
            self.transport.close()
