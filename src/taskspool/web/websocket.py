"""WebSockets, for those who would rather be told that way: a stream of texts from us, and nothing from them.

A handshake is a GET request. It passes the same gates as any other (Host, Origin), and finds its view in the same way;
a view that answers with a stream is told over the socket, a line a message, and any other answer is the refusal of the
handshake. Only addresses that end in ``/ws`` are shaken hands with; elsewhere the wish is passed over.
Close codes: 1000 all is told, 1012 the server stops, 1013 the disk refused: come back later.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from taskspool.errors import StoreUnavailable
from taskspool.web.waiting import Answer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from taskspool.web.bridge import Message, Receive, Scope, Send
    from taskspool.web.streams import Telling

WEBSOCKET = "taskspool.websocket"
"""Key in the environ of a request that is a handshake."""
SUFFIX = b"/ws"
MAX_MESSAGE_BYTES = 4_096
"""Of what a client says, which nobody hears."""
PING_SECONDS = 20.0
STALL_SECONDS = 30.0
DONE, RESTARTS, TRY_LATER = 1000, 1012, 1013


def is_handshake(environ: WSGIEnvironment) -> bool:
    return bool(environ.get(WEBSOCKET))


def as_request(scope: Scope) -> Scope:
    """The scope of the GET request that a handshake is."""
    scheme = "https" if scope["scheme"] == "wss" else "http"
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    return {**scope, "type": "http", "method": "GET", "scheme": scheme, "target": target}


async def refuse(answer: Answer, head: Message, send: Send) -> None:
    """Answer the handshake as the request that it is. ``head``: of the HTTP answer."""
    await send({**head, "type": "websocket.http.response.start"})
    await send({"type": "websocket.http.response.body", "body": answer.body()})


async def tell(stream: Telling, chunks: AsyncIterator[bytes], send: Send) -> None:
    """Accept, send each line of ``chunks`` as a message, and close."""
    await send({"type": "websocket.accept"})
    try:
        async for chunk in chunks:
            for line in chunk.removesuffix(b"\n").split(b"\n"):
                await send({"type": "websocket.send", "text": line.decode()})
    except StoreUnavailable:  # its reader comes back, and says where it was
        await send({"type": "websocket.close", "code": TRY_LATER})
        return
    await send({"type": "websocket.close", "code": DONE if stream.is_over() else RESTARTS})


async def disconnected(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "websocket.disconnect":
        pass


class SocketProtocol(WebSocketsSansIOProtocol):
    """One socket: uvicorn's, cut off like any connection when its client does not read for ``STALL_SECONDS``."""

    head_since: float | None = None
    stalled_since: float | None = None

    async def send(self, message: Any) -> None:  # uvicorn's own types are narrower than the protocol
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True  # refused, and answered: uvicorn would call that unfinished

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled_since = None

    def drop_if_late(self, now: float) -> None:
        """See ``protocol.Protocol``."""
        if self.stalled_since is not None and now - self.stalled_since > STALL_SECONDS:
            self.transport.abort()
