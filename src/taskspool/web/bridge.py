"""The front: one ASGI callable with a WSGI app (Flask) inside.

Every request is read completely on the event loop, so a slow client costs a socket and no thread. Then the WSGI app
is called once: *inline* when the door says that the request is quick (it neither syncs a file nor lists a folder;
the hop to a thread costs more than such a request itself), else in a bounded pool of threads. A request whose view
answers "park me" waits on the event loop (see ``web.waiting``), and so does one that is told events (``web.streams``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from taskspool.errors import InvalidRequest, PayloadTooLarge, StoreUnavailable, TaskspoolError
from taskspool.web import websocket
from taskspool.web.spool import Spool, seconds_for
from taskspool.web.streams import BEAT_SECONDS
from taskspool.web.waiting import SEAT, Answer, Parked, Seat, ask, ask_again, is_parked

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

    from taskspool.web.streams import Telling

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
BodyLimit = Callable[[str, str], int | None]

BODY = "taskspool.body"
"""Key of the request's whole body (bytes) in the WSGI environ."""
LARGE = "taskspool.large_body"
"""Key of a large body: a file, open until the request is answered; ``BODY`` is empty then."""
REFUSAL = "taskspool.refusal"
"""Key of the error the front found before the app was asked; the onion raises it."""
TARGET = "REQUEST_URI"
"""Key of the request's target as it stood on the request line."""

ENVELOPE_BYTES = 64 * 1024
"""What a request may carry beside the task itself."""
POOL_THREADS = 32
"""Enough that durable writes share their fsync (group commit), few enough that threads do not fight for the GIL."""
BODY_SECONDS = 60.0
"""A body must be complete within this time."""
DRAIN_BYTES = 32 << 20
"""How much of a body that is too large is read and thrown away, so that its sender can read the 413."""

_NAMES = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH", b"host": "HTTP_HOST",
          b"user-agent": "HTTP_USER_AGENT", b"accept": "HTTP_ACCEPT", b"accept-encoding": "HTTP_ACCEPT_ENCODING",
          b"connection": "HTTP_CONNECTION"}


log = logging.getLogger("taskspool.web")


class Front:
    """ASGI application over the WSGI application ``app``.

    ``is_quick(method, path)`` says whether a request runs inline. ``max_body_bytes`` is the largest body read, but for
    requests that ``body_limit(method, path)`` knows a larger one of: these lie in ``spool_folder`` while they come.
    """

    def __init__(self, app: WSGIApplication, *, is_quick: Callable[[str, str], bool], max_body_bytes: int,
                 body_limit: BodyLimit = lambda _method, _path: None, spool_folder: Path | None = None,
                 threads: int = POOL_THREADS) -> None:
        self._app = app
        self.is_quick = is_quick if sys.platform != "win32" else _never
        self._max_body_bytes = max_body_bytes
        self._body_limit = body_limit
        self._spool = Spool(spool_folder)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="request")
        self._parked: set[asyncio.Future[bool]] = set()
        self._is_stopping = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._open_socket(scope, receive, send)
            return
        environ: WSGIEnvironment | None = scope.get("parked")
        is_inline = environ is not None or self.is_quick(scope["method"], scope["path"])
        is_unread = False
        answer: Answer | None = None
        if environ is None:
            environ = self.environ(scope)
            if "CONTENT_LENGTH" in environ or "HTTP_TRANSFER_ENCODING" in environ:
                try:
                    is_unread = await self._read_body(environ, receive)
                except ConnectionResetError:
                    return  # the client left in the middle of its body: there is nobody to answer
            try:
                answer = await self._call(is_inline, ask, environ)
            finally:
                if LARGE in environ:
                    environ.pop(LARGE).close()
        parked: Parked | None = environ[SEAT].parked
        if parked is not None:
            answer = await self._hold(environ, parked, is_inline, receive)
        if answer is None:
            return
        if is_unread:
            answer.headers.append(("Connection", "close"))
        stream: Telling | None = environ[SEAT].stream
        if stream is None:
            await _send(answer, send)
        else:
            await self._tell(answer, stream, receive, send)

    def environ(self, scope: Scope, body: bytes = b"") -> WSGIEnvironment:
        """The WSGI environ of ``scope``, with a seat in the waiting room, and the body if it is known by now."""
        environ = _environ(scope)
        environ[SEAT] = Seat()
        if body:
            environ[BODY], environ["wsgi.input"] = body, BytesIO(body)
        return environ

    def answer(self, environ: WSGIEnvironment) -> Answer | None:
        """Ask the app inline; None when it wants the request to be parked (``scope["parked"]`` brings it back)."""
        answer = ask(self._app, environ)
        return None if environ[SEAT].parked is not None else answer

    def stop(self) -> None:
        """Let every parked request go with what there is, and park none any more. Call it on the event loop."""
        self._is_stopping = True
        for future in list(self._parked):
            _settle(future, False)

    def close(self) -> None:
        """End the pool. Requests still running in it finish, new ones are not begun."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _call(self, is_inline: bool, call: Callable[..., Answer], environ: WSGIEnvironment,
                    **options: bool) -> Answer:
        if is_inline:
            return call(self._app, environ, **options)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: call(self._app, environ, **options))

    async def _read_body(self, environ: WSGIEnvironment, receive: Receive) -> bool:
        """Put the body, or the refusal of it, into ``environ``; whether a part of it was left unread.

        Raises ConnectionResetError when the client left.
        """
        larger = self._body_limit(environ["REQUEST_METHOD"], environ["PATH_INFO"])
        limit = larger or self._max_body_bytes
        declared = int(environ.get("CONTENT_LENGTH") or 0)
        if declared > limit and (declared > limit + DRAIN_BYTES or "HTTP_EXPECT" in environ):
            environ[REFUSAL] = _too_large(limit)
            return True
        seconds = BODY_SECONDS + (seconds_for(larger) if larger else 0.0)
        read = self._read_large if larger else self._read_small
        try:
            async with asyncio.timeout(seconds):
                is_whole, is_complete = await read(environ, receive, limit)
        except TimeoutError:
            environ[REFUSAL] = SlowBody(f"the body was not complete within {seconds:g} seconds")
            return True
        except StoreUnavailable as error:
            environ[REFUSAL] = error
            return True
        if not is_whole:
            environ[REFUSAL] = _too_large(limit)
        return not is_complete

    async def _read_small(self, environ: WSGIEnvironment, receive: Receive, limit: int) -> tuple[bool, bool]:
        """Whether the body is within ``limit``, and then in ``environ``; whether it was read to its end."""
        body, is_complete = await _collect(receive, limit)
        if body is not None:
            environ[BODY], environ["wsgi.input"], environ["CONTENT_LENGTH"] = body, BytesIO(body), str(len(body))
        return body is not None, is_complete

    async def _read_large(self, environ: WSGIEnvironment, receive: Receive, limit: int) -> tuple[bool, bool]:
        """The same for a body that is never in memory as a whole."""
        run = partial(asyncio.get_running_loop().run_in_executor, self._pool)
        body, length, is_complete = await self._spool.read(receive, limit, DRAIN_BYTES, run)
        if body is not None:
            environ[LARGE] = environ["wsgi.input"] = body
            environ["CONTENT_LENGTH"] = str(length)
            environ["wsgi.input_terminated"] = True  # also when it came in chunks: it ends where it ends
        return body is not None, is_complete

    async def _hold(self, environ: WSGIEnvironment, parked: Parked, is_inline: bool,
                    receive: Receive) -> Answer | None:
        """Wait for the parked request's answer. None: its client has left, and takes nothing with it."""
        loop = asyncio.get_running_loop()
        until = loop.time() + parked.seconds
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            while not self._is_stopping:
                rung: asyncio.Future[bool] = loop.create_future()
                leave = parked.join(lambda rung=rung: _wake(loop, rung))  # type: ignore[misc]  # binds this round's
                answer = await self._call(is_inline, ask_again, environ, may_wait=True)
                if not is_parked(environ):
                    leave(False)
                    return _unless_gone(answer, environ, gone)
                is_rung = await self._ring(rung, gone, until - loop.time())
                leave(is_rung and not gone.done())
                if gone.done():
                    return None
                if not is_rung:
                    break
            answer = await self._call(is_inline, ask_again, environ, may_wait=False)
            return _unless_gone(answer, environ, gone)
        finally:
            gone.cancel()

    async def _tell(self, answer: Answer, stream: Telling, receive: Receive, send: Send) -> None:
        """Send the head, and then what ``stream`` has, until it is over, its client leaves or the server stops."""
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await send(_head(answer))
            async for chunk in self._chunks(stream, gone):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except StoreUnavailable as error:
            log.warning("a stream ends: %s", error)  # its reader comes back, and says where it was
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            stream.close()

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A handshake is asked like a request; see ``web.websocket``."""
        environ = self.environ(websocket.as_request(scope))
        environ[websocket.WEBSOCKET] = True
        answer = await self._call(False, ask, environ)
        stream: Telling | None = environ[SEAT].stream
        if stream is None:
            await websocket.refuse(answer, _head(answer), send)
            return
        gone = asyncio.ensure_future(websocket.disconnected(receive))
        try:
            await websocket.tell(stream, self._chunks(stream, gone), send)
        finally:
            gone.cancel()
            stream.close()

    async def _chunks(self, stream: Telling, gone: asyncio.Future[None]) -> AsyncIterator[bytes]:
        """What ``stream`` has, as it comes, until it is over, its client is ``gone`` or the server stops."""
        loop = asyncio.get_running_loop()
        chunk: bytes | None = stream.greeting
        while not self._is_stopping and not gone.done():
            if chunk:
                yield chunk
            if stream.is_over():
                return
            rung: asyncio.Future[bool] = loop.create_future()
            stream.join(lambda rung=rung: _wake(loop, rung))  # type: ignore[misc]  # binds this round's
            chunk = stream.ready()
            if chunk is None:
                chunk = await loop.run_in_executor(self._pool, stream.fetch)
            if not chunk and not stream.is_over() and not await self._ring(rung, gone, BEAT_SECONDS):
                chunk = stream.beat

    async def _ring(self, rung: asyncio.Future[bool], gone: asyncio.Future[None], seconds: float) -> bool:
        """Whether the bell rang before time was up, the client left or the server stops."""
        self._parked.add(rung)
        try:
            await asyncio.wait((rung, gone), timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # a client's leaving that reached us together with the ring is seen now
            return rung.done() and rung.result()
        finally:
            self._parked.discard(rung)


class SlowBody(InvalidRequest):
    """The rest of the body did not come."""

    code = "REQUEST_TIMEOUT"
    status = 408


def _never(_method: str, _path: str) -> bool:
    """On Windows a file that somebody has open makes a rename wait: nothing runs on the event loop there."""
    return False


def _environ(scope: Scope) -> WSGIEnvironment:
    """The WSGI environ (PEP 3333) of an ASGI request."""
    raw_path: bytes = scope["raw_path"]
    environ: WSGIEnvironment = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": str(scope["server"][1]),
        "SERVER_PROTOCOL": "HTTP/" + scope["http_version"],
        "REMOTE_ADDR": scope["client"][0] if scope["client"] else "",
        TARGET: scope.get("target", raw_path).decode("latin-1"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        BODY: b"",
    }
    for raw_name, raw_value in scope["headers"]:
        name = _NAMES.get(raw_name) or _name(raw_name)
        if name:
            value = raw_value.decode("latin-1")
            environ[name] = f"{environ[name]},{value}" if name in environ else value
    return environ


def _name(raw_name: bytes) -> str:
    """The environ's name of a header; '' for one with an underscore: "x_worker_name" would pass for another."""
    return "" if b"_" in raw_name else "HTTP_" + raw_name.decode("latin-1").upper().replace("-", "_")


async def _collect(receive: Receive, limit: int) -> tuple[bytes | None, bool]:
    """The whole body, and whether it was read to its end; None when it is larger than ``limit`` bytes.

    Of one that is too large up to ``DRAIN_BYTES`` are read and thrown away.
    """
    chunks: list[bytes] = []
    total = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionResetError
        chunk = message.get("body", b"")
        total += len(chunk)
        if total > limit:
            chunks.clear()
        else:
            chunks.append(chunk)
        if not message.get("more_body") or total > limit + DRAIN_BYTES:
            return None if total > limit else b"".join(chunks), not message.get("more_body")


def _too_large(limit: int) -> TaskspoolError:
    return PayloadTooLarge(f"the body is larger than {limit} bytes", field="body", rule=f"at most {limit} bytes",
                           hint="put large data into a file and send its path")


async def _disconnected(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def _wake(loop: asyncio.AbstractEventLoop, rung: asyncio.Future[bool]) -> None:
    """Ring for a parked request, from any thread."""
    with contextlib.suppress(RuntimeError):  # the loop is closed: the server has stopped, nobody waits any more
        loop.call_soon_threadsafe(_settle, rung, True)


def _unless_gone(answer: Answer, environ: WSGIEnvironment, gone: asyncio.Future[None]) -> Answer | None:
    """``answer``, or None, and what it would have taken is given back, when its client has left."""
    if not gone.done():
        return answer
    give_back = environ[SEAT].give_back
    if give_back is not None:
        give_back()
    return None


def _head(answer: Answer) -> Message:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    return {"type": "http.response.start", "status": int(answer.status[:3]), "headers": headers}


async def _send(answer: Answer, send: Send) -> None:
    await send(_head(answer))
    await send({"type": "http.response.body", "body": answer.body()})
