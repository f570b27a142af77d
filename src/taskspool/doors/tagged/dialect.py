"""How this door speaks: as a FastAPI service with no error handlers of its own does, ``{"detail": ...}``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from taskspool.errors import NotFound, StoreUnavailable, TaskspoolError
from taskspool.web import guard
from taskspool.web.dialect import Dialect
from taskspool.web.errors import RETRY_SECONDS, InternalError, MethodNotAllowed, NoSuchAddress
from taskspool.web.reply import plain_reply
from taskspool.web.validation import errors_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_WORDS: dict[type[TaskspoolError], str] = {NoSuchAddress: "Not Found", MethodNotAllowed: "Method Not Allowed",
                                           InternalError: "Internal Server Error"}


def render(error: TaskspoolError, environ: WSGIEnvironment) -> Response:
    """``error`` as ``{"detail": message}``; broken rules of a request as ``{"detail": [each of them]}``.

    What such a service has no error for (a strange Host, a body too large, a dead database) has ``code`` and, where a
    person can act, ``hint`` beside it.
    """
    errors = errors_of(error, environ)
    if errors is not None:
        return plain_reply({"detail": errors}, 422)
    shape: dict[str, Any] = {"detail": _WORDS.get(type(error), error.message)}
    if not isinstance(error, NotFound | MethodNotAllowed | InternalError):
        shape |= {"code": error.code, **({"hint": error.hint} if error.hint else {})}
    response = plain_reply(shape, error.status)
    if isinstance(error, StoreUnavailable):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


DIALECT = Dialect(render=render, takes=guard.says_json_or_nothing, slash=lambda _method: 307, has_head=False,
                  options_status=None)
