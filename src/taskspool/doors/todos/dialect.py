"""How this door speaks: the habits of the FastAPI service whose clients come here (contract todos-8001, 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from taskspool.errors import NotFound, StoreUnavailable, TaskspoolError
from taskspool.web import guard
from taskspool.web.dialect import Dialect
from taskspool.web.errors import REQUEST_ID, RETRY_SECONDS, InternalError, MethodNotAllowed, NoSuchAddress
from taskspool.web.reply import plain_reply
from taskspool.web.validation import errors_of

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HTTP_EXCEPTION = "HTTPException"
_WORDS: dict[type[TaskspoolError], str] = {NoSuchAddress: "Not Found", MethodNotAllowed: "Method Not Allowed"}


def render(error: TaskspoolError, environ: WSGIEnvironment) -> Response:
    """``error`` in the one shape of this door.

    What the original has no error for (a strange Host, a body too large, a dead database) is an ``HTTPException`` as
    well; ``details`` then name the rule, its ``code``, and the hint for a person.
    """
    errors = errors_of(error, environ)
    if errors is not None:
        return _shaped(environ, 422, "Validation error", "ValidationError", {"validation_errors": errors})
    if isinstance(error, InternalError):
        return _shaped(environ, 500, "Internal server error", "InternalServerError", {})
    if isinstance(error, NotFound | MethodNotAllowed):
        return _shaped(environ, error.status, _WORDS.get(type(error), error.message), HTTP_EXCEPTION, {})
    details = {"code": error.code, **error.details, **({"hint": error.hint} if error.hint else {})}
    response = _shaped(environ, error.status, error.message, HTTP_EXCEPTION, details)
    if isinstance(error, StoreUnavailable):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


def _shaped(environ: WSGIEnvironment, status: int, message: str, error_code: str, details: dict[str, Any]) -> Response:
    return plain_reply({"success": False, "message": message, "error_code": error_code, "details": details,
                        "request_id": environ.get(REQUEST_ID, "")}, status)


DIALECT = Dialect(render=render, takes=guard.says_json_or_nothing, echoes_request_id=True,
                  timing_header="X-Process-Time", slash=lambda _method: 307, has_head=False, options_status=None)
