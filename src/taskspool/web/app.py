"""One function builds an app from explicit parts: Flask inside, and the onion around it in readable order."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Flask, Request
from flask import request as current_request
from flask.sessions import SecureCookieSessionInterface
from werkzeug.routing import BaseConverter, MapAdapter, ValidationError
from werkzeug.wrappers import Response

from taskspool.engine.task import is_task_id
from taskspool.errors import TaskspoolError
from taskspool.settings import Settings
from taskspool.web import errors, guard, waiting
from taskspool.web.bridge import TARGET
from taskspool.web.compress import compressed
from taskspool.web.dialect import Dialect
from taskspool.web.errors import REQUEST_ID
from taskspool.web.route import Route, body_limits, quick_requests

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

IS_QUICK = "taskspool.is_quick"
"""Key in ``app.extensions`` of what says whether a request may run on the event loop."""
BODY_LIMIT = "taskspool.body_limit"
"""Key in ``app.extensions`` of what says how large the body of a request may be, if it may be larger than usual."""
ROUTE = "taskspool.route"
"""Key in the environ of the path of the route that answers, as it was declared."""
PAGE_POLICY = "taskspool.page_policy"
"""Key in the environ by which a view asks for other headers than an API answer has (``page_headers``)."""
MORE_HEADERS = "taskspool.more_headers"
"""Key in the environ of headers that the answer carries, also when it is an error."""

_ALWAYS = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), ("X-Frame-Options", "DENY"),
           ("Cross-Origin-Resource-Policy", "same-origin")]
_PAGE_SOURCES = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                 "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
API_HEADERS = [*_ALWAYS, ("Cache-Control", "no-store"),
               ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")]
PAGE_HEADERS = [*_ALWAYS, ("Cache-Control", "no-cache"), ("Cross-Origin-Opener-Policy", "same-origin"),
                ("Content-Security-Policy", _PAGE_SOURCES)]
EXPOSED = "Location, Retry-After, X-Request-ID, Preference-Applied, Task-Status, Log-Next"

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

access = logging.getLogger("taskspool.access")


def build_app(name: str, settings: Settings, routes: Sequence[Route], *, pages: Collection[str] = (),
              texts: re.Pattern[str] | None = None, explain_missing: Mapping[str, str] | None = None,
              dialect: Dialect = Dialect(), observe: Observe | None = None) -> Flask:  # noqa: B008  # it is frozen
    """A Flask app with ``routes``, wrapped in everything a request passes before and after them.

    ``pages``: paths a link on another site may lead to. ``texts``: paths whose bodies may be plain text (see
    ``guard.plain_json``). ``explain_missing``: path prefix -> text of a 404 below it. ``observe`` is told of every
    answer: method, path as declared (None: no such path), status, seconds.
    """
    app = (_Flask if observe is None else _ObservedFlask)(name, static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = dialect.slash is not None
    app.url_map.converters |= {"task_id": TaskId, "name": Name}
    errors.handle_in(app, explain_missing or {}, dialect.render)
    for route in routes:
        app.add_url_rule(route.path, f"{route.method} {route.path}", route.view, methods=[route.method],
                         provide_automatic_options=None if dialect.options_status == 200 else False)
    takers = {route.path for route in routes if not route.is_safe}
    _leave_out_head(app, {f"GET {route.path}" for route in routes if not (dialect.has_head and route.is_safe)})
    app.extensions[IS_QUICK] = quick_requests(routes, is_durable=settings.durability == "strict")
    app.extensions[BODY_LIMIT] = body_limits(routes)
    trusted = frozenset(settings.cors_origins)
    inner = preflighted(redirected(waiting.in_thread(app.wsgi_app), app, dialect), trusted)
    gates = guard.gates(settings, pages, takers, texts=texts, takes=dialect.takes)
    onion = dressed(compressed(guarded(inner, gates, dialect.render)), trusted, dialect, observe)
    app.wsgi_app = onion  # type: ignore[method-assign,assignment]  # Flask documents this as the place for middleware
    return app


def _leave_out_head(app: Flask, endpoints: Collection[str]) -> None:
    """Flask answers HEAD wherever it answers GET; where GET takes something away, a HEAD would lose it."""
    for rule in app.url_map.iter_rules():
        if rule.endpoint in endpoints and rule.methods is not None:
            rule.methods.discard("HEAD")


def redirected(app: WSGIApplication, flask: Flask, dialect: Dialect) -> WSGIApplication:
    """``app``, with the answers of ``dialect`` to OPTIONS, and to a path with a slash too many at its end."""
    slash = dialect.slash
    answers_options = dialect.options_status not in (None, 200)
    if slash is None and not answers_options:
        return app

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if slash is not None and path.endswith("/") and _methods_at(flask, environ, path.rstrip("/")):
            target = environ["SCRIPT_NAME"] + quote(path.rstrip("/").encode("latin-1"))
            query = f"?{environ['QUERY_STRING']}" if environ.get("QUERY_STRING") else ""
            location = f"{guard.own_origin(environ)}{target}{query}"
            return Response(status=slash(method), headers={"Location": location})(environ, start_response)
        if answers_options and method == "OPTIONS" and (allowed := _methods_at(flask, environ, path)):
            headers = {"Allow": ", ".join(sorted({*allowed, "OPTIONS"}))}
            return Response(status=dialect.options_status, headers=headers)(environ, start_response)
        return app(environ, start_response)

    return call


def _methods_at(flask: Flask, environ: WSGIEnvironment, path: str) -> Collection[str]:
    """Which methods are answered at ``path``; none where there is nothing."""
    adapter = MapAdapter(flask.url_map, environ["SERVER_NAME"], "/", "", environ["wsgi.url_scheme"], "/", "GET", "")
    try:
        text = path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return ()
    return list(adapter.allowed_methods(text)) if text else ()


class TaskId(BaseConverter):
    """A lower-case UUID; anything else is no address of ours, and never becomes part of a path."""

    regex = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

    def to_python(self, value: str) -> str:
        if not is_task_id(value):
            raise ValidationError
        return value


class Name(BaseConverter):
    """What people call something, which may hold a ``/`` (sent as ``%2F``)."""

    regex = ".+"
    part_isolating = False


class _NoSessions(SecureCookieSessionInterface):
    def open_session(self, app: Flask, request: Any) -> None:  # noqa: ARG002  # Flask's signature
        return None

    def make_null_session(self, app: Flask) -> Any:  # noqa: ARG002  # Flask's signature
        return {}

    def is_null_session(self, obj: object) -> bool:  # noqa: ARG002  # Flask's signature
        return True


class _Flask(Flask):
    """Flask without what nobody uses here: cookies, hooks, coroutine views, and matching of hosts (the guard's work).

    Each would cost every request a few microseconds.
    """

    session_interface = _NoSessions()

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func

    def preprocess_request(self, *_: Any) -> None:
        return None

    def process_response(self, *arguments: Any) -> Any:
        return arguments[-1]

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        if request is None:
            return None
        environ = request.environ
        return MapAdapter(self.url_map, environ["SERVER_NAME"], environ["SCRIPT_NAME"] or "/", "",
                          environ["wsgi.url_scheme"], request.path, request.method, environ.get("QUERY_STRING", ""))


class _ObservedFlask(_Flask):
    """The same, which notes which route answers."""

    def preprocess_request(self, *_: Any) -> None:
        rule = current_request.url_rule
        if rule is not None:
            current_request.environ[ROUTE] = rule.rule


def guarded(app: WSGIApplication, gates: Iterable[guard.Gate],
            render: errors.Render = errors.render) -> WSGIApplication:
    """``app`` behind ``gates``: the first that raises answers in its stead."""
    gates = tuple(gates)

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            for gate in gates:
                gate(environ)
        except TaskspoolError as error:
            return render(error, environ)(environ, start_response)
        return app(environ, start_response)

    return call


def preflighted(app: WSGIApplication, trusted: frozenset[str]) -> WSGIApplication:
    """``app``, with the answer to a browser that asks whether a ``trusted`` origin may send JSON."""
    allowed = Response(status=204, headers={
        "Access-Control-Allow-Methods": "GET, POST, PUT, DELETE",
        "Access-Control-Allow-Headers": "Content-Type, Idempotency-Key, Last-Event-ID, Lease-Token, Prefer, "
                                        "X-Request-ID, X-Worker-Name",
        "Access-Control-Max-Age": "600",
    })

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        is_asked = (environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
                    and environ.get("HTTP_ORIGIN") in trusted)
        return (allowed if is_asked else app)(environ, start_response)

    return call if trusted else app


Observe = Callable[[str, str | None, int, float], None]


def dressed(app: WSGIApplication, trusted: frozenset[str], dialect: Dialect = Dialect(),  # noqa: B008  # it is frozen
            observe: Observe | None = None) -> WSGIApplication:
    """``app`` with what every answer carries: request id, security headers, CORS where listed, a line in the log."""
    make_id = _any_id if dialect.echoes_request_id else _id_maker()
    is_id = bool if dialect.echoes_request_id else _REQUEST_ID.fullmatch

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        began = environ.get(BEGAN) or time.perf_counter()
        environ[BEGAN] = began
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if given and is_id(given) else make_id()
        environ[REQUEST_ID] = request_id

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            headers.append(("X-Request-ID", request_id))
            headers.extend(environ.get(PAGE_POLICY, API_HEADERS))
            headers.extend(environ.get(MORE_HEADERS, ()))
            if trusted:
                headers.extend(_cors(environ, trusted))
            if dialect.timing_header is not None:
                headers.append((dialect.timing_header, f"{time.perf_counter() - began:.3f}"))
            if not waiting.is_parked(environ):
                if observe is not None:
                    observe(environ["REQUEST_METHOD"], environ.get(ROUTE), int(status[:3]), time.perf_counter() - began)
                if access.isEnabledFor(logging.INFO):
                    _log(environ, status, began, headers)
            return start_response(status, headers, exc_info)

        return app(environ, start)

    return call


BEGAN = "taskspool.began"
"""Key of the instant (``time.perf_counter``) at which the request was first seen."""


def _any_id() -> str:
    return str(uuid.uuid4())


def _id_maker() -> Callable[[], str]:
    """Makes request ids: a random part per process and a count."""
    prefix = os.urandom(4).hex()
    numbers = itertools.count(1)
    return lambda: f"{prefix}-{next(numbers):x}"


def _cors(environ: WSGIEnvironment, trusted: frozenset[str]) -> list[tuple[str, str]]:
    origin = environ.get("HTTP_ORIGIN")
    if origin not in trusted:
        return [("Vary", "Origin")]
    return [("Vary", "Origin"), ("Access-Control-Allow-Origin", origin), ("Access-Control-Expose-Headers", EXPOSED)]


def _log(environ: WSGIEnvironment, status: str, began: float, headers: list[tuple[str, str]]) -> None:
    """One line for one answer. What the client chose is written in ASCII, so that it cannot forge another line."""
    milliseconds = (time.perf_counter() - began) * 1000
    target = environ.get(TARGET) or environ["PATH_INFO"]
    length = next((value for name, value in headers if name == "Content-Length"), None)
    fields = {"request_id": _plain(environ[REQUEST_ID]), "status": int(status[:3]), "ms": round(milliseconds, 1),
              "bytes": None if length is None else int(length), "route": environ.get(ROUTE),
              "client": environ.get("REMOTE_ADDR", ""), "agent": _plain(environ.get("HTTP_USER_AGENT", ""))}
    message = f"{environ['REQUEST_METHOD']} {_plain(target)} {status[:3]}"
    record = access.makeRecord(access.name, logging.INFO, "", 0, message, (), None, extra={"fields": fields})
    access.handle(record)


def _plain(text: str) -> str:
    """At most 200 characters of ``text``, all of them printable ASCII."""
    text = text[:200]
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if " " <= c <= "~" else f"\\u{ord(c):04x}" for c in text)
