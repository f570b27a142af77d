"""What routes of doors with this validation have in common: any request's answers, and the schemas of a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from taskspool.web.route import Parameter

Replies = Mapping[int, tuple[str, type[BaseModel] | None]]
ID_SCHEMA = {"type": "string", "format": "uuid"}


class ValidationError(BaseModel):
    """One broken rule, as pydantic words it."""

    type: str
    loc: list[str | int]
    msg: str
    input: Any
    ctx: dict[str, Any] | None = None


def asked(more: Replies) -> Replies:
    """What any request may be answered, and ``more``."""
    return {403: ("a page of another site asked", None), 421: ("the Host header is not one of ours", None),
            422: ("rules are broken: all of them are listed", None), 500: ("a fault of ours; its log has it", None),
            503: ("the database does not answer; try again", None), **more}


def posted(more: Replies) -> Replies:
    """What a request with a body may be answered, and ``more``."""
    return asked({408: ("the body did not come", None), 413: ("the body is too large", None),
                  415: ("the body is compressed", None), 507: ("the disk is full", None), **more})


def parameters_of(query: type[BaseModel], descriptions: Mapping[str, str]) -> tuple[Parameter, ...]:
    """The fields of ``query`` as parameters, in their order."""
    return tuple(_parameters(query.model_json_schema(), descriptions))


def _parameters(schema: dict[str, Any], descriptions: Mapping[str, str]) -> Iterator[Parameter]:
    for name, told in schema["properties"].items():
        known = {key: value for key, value in told.items() if key != "title"}
        for kind in known.pop("anyOf", ()):  # "or null" means that it may be left out: a query has no null
            if kind.get("type") != "null":
                known = {key: value for key, value in known.items() if key != "default"} | kind
        name_of_model = known.pop("$ref", "").rpartition("/")[2]
        if name_of_model:
            known = {"enum": schema["$defs"][name_of_model]["enum"], "type": "string"} | known
        yield Parameter(name, known, descriptions[name])
