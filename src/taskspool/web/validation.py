"""The rules of a request, told as FastAPI services tell them: every error at once, each as pydantic words it.

    {"type": "string_too_short", "loc": ["body", "title"], "msg": "String should have at least 1 character",
     "input": "", "ctx": {"min_length": 1}}

``loc`` begins with ``path``, ``query``, ``body`` or ``header``. The errors are pydantic's own, without their links;
so they are as in the services whose clients come here as long as both use a pydantic from 2.12 on. Order: places in
the path, the query in the order of its model's fields, then the body in the order of its. A body that is no JSON is
told alone, before anything else is looked at (contract todos-8001, 1.1). The list ends after ``MAX_ERRORS``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Generic, NamedTuple, TypeVar
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from taskspool.errors import InvalidRequest, TaskspoolError
from taskspool.web.errors import NotJson
from taskspool.web.json_body import parse
from taskspool.web.shape import raw_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from pydantic_core import ErrorDetails

MAX_BYTES = 1 << 20
"""The largest body that is read under a server that sets no bound itself (ours does, see ``web.bridge``)."""
MAX_ERRORS = 10_000
"""A mebibyte of wrong items would else be answered by sixty of complaints."""

Error = dict[str, Any]


class Invalid(TaskspoolError):
    """The request breaks rules. ``errors``: each as pydantic words it, ready for JSON; never empty."""

    code = "ValidationError"
    status = 422

    def __init__(self, errors: list[Error]) -> None:
        super().__init__("Validation error")
        self.errors = errors


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise PydanticCustomError("string_nul", "String should not contain NUL characters")
    return text


WithoutNul = AfterValidator(_without_nul)
"""For ``Annotated[str, ..., WithoutNul]``: PostgreSQL takes every character but this one."""
Text = Annotated[str, WithoutNul]

Query = TypeVar("Query", bound=BaseModel | None)
Body = TypeVar("Body", bound=BaseModel | None)


class Asked(NamedTuple, Generic[Query, Body]):
    """What a request asks: ``path`` (place -> value), ``query`` and ``body`` as their models, None without one."""

    path: dict[str, Any]
    query: Query
    body: Body


def read(environ: WSGIEnvironment, *, path: Mapping[str, tuple[Any, TypeAdapter[Any]]] | None = None,
         query: type[Query] = NoneType, body: type[Body] = NoneType,  # type: ignore[assignment]  # PEP 696 came later
         max_depth: int = 64) -> Asked[Query, Body]:
    """The request as values. Raises Invalid with all its errors; PayloadTooLarge.

    ``path``: place -> (text in the path, what it must be). Of a query parameter that is repeated the last counts,
    unknown ones are let be. ``max_depth``: how deep the body's arrays and objects may nest.
    """
    raw = _json(environ, max_depth) if issubclass(body, BaseModel) else _MISSING
    errors: list[Error] = []
    values = {name: _fit(errors, ("path", name), adapter.validate_python, text)
              for name, (text, adapter) in (path or {}).items()}
    asked = found = None
    if issubclass(query, BaseModel):
        texts = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
        asked = _fit(errors, ("query",), query.model_validate, texts)
    if issubclass(body, BaseModel):
        found = _fit_body(errors, body, raw)
    if errors:
        raise Invalid(errors[:MAX_ERRORS])
    return Asked(values, asked, found)  # type: ignore[arg-type]  # None exactly where no model was asked for


def errors_of(error: TaskspoolError, environ: WSGIEnvironment) -> list[Error] | None:
    """What a FastAPI service lists for ``error`` in a 422; None: it answers in another way.

    A body that does not say it is JSON is met by a gate, before any view.
    """
    if isinstance(error, Invalid):
        return error.errors
    if isinstance(error, NotJson):
        return [{"type": "content_type", "loc": ["header", "content-type"], "msg": error.message,
                 "input": environ.get("CONTENT_TYPE", "")}]
    return None


class _Missing:
    """No body at all."""


_MISSING = _Missing()


def _json(environ: WSGIEnvironment, max_depth: int) -> Any:
    """The body as a JSON value. Raises Invalid: where it breaks off, in the words of Python's own parser."""
    raw = raw_body(environ, MAX_BYTES)
    if not raw:
        return _MISSING
    try:
        return parse(raw, max_depth)
    except InvalidRequest as error:
        reason, place = _what_is_wrong(raw, error)
        raise Invalid([{"type": "json_invalid", "loc": ["body", place], "msg": "JSON decode error", "input": {},
                        "ctx": {"error": reason}}]) from None


def _what_is_wrong(raw: bytes, error: InvalidRequest) -> tuple[str, int]:
    """(reason, character): Python's own where it is no JSON, ours where two readers could read it differently."""
    if error.details.get("rule") == "JSON":
        try:
            json.loads(raw)
        except json.JSONDecodeError as wrong:
            return wrong.msg, wrong.pos
    return error.message, error.details.get("offset", 0)


def _fit_body(errors: list[Error], model: type[BaseModel], raw: Any) -> Any:
    """``raw`` as ``model``; ``null`` counts as nothing."""
    if raw is _MISSING or raw is None:
        errors.append({"type": "missing", "loc": ["body"], "msg": "Field required", "input": None})
        return None

    def validate(value: Any) -> BaseModel:
        return model.model_validate(value, from_attributes=True)  # FastAPI does: it decides how a wrong type is worded

    return _fit(errors, ("body",), validate, raw)


def _fit(errors: list[Error], place: tuple[str, ...], validate: Any, value: Any) -> Any:
    """``validate(value)``; what it finds wrong goes to ``errors``, below ``place``."""
    try:
        return validate(value)
    except ValidationError as error:
        errors.extend(_plain(one, place) for one in error.errors(include_url=False)[:MAX_ERRORS])
        return None


def _plain(error: ErrorDetails, place: tuple[str, ...]) -> Error:
    """``error`` for JSON; an exception in its context is told as ``{}``, as FastAPI does."""
    told: Error = {**error, "loc": [*place, *error["loc"]]}
    if "ctx" in told:
        told["ctx"] = {key: {} if isinstance(value, Exception) else value for key, value in told["ctx"].items()}
    return told
