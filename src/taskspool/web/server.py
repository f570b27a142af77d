"""Serving: uvicorn in this process, with our sockets, our limits and our way to stop.

One process, one event loop, a bounded pool of threads. It stops within ``STOP_SECONDS`` of SIGINT or SIGTERM even with
long polls open: they are answered with what there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import uvicorn

from taskspool.settings import Settings
from taskspool.web.app import BODY_LIMIT, IS_QUICK
from taskspool.web.bridge import ENVELOPE_BYTES, Front
from taskspool.web.lane import FastLane
from taskspool.web.port import listen
from taskspool.web.protocol import IDLE_SECONDS, Protocol
from taskspool.web.websocket import MAX_MESSAGE_BYTES, PING_SECONDS, SocketProtocol

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask import Flask

STOP_SECONDS = 3
"""How long requests may go on after the signal; what is not done then is cut off."""
MAX_CONNECTIONS = 12_000
ACCEPTED_AT_ONCE = 64
"""asyncio takes so many new connections in one go (it calls that backlog); in between it serves those it has."""
WAITING_TO_CONNECT = 4096
"""How many may wait in the kernel."""


class Serving:
    """A server to run once, in any thread: ``run`` blocks until ``stop`` (any thread) or a signal (main thread)."""

    def __init__(self, app: Flask | WSGIApplication, settings: Settings, *,
                 is_quick: Callable[[str, str], bool] | None = None, host: str | None = None,
                 port: int | None = None) -> None:
        """Binds the port. Raises RefusedToStart."""
        self.sockets = listen(settings.host if host is None else host, settings.port if port is None else port)
        self.host, self.port = self.sockets[0].getsockname()[:2]
        extensions: Mapping[str, Any] = getattr(app, "extensions", {})
        self._front = Front(app, is_quick=is_quick or extensions[IS_QUICK],
                            max_body_bytes=settings.max_task_bytes + ENVELOPE_BYTES,
                            body_limit=extensions.get(BODY_LIMIT, lambda _method, _path: None),
                            spool_folder=settings.root / "uploads" / "tmp")
        self.protocol = type("Limited", (FastLane,), {"max_connections": allow_many_files()})
        self._server = _Server(_config(self._front, self.protocol), self._front)

    def run(self) -> None:
        try:
            self._server.run(sockets=self.sockets)
        finally:
            self._front.close()
            for one in self.sockets:
                one.close()

    def stop(self) -> None:
        self._server.should_exit = True


def serve(app: Flask | WSGIApplication, settings: Settings, *, is_quick: Callable[[str, str], bool] | None = None,
          host: str | None = None, port: int | None = None,
          on_ready: Callable[[str, int], None] | None = None) -> None:
    """Serve an app of ``web.app.build_app``, or one that calls such apps, until SIGINT or SIGTERM.

    ``is_quick(method, path)``: see ``web.bridge``; None takes what the app's routes say.
    ``on_ready(host, port)`` is called once it listens. Raises RefusedToStart: the port is taken, or not allowed.
    """
    serving = Serving(app, settings, is_quick=is_quick, host=host, port=port)
    if on_ready is not None:
        on_ready(serving.host, serving.port)
    serving.run()


def _config(front: Front, protocol: type[FastLane]) -> uvicorn.Config:
    return uvicorn.Config(
        cast(Any, front),  # uvicorn's own ASGI types are narrower than the protocol
        http=cast(Any, protocol),
        ws=SocketProtocol,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PING_SECONDS,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody stands in front of us whose X-Forwarded-For we would believe
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=STOP_SECONDS,
        backlog=ACCEPTED_AT_ONCE,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, with our signals (it would raise them again after it stopped), deadlines and stop."""

    def __init__(self, config: uvicorn.Config, front: Front) -> None:
        super().__init__(config)
        self._front = front

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(WAITING_TO_CONNECT)  # asyncio has just set it to what it takes in one go

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second a tenth of the connections: to cut off thousands at once would keep the others waiting."""
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections)[counter % 10::10]:
            cast(Protocol, connection).drop_if_late(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._front.stop()
        for connection in list(self.server_state.connections):
            if cast(Protocol, connection).head_since is not None:
                cast(Protocol, connection).transport.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in _signals()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """The first asks to stop, a second one does not wait for anybody."""
        self.force_exit = self.should_exit
        self.should_exit = True


def _signals() -> Sequence[int]:
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGBREAK)
    return (signal.SIGINT, signal.SIGTERM)


def allow_many_files() -> int:
    """Raise this process's own limit of open files as far as it may; the connections it can then hold."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource  # noqa: PLC0415  # does not exist on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + 1_000
    if soft < wanted:
        soft = min(hard, wanted) if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return min(MAX_CONNECTIONS, soft - 200)
