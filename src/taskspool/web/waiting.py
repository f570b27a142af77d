"""Long polls: the view answers "park me", whoever called it waits, and asks it again when a bell rings.

A view that finds nothing, and may wait, returns ``park(...)``. What happens then is the caller's business:

* the front (``web.bridge``) waits on the event loop: a parked request costs a few kilobytes and no thread;
* under any plain WSGI server (and Flask's test client) ``in_thread`` waits in the request's own thread.

Both do the same: join the line, look again at once (so that nothing can arrive unseen between the look and the wait),
then wait for the ring, the end of the time, or the client's leaving.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.wrappers import Response

from taskspool.clock import SystemClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from taskspool.web.streams import Telling

SEAT = "taskspool.seat"
"""Key of the ``Seat`` in the WSGI environ."""

Leave = Callable[[bool], None]
"""Leaves the line. The argument says whether a ring was followed by a look (False passes an unused ring on)."""


class Parked(NamedTuple):
    """``seconds`` to wait at most; ``join(wake)`` joins the line and returns how to leave it.

    ``wake`` may be called from any thread.
    """

    seconds: float
    join: Callable[[Callable[[], None]], Leave]


class Seat:
    """One request's place in the waiting room: where its view and whoever called it leave word for each other.

    ``may_wait`` False: this is the last look, answer with what there is. ``parked``: the view asks to wait.
    ``stream``: the body that follows the answer's head, and may never end.
    ``give_back``: called when the answer cannot be delivered because its client has left.
    """

    __slots__ = ("give_back", "may_wait", "parked", "stream")

    def __init__(self) -> None:
        self.may_wait = True
        self.parked: Parked | None = None
        self.stream: Telling | None = None
        self.give_back: Callable[[], None] | None = None


class Answer:
    """What a WSGI app said: ``status`` like "200 OK", ``headers``, and ``chunks`` of the body."""

    __slots__ = ("chunks", "headers", "status")

    def __init__(self) -> None:
        self.status = ""
        self.headers: list[tuple[str, str]] = []
        self.chunks: Iterable[bytes] = ()

    def start(self, status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], object]:
        """The ``start_response`` of WSGI."""
        self.status, self.headers = status, headers
        return _no_write

    def body(self) -> bytes:
        """The whole body, and the end of what made it."""
        try:
            return b"".join(self.chunks)
        finally:
            close = getattr(self.chunks, "close", None)
            if close is not None:
                close()


def _no_write(data: bytes) -> object:
    raise NotImplementedError("this server takes bodies as iterables only")


def ask(app: WSGIApplication, environ: WSGIEnvironment) -> Answer:
    """Call ``app`` once."""
    answer = Answer()
    answer.chunks = app(environ, answer.start)
    return answer


def ask_again(app: WSGIApplication, environ: WSGIEnvironment, *, may_wait: bool) -> Answer:
    """Call ``app`` once more for a request that was parked."""
    seat: Seat = environ[SEAT]
    seat.parked, seat.may_wait = None, may_wait
    return ask(app, environ)


def park(environ: WSGIEnvironment, parked: Parked) -> Response:
    """The answer of a view that wants to wait. Nobody ever receives this response."""
    environ[SEAT].parked = parked
    return Response(status=204)


def may_wait(environ: WSGIEnvironment) -> bool:
    """Whether the view may park: not on the last look, and only where somebody would do the waiting."""
    seat: Seat | None = environ.get(SEAT)
    return seat is not None and seat.may_wait


def is_parked(environ: WSGIEnvironment) -> bool:
    """Whether the answer given is only "park me", not one for the client."""
    seat: Seat | None = environ.get(SEAT)
    return seat is not None and seat.parked is not None


def in_thread(app: WSGIApplication) -> WSGIApplication:
    """``app`` for servers without the front: a parked request waits in the thread that brought it."""

    def waiting(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if SEAT in environ:
            return app(environ, start_response)
        seat = environ[SEAT] = Seat()
        answer = ask(app, environ)
        if seat.parked is not None:
            answer = _wait(app, environ, seat.parked)
        start_response(answer.status, answer.headers)
        return answer.chunks if seat.stream is None else seat.stream.chunks()

    return waiting


def _wait(app: WSGIApplication, environ: WSGIEnvironment, parked: Parked) -> Answer:
    clock = SystemClock()
    until = clock.monotonic() + parked.seconds
    is_rung = True
    while is_rung:
        rung = threading.Event()
        leave = parked.join(rung.set)
        answer = ask_again(app, environ, may_wait=True)
        if not is_parked(environ):
            leave(False)
            return answer
        is_rung = rung.wait(max(0.0, until - clock.monotonic()))
        leave(is_rung)
    return ask_again(app, environ, may_wait=False)
