"""Bodies of requests: bytes -> strictly parsed JSON -> a frozen model, or an InvalidRequest naming field and rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from werkzeug.wsgi import get_input_stream

from taskspool.errors import InvalidRequest
from taskspool.web.bridge import BODY
from taskspool.web.json_body import parse_object

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from pydantic_core import ErrorDetails


class Shape(BaseModel):
    """A body: exact types (no "3" for 3), unknown keys let be (older and newer clients send some)."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


AnyShape = TypeVar("AnyShape", bound=BaseModel)


def read(environ: WSGIEnvironment, shape: type[AnyShape], *, max_bytes: int, max_depth: int) -> AnyShape:
    """The body of the request as ``shape``; no body counts as ``{}``. Raises InvalidRequest, PayloadTooLarge."""
    return fit(shape, parse_object(raw_body(environ, max_bytes), max_depth))


def raw_body(environ: WSGIEnvironment, max_bytes: int) -> bytes:
    """The whole body. Raises Werkzeug's RequestEntityTooLarge, under another server than ours."""
    raw: bytes | None = environ.get(BODY)
    if raw is None:  # under another server than ours; kept, because a request that waits is asked again
        raw = environ[BODY] = get_input_stream(environ, max_content_length=max_bytes).read()
    return raw


def fit(shape: type[AnyShape], value: dict[str, Any]) -> AnyShape:
    """``value`` as ``shape``. Raises InvalidRequest for the first field that breaks its rule."""
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        raise _explain(error.errors(include_url=False, include_input=False)[0]) from None


_RULES = {
    "missing": "is missing", "string_type": "must be a string", "int_type": "must be a whole number",
    "float_type": "must be a number", "bool_type": "must be true or false", "dict_type": "must be a JSON object",
    "list_type": "must be an array", "tuple_type": "must be an array", "model_type": "must be a JSON object",
    "finite_number": "must be finite", "none_required": "is not possible here", "datetime_type": "must be a time",
    "literal_error": "is not one of the words it may be",
}
_BOUNDS = {
    "greater_than_equal": "must be at least {ge}", "less_than_equal": "must be at most {le}",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have at most {max_length} characters", "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must hold {min_length} or more", "too_long": "must hold at most {max_length}",
}


def _explain(error: ErrorDetails) -> InvalidRequest:
    field = ".".join(map(str, error["loc"])) or "body"
    kind = error["type"]
    if kind in _BOUNDS:
        rule = _BOUNDS[kind].format(**error.get("ctx", {}))
    elif kind == "value_error":
        rule = str(error["msg"]).removeprefix("Value error, ")
    else:
        rule = _RULES.get(kind, error["msg"])
    return InvalidRequest(f"{field} {rule}", field=field, rule=rule)
