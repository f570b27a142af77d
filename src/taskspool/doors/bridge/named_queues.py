"""Other queues below the same root: what is asked below ``/queues/<name>/`` is asked of that queue, with the same API.

    /queues/reports/api/tasks  ──>  the bridge of the queue ``reports``: POST /api/tasks

A queue is opened when it is first asked for, if it is there; a first submit makes it, unless that is refused. It stays
open, with the sweeper and whatever else goes on without a caller, until the server stops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flask import Flask

from taskspool.doors.bridge import PAGES, create_app
from taskspool.doors.bridge.first_submit import SUBMITS, check_first
from taskspool.doors.bridge.log_views import TEXT_PATHS
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.queues import names_below
from taskspool.engine.sweep import Ticker
from taskspool.errors import QueueNotFound, RefusedToStart, StoreUnavailable, TaskspoolError
from taskspool.settings import Settings, check
from taskspool.web import errors, guard
from taskspool.web.app import IS_QUICK, dressed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PREFIX = "/queues/"
MAX_OPEN = 64


class TooManyQueues(TaskspoolError):
    code = "TOO_MANY_QUEUES"
    status = 503


@dataclass(frozen=True, slots=True)
class Opened:
    """A queue that is being served. ``queue`` None: the default one, which is somebody else's to close."""

    app: Flask
    queue: Queue | None = None
    tickers: Sequence[Ticker] = ()

    def is_quick(self, method: str, path: str) -> bool:
        return bool(self.app.extensions[IS_QUICK](method, path))


class NamedQueues:
    """WSGI application: the bridge of ``queue``, and those of all other queues below its root.

    ``tickers_of`` makes what goes on without a caller; it is started with each queue, and stopped by ``close``.
    """

    def __init__(self, queue: Queue, settings: Settings, tickers_of: Callable[[Queue], Sequence[Ticker]]) -> None:
        self._settings = settings
        self._tickers_of = tickers_of
        self._default = Opened(create_app(queue, settings))
        self._open = {settings.queue: self._default}
        self._lock = threading.Lock()
        self._gates = guard.gates(settings, PAGES, texts=TEXT_PATHS)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        name, path = _split(environ["PATH_INFO"])
        if name is None:
            return self._default.app(environ, start_response)
        try:
            opened = self._opened(name, path, environ)
        except TaskspoolError as error:
            return self._refusing(error)(environ, start_response)
        place = environ["SCRIPT_NAME"] + PREFIX + environ["PATH_INFO"][len(PREFIX):].partition("/")[0]
        return opened.app({**environ, "SCRIPT_NAME": place, "PATH_INFO": path}, start_response)

    def is_quick(self, method: str, path: str) -> bool:
        """See ``web.bridge``. Opening a queue is not."""
        name, rest = _split(path)
        opened = self._default if name is None else self._open.get(name)
        return opened is not None and opened.is_quick(method, path if name is None else rest)

    def close(self) -> None:
        """Stop and close every queue that was opened here."""
        with self._lock:
            opened, self._open = list(self._open.values()), {}
        for one in opened:
            for ticker in reversed(one.tickers):
                ticker.stop()
            if one.queue is not None:
                one.queue.close()

    def _opened(self, name: str, path: str, environ: WSGIEnvironment) -> Opened:
        """The queue ``name``, opened if need be: only for whom the gates let pass."""
        opened = self._open.get(name)
        if opened is not None:
            return opened
        for gate in self._gates:
            gate(environ)
        is_submit = environ["REQUEST_METHOD"] == "POST" and path in SUBMITS
        settings = check(replace(self._settings, queue=name))
        if name not in names_below(settings):
            if not is_submit:
                raise QueueNotFound(f"there is no queue {name!r}", queue=name,
                                    hint="a first task submitted to it makes it; GET /queues lists what there is")
            check_first(environ, path, settings)
        with self._lock:
            if name not in self._open:
                self._open[name] = self._begin(settings)
            return self._open[name]

    def _begin(self, settings: Settings) -> Opened:
        if len(self._open) >= MAX_OPEN:
            raise TooManyQueues(f"{MAX_OPEN} queues are open, and none is closed before this server stops")
        try:
            queue = open_queue(settings)
        except RefusedToStart as error:
            raise StoreUnavailable(error.message, hint=error.hint) from error
        tickers = self._tickers_of(queue)
        for ticker in tickers:
            ticker.start()
        return Opened(create_app(queue, settings), queue, tickers)

    def _refusing(self, error: TaskspoolError) -> WSGIApplication:
        def refuse(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            return errors.render(error, environ)(environ, start_response)

        return dressed(refuse, frozenset(self._settings.cors_origins))


def _split(path: str) -> tuple[str | None, str]:
    """(name of the queue, the path within it); None when the path is not below ``PREFIX``."""
    if not path.startswith(PREFIX):
        return None, path
    name, _, rest = path[len(PREFIX):].partition("/")
    try:
        return name.encode("latin-1").decode() or None, f"/{rest}"
    except UnicodeError:
        return None, path
