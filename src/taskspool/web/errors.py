"""Errors on the wire: one JSON shape for everything that goes wrong, whoever found it.

    {"error": message, "code": CODE, "message": message, "details": {...}, "hint"?: text, "request_id": id}

``error`` is what the clients of seed 002 read. Who asks for ``application/problem+json`` (RFC 9457) gets the same
with ``type``, ``title``, ``status`` and ``detail`` beside it.

    TaskspoolError
    ├── NoSuchAddress      404  no route has this path
    ├── MethodNotAllowed   405  ``Allow`` says which methods there are
    ├── Forbidden          403  a browser asked on behalf of a page that may not
    ├── Misdirected        421  the Host header is not one of ours
    ├── NotJson            400  the body does not say that it is JSON; 400 is what the clients of seed 002 know
    ├── UnsupportedMedia   415  the body is compressed
    ├── UpgradeRequired    426  the address of a WebSocket was asked without a handshake
    ├── TooManyStreams     503  as many readers of events as there may be are open
    └── InternalError      500  a fault of ours; its reason stands in the log and nowhere else
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from taskspool.errors import (
    InvalidRequest, NotFound, PayloadTooLarge, ResultPending, StoreUnavailable, TaskspoolError,
)
from taskspool.web.reply import encode

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REQUEST_ID = "taskspool.request_id"
"""Key of the request's id in the WSGI environ."""
PROBLEM = "application/problem+json"
RETRY_SECONDS = 1
"""What Retry-After says where trying again helps."""

log = logging.getLogger("taskspool.web")


class NoSuchAddress(NotFound):
    code = "NOT_FOUND"


class MethodNotAllowed(TaskspoolError):
    code = "METHOD_NOT_ALLOWED"
    status = 405


class Forbidden(TaskspoolError):
    code = "FORBIDDEN"
    status = 403


class Misdirected(TaskspoolError):
    code = "WRONG_HOST"
    status = 421


class NotJson(InvalidRequest):
    code = "NOT_JSON"


class UnsupportedMedia(InvalidRequest):
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415


class UpgradeRequired(TaskspoolError):
    code = "UPGRADE_REQUIRED"
    status = 426


class TooManyStreams(TaskspoolError):
    code = "TOO_MANY_STREAMS"
    status = 503


class InternalError(TaskspoolError):
    code = "INTERNAL_ERROR"
    status = 500


def render(error: TaskspoolError, environ: WSGIEnvironment) -> Response:
    """``error`` as a response to the request of ``environ``."""
    shape: dict[str, Any] = {"error": error.message, "code": error.code, "message": error.message,
                             "details": dict(error.details)}
    if error.hint:
        shape["hint"] = error.hint
    if isinstance(error, ResultPending):
        shape |= {"task_id": error.details.get("task_id"), "status": error.details.get("status")}
    shape["request_id"] = environ.get(REQUEST_ID, "")
    content_type = "application/json; charset=utf-8"
    if PROBLEM in environ.get("HTTP_ACCEPT", ""):
        shape |= {"type": "about:blank", "title": error.code.replace("_", " ").capitalize(), "status": error.status,
                  "detail": error.message}
        content_type = PROBLEM
    response = Response(encode(shape), error.status, content_type=content_type)
    if isinstance(error, UpgradeRequired):
        response.headers["Upgrade"] = "websocket"
    if isinstance(error, (StoreUnavailable, ResultPending, TooManyStreams)):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


Render = Callable[[TaskspoolError, "WSGIEnvironment"], Response]


def handle_in(app: Flask, explain_missing: Mapping[str, str], render: Render = render) -> None:
    """Let ``app`` answer every error with ``render``. ``explain_missing``: path prefix -> what a 404 below it says."""

    def known(error: TaskspoolError) -> Response:
        return render(error, request.environ)

    def http(error: HTTPException) -> Response:
        response = render(from_http(error, explain_missing), request.environ)
        if response.status_code == 405:
            response.headers["Allow"] = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        return response

    def unknown(error: Exception) -> Response:
        log.error("unexpected error, request %s", request.environ.get(REQUEST_ID, ""), exc_info=error)
        return render(InternalError("the server failed to answer; the reason is in its log"), request.environ)

    app.register_error_handler(TaskspoolError, known)
    app.register_error_handler(HTTPException, http)
    app.register_error_handler(Exception, unknown)


def from_http(error: HTTPException, explain_missing: Mapping[str, str]) -> TaskspoolError:
    """Flask's and Werkzeug's own errors as ours."""
    if error.code == 404:
        told = (text for prefix, text in explain_missing.items() if request.path.startswith(prefix))
        return NoSuchAddress(next(told, "there is nothing at this address; GET / lists what there is"))
    if error.code == 405:
        return MethodNotAllowed(f"{request.method} is not possible here; the header Allow says what is")
    if error.code == 413:
        return PayloadTooLarge("the body is too large", field="body", rule="size")
    if error.code is not None and 400 <= error.code < 500:
        return InvalidRequest(error.description or error.name)
    return InternalError("the server failed to answer; the reason is in its log")
