"""How this door says no: ``{"error", "message", "code", "details"}``, and 404 for whatever is not there.

``error`` is the short title clients know, ``code`` one of the six of seed 004 wherever one fits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from taskspool.errors import (
    InvalidRequest, NotRetryable, PayloadTooLarge, QueueFull, StoreUnavailable, TaskFinished, TaskNotFound,
    TaskspoolError,
)
from taskspool.web import guard
from taskspool.web.dialect import Dialect
from taskspool.web.errors import (
    RETRY_SECONDS, Forbidden, InternalError, MethodNotAllowed, Misdirected, NoSuchAddress, UnsupportedMedia,
)
from taskspool.web.reply import JSON, encode

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


class InvalidTaskType(InvalidRequest):
    """``task_type`` is none of those there are."""


class InvalidPriority(InvalidRequest):
    """``priority`` is none of those there are."""


class InvalidProgress(InvalidRequest):
    """``progress`` is no whole number in 0..100."""


class InvalidQuery(InvalidRequest):
    """A parameter of the query breaks its rule."""


class EmptyRequest(InvalidRequest):
    """A batch without tasks."""


class TooManyTasks(InvalidRequest):
    """A batch of more tasks than one may have."""


TITLES: Mapping[type[TaskspoolError], tuple[str, str | None]] = {
    InvalidTaskType: ("Invalid task type", "INVALID_REQUEST"),
    InvalidPriority: ("Invalid priority", "INVALID_REQUEST"),
    InvalidProgress: ("Invalid progress", "INVALID_REQUEST"),
    InvalidQuery: ("Invalid query parameters", "INVALID_REQUEST"),
    EmptyRequest: ("Empty request", "INVALID_REQUEST"),
    TooManyTasks: ("Too many tasks", "INVALID_REQUEST"),
    PayloadTooLarge: ("Request body too large", None),
    UnsupportedMedia: ("Unsupported media type", None),
    InvalidRequest: ("Invalid request body", "INVALID_REQUEST"),
    TaskNotFound: ("Task not found", "TASK_NOT_FOUND"),
    TaskFinished: ("Task not cancelable", "TASK_NOT_CANCELABLE"),
    NotRetryable: ("Task not retryable", "TASK_NOT_RETRYABLE"),
    QueueFull: ("Queue is full", "QUEUE_FULL"),
    StoreUnavailable: ("Service unavailable", "SERVICE_UNAVAILABLE"),
    Forbidden: ("Forbidden", None),
    Misdirected: ("Misdirected request", None),
    InternalError: ("Internal server error", None),
}
"""Class -> (title, code; None: its own). The nearest ancestor that is listed counts."""
MESSAGES: Mapping[type[TaskspoolError], str] = {
    TaskNotFound: "Task with specified ID does not exist",
    TaskFinished: "Task is in a state that cannot be canceled",
    NotRetryable: "Task cannot be retried in current state or has exceeded max retries",
}
"""What clients know word for word."""
NOT_THERE = "The requested endpoint does not exist"


_OF_A_TASK = re.compile(r"(?:GET|DELETE) /api/v1/tasks/([^/]+)|POST /api/v1/tasks/([^/]+)/retry"
                        r"|PUT /api/v1/tasks/([^/]+)/progress")
"""Where a task is meant whose id cannot be one: for clients that is a task that is missing."""


def render(error: TaskspoolError, environ: WSGIEnvironment) -> Response:
    """``error`` as a response to the request of ``environ``."""
    if isinstance(error, NoSuchAddress | MethodNotAllowed):
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        found = _OF_A_TASK.fullmatch(f"{environ['REQUEST_METHOD']} {path}")
        if found is not None:
            return render(TaskNotFound("no task can have this id", task_id=found[found.lastindex or 0]), environ)
        return _response(404, {"error": "Not Found", "message": NOT_THERE, "path": path, "code": "NOT_FOUND",
                               "details": {"path": path}})
    title, code = next((TITLES[kind] for kind in type(error).__mro__ if kind in TITLES), (error.message, None))
    message = next((MESSAGES[kind] for kind in type(error).__mro__ if kind in MESSAGES), error.message)
    details = dict(error.details) | ({"hint": error.hint} if error.hint else {})
    status = 503 if isinstance(error, StoreUnavailable) else error.status
    response = _response(status, {"error": title, "message": message, "code": code or error.code, "details": details})
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _response(status: int, shape: Mapping[str, Any]) -> Response:
    return Response(encode(shape), status, content_type=JSON)


def _slash(method: str) -> int:
    """As gin redirects: a GET for good, anything else so that it is sent again as it was."""
    return 301 if method == "GET" else 307


DIALECT = Dialect(render=render, takes=guard.says_anything, slash=_slash, has_head=False, options_status=204)
