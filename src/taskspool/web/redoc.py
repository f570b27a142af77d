"""/redoc: the description as one page to read and to print: no script, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flask import render_template_string
from werkzeug.wrappers import Response

from taskspool.web.pages import files_in, files_view, page
from taskspool.web.route import Route, Work

PAGES = frozenset({"/redoc"})
"""Paths here that a link on another site may lead to."""
FOLDER = Path(__file__).parent / "reference"
MAX_DEPTH = 5
"""So deep a model is unfolded; below it only its name stands."""

Schema = Mapping[str, Any]

_RULES = {"minLength": "length ≥ {}", "maxLength": "length ≤ {}", "minimum": "≥ {}", "maximum": "≤ {}",
          "exclusiveMinimum": "> {}", "exclusiveMaximum": "< {}", "minItems": "items ≥ {}", "maxItems": "items ≤ {}",
          "pattern": "matches {}", "const": "always {}"}
_IN_WORDS = {"matches ^[^\\u0000]*$": "no NUL"}


class Row(NamedTuple):
    """One field of a body, or one parameter. ``depth``: how many models it lies within."""

    name: str
    type: str
    is_required: bool
    rules: str
    description: str
    depth: int


class Content(NamedTuple):
    """What one body holds. ``type``: what it is as a whole."""

    media_type: str
    type: str
    rows: list[Row]


class Answer(NamedTuple):
    status: str
    text: str
    contents: list[Content]


class Operation(NamedTuple):
    anchor: str
    method: str
    path: str
    summary: str
    parameters: list[tuple[str, list[Row]]]
    body: list[Content]
    answers: list[Answer]


def redoc_routes(describe: Callable[[], dict[str, Any]]) -> list[Route]:
    """``describe`` gives the description (``openapi.describe``); it is asked once, when somebody first looks."""
    told = cache(lambda: _page_of(describe()))

    def reference() -> Response:
        return page(told())

    files = files_view(files_in(FOLDER, "reference.css"))
    return [Route("GET", "/redoc", reference, "The description, to read", Work.SLOW, is_documented=False),
            Route("GET", "/redoc/<name>", files, "", Work.SLOW, is_documented=False)]


def _page_of(description: Mapping[str, Any]) -> str:
    template = (FOLDER / "reference.html").read_text(encoding="utf-8")
    return render_template_string(template, info=description["info"], groups=groups_of(description),
                                  openapi=description["openapi"])


def groups_of(description: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Tag -> its operations, both in the order of the description."""
    groups: dict[str, list[Operation]] = {tag["name"]: [] for tag in description.get("tags", ())}
    models: Schema = description.get("components", {}).get("schemas", {})
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            tag = operation.get("tags", ["other"])[0]
            groups.setdefault(tag, []).append(_operation(path, method, operation, models))
    return {tag: operations for tag, operations in groups.items() if operations}


def _operation(path: str, method: str, told: Schema, models: Schema) -> Operation:
    places: dict[str, list[Row]] = {}
    for one in told.get("parameters", ()):
        places.setdefault(one["in"], []).append(Row(
            one["name"], type_of(one["schema"], models), bool(one.get("required")), rules_of(one["schema"]),
            one.get("description", ""), 0))
    answers = [Answer(status, answer.get("description", ""), _contents(answer, models))
               for status, answer in told["responses"].items()]
    return Operation(told["operationId"], method.upper(), path, told.get("summary", ""), list(places.items()),
                     _contents(told.get("requestBody", {}), models), answers)


def _contents(told: Schema, models: Schema) -> list[Content]:
    return [Content(media_type, type_of(one["schema"], models), list(rows_of(one["schema"], models)))
            for media_type, one in told.get("content", {}).items()]


def rows_of(schema: Schema, models: Schema, depth: int = 0) -> Iterator[Row]:
    """The fields of ``schema``, those of the models within it below them."""
    model = _model_within(schema, models)
    required = model.get("required", ())
    for name, field in model.get("properties", {}).items():
        yield Row(name, type_of(field, models), name in required, rules_of(field),
                  field.get("description", ""), depth)
        if depth < MAX_DEPTH:
            yield from rows_of(field, models, depth + 1)


def _model_within(schema: Schema, models: Schema) -> Schema:
    """``schema`` without what is around its fields: a reference, an array, "or null". Empty when it has none."""
    for _ in range(MAX_DEPTH):
        kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
        if "$ref" in schema:
            schema = models[_name(schema)]
        elif schema.get("type") == "array":
            schema = schema.get("items", {})
        elif len(kinds) == 1:
            schema = kinds[0]
        else:
            return schema
    return {}


def type_of(schema: Schema, models: Schema) -> str:
    """``schema`` in a few words: ``array of Task or null``."""
    if "$ref" in schema:
        target = models[_name(schema)]
        return type_of(target, models) if "enum" in target else _name(schema)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(type_of(kind, models) for kind in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(json.dumps(word, ensure_ascii=False) for word in schema["enum"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"array of {type_of(schema.get('items', {}), models)}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def rules_of(schema: Schema) -> str:
    """What else ``schema`` asks for, in words."""
    parts = [schema, *schema.get("anyOf", ())]
    found = [text.format(part[key]) for part in parts for key, text in _RULES.items() if key in part]
    found = [_IN_WORDS.get(rule, rule) for rule in found]
    if schema.get("default") is not None:
        found.append(f"default {json.dumps(schema['default'], ensure_ascii=False)}")
    return ", ".join(found)


def _name(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]
