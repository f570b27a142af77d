"""HTTP/1.1 on a socket: uvicorn's httptools protocol, with the limits it lacks.

* A request's head must be complete within ``HEAD_SECONDS`` of its first byte (or of the connection), and may be no
  larger than ``MAX_HEAD_BYTES``; who is slower or longer is cut off (slowloris, endless headers).
* Who does not read its answers is not read from any more, and cut off after ``STALL_SECONDS``.
* What cannot be parsed is answered in JSON, like everything else.
* The request's target as written goes into the scope, so that the guard can refuse ``GET http://elsewhere/``.
* Head and body of an answer leave in one packet.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from taskspool.web.websocket import SUFFIX

HEAD_SECONDS = 10.0
MAX_HEAD_BYTES = 64 * 1024
STALL_SECONDS = 30.0
IDLE_SECONDS = 65
"""A kept-alive connection without a request is closed after this time."""

_REASONS = {400: "Bad Request", 431: "Request Header Fields Too Large", 500: "Internal Server Error",
            503: "Service Unavailable"}


class Protocol(HttpToolsProtocol):
    """One connection.

    ``head_since`` is when we began to wait for the rest of a head, ``idle_since`` when the last answer went out,
    ``stalled_since`` when the client stopped reading; None when it is not so. ``drop_if_late`` looks at them about
    once a second: cheaper than a timer for every request.
    """

    max_connections: int

    head_since: float | None = None
    idle_since: float | None = None
    stalled_since: float | None = None
    raw_transport: asyncio.Transport
    _head_bytes = 0
    _unfinished_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.raw_transport = cast(asyncio.Transport, transport)
        super().connection_made(cast(asyncio.Transport, OnePacket(self.raw_transport)))
        self.head_since = self.loop.time()
        if len(self.connections) > self.max_connections:
            self.refuse(503, "TOO_MANY_CONNECTIONS", "too many connections are open; try again in a moment")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.head_since is not None:  # the parser keeps a half header to itself, so its bytes are counted here
            self._unfinished_bytes += len(data)
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self._head_bytes = self._unfinished_bytes
                self.send_400_response("head too large")

    def _should_upgrade(self) -> bool:
        """Only to a WebSocket, at an address that is one, by a request that no answer is under way before."""
        is_alone = cast(Any, self.cycle) is None or self.cycle.response_complete
        return is_alone and self.url.partition(b"?")[0].endswith(SUFFIX) and super()._should_upgrade()

    def handle_websocket_upgrade(self) -> None:
        cast(OnePacket, self.transport).flush()
        self.transport = self.raw_transport  # a handshake has a head alone, which must not be kept back
        super().handle_websocket_upgrade()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_bytes = self._unfinished_bytes = 0
        self.head_since, self.idle_since = self.loop.time(), None

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self.head_since = None
        cast("dict[str, Any]", self.scope)["target"] = self.url
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        cast(OnePacket, self.transport).flush()  # the answer to a HEAD has no body that would take the head along
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's signature
        if self._head_bytes > MAX_HEAD_BYTES:
            self.refuse(431, "HEAD_TOO_LARGE", f"address and headers together are larger than {MAX_HEAD_BYTES} bytes")
        else:
            self.refuse(400, "BAD_HTTP", "this is not a valid HTTP/1.1 request")

    def refuse(self, status: int, code: str, message: str) -> None:
        """Answer, and close the connection."""
        if self.transport.is_closing():
            return
        body = json.dumps({"error": message, "code": code, "message": message, "details": {}}).encode() + b"\n"
        head = (f"HTTP/1.1 {status} {_REASONS[status]}\r\ncontent-type: application/json; charset=utf-8\r\n"
                f"content-length: {len(body)}\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n")
        self.transport.write(head.encode() + body)
        self.transport.close()

    def drop_if_late(self, now: float) -> None:
        """Close the connection if its client has not completed a head in time, or asked nothing for long."""
        is_slow = self.head_since is not None and now - self.head_since > HEAD_SECONDS
        is_idle = self.idle_since is not None and now - self.idle_since > IDLE_SECONDS
        is_stalled = self.stalled_since is not None and now - self.stalled_since > STALL_SECONDS
        if is_slow or is_idle:
            self.transport.close()
        elif is_stalled:
            self.raw_transport.abort()  # a close would wait until the client has read what is left

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = None

    def _count(self, more: int) -> None:
        self._head_bytes += more
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("head too large")  # the parser stops, and send_400_response answers


class OnePacket:
    """A transport that keeps an answer's head back until its body follows, which is at once.

    uvicorn writes head and body separately: two system calls, two packets and two wake-ups of the client.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info
        self.pause_reading = transport.pause_reading
        self.resume_reading = transport.resume_reading

    def write(self, data: bytes) -> None:
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
