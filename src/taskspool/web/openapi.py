"""OpenAPI 3.1 from the route declarations: what is served is what is described."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from taskspool.web.route import Route

_PLACE = re.compile(r"<(?:([a-z_]+):)?([a-z_]+)>")
_WORDS = re.compile("[^a-z]+")
_REF = "#/components/schemas/{model}"
TASK_ID = {"type": "string", "format": "uuid",
           "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"}

Mode = Literal["validation", "serialization"]


def describe(routes: Sequence[Route], *, title: str, version: str, description: str, tags: Sequence[str],
             error: type[BaseModel], errors: Mapping[int, type[BaseModel]] | None = None) -> dict[str, Any]:
    """The description as a JSON value.

    ``tags``: in which order they are shown. ``error``: the shape of every answer from 400 on, but for the statuses of
    ``errors``.
    """
    routes = [route for route in routes if route.is_documented]
    errors = errors or {}
    names, schemas = _schemas(routes, [error, *errors.values()])
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operation = _operation(route, names, defaultdict(lambda: error, errors))
        paths.setdefault(_path(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": description, "license": {"name": "MIT"}},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in tags],
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _path(route: Route) -> str:
    return _PLACE.sub(r"{\2}", route.path)


Names = dict[type[BaseModel], dict[str, str]]


def _schemas(routes: Iterable[Route], errors: Iterable[type[BaseModel]]) -> tuple[Names, dict[str, Any]]:
    """Model -> reference, and the schemas referred to."""
    models: list[tuple[type[BaseModel], Mode]] = [(error, "serialization") for error in errors]
    for route in routes:
        models += [] if route.body is None else [(route.body, "validation")]
        models += [(model, "serialization") for _, model in route.replies.values() if model is not None]
    refs, definitions = models_json_schema(list(dict.fromkeys(models)), ref_template=_REF)
    return {cast("type[BaseModel]", model): ref for (model, _), ref in refs.items()}, definitions.get("$defs", {})


def _operation(route: Route, names: Names, errors: Mapping[int, type[BaseModel]]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{_WORDS.sub('_', _path(route)).strip('_')}",
        "tags": [route.tag],
        "summary": route.summary,
        "parameters": [
            *_path_parameters(route),
            *({"name": one.name, "in": one.place, "schema": one.schema, "description": one.description,
               **({"required": True} if one.is_required else {})} for one in route.parameters),
        ],
        "responses": {
            str(status): _response(text, names.get(model or errors[status]) if model or status >= 400 else None)
            for status, (text, model) in sorted(route.replies.items())},
    }
    content = {media_type: {"schema": schema} for media_type, schema in route.body_types.items()}
    if route.body is not None:
        content = {"application/json": {"schema": names[route.body]}, **content}
    if content:
        operation["requestBody"] = {"required": not route.is_body_optional, "content": content}
    return operation


_NAME = {"type": "string", "minLength": 1, "maxLength": 128, "format": "name"}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True,
             "schema": TASK_ID if kind == "task_id" else route.path_schemas.get(name, _NAME)}
            for kind, name in _PLACE.findall(route.path)]


def _response(text: str, schema: dict[str, str] | None) -> dict[str, Any]:
    content = {} if schema is None else {"content": {"application/json": {"schema": schema}}}
    return {"description": text, **content}
