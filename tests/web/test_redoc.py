"""/redoc: what the description says, as a page (``web.redoc``)."""

from __future__ import annotations

from typing import Any

from flask import Flask
from pydantic import BaseModel, Field

from taskspool.web.openapi import describe
from taskspool.web.redoc import MAX_DEPTH, groups_of, redoc_routes, rules_of, type_of
from taskspool.web.reply import reply
from taskspool.web.route import Parameter, Route


class Leaf(BaseModel):
    name: str = Field("x", max_length=5, description="<b>of it</b>")


class Tree(BaseModel):
    leaf: Leaf | None
    trees: list[Tree] = []


class Wrong(BaseModel):
    message: str


def described() -> dict[str, Any]:
    route = Route("POST", "/api/things/<name:thing>", lambda: reply({}), "Make a thing", body=Tree, tag="things",
                  parameters=(Parameter("page", {"type": "integer", "minimum": 1, "default": 1}, "which"),),
                  replies={201: ("made", Leaf), 204: ("gone", None), 422: ("wrong", None)})
    return describe([route], title="Things & more", version="1", description="All", tags=["things"], error=Wrong)


def test_a_models_fields_stand_below_what_holds_them() -> None:
    """Unfolded through "or null", arrays and references; one that holds itself ends somewhere."""
    operation = groups_of(described())["things"][0]
    rows = operation.body[0].rows
    assert [(row.name, row.depth, row.type, row.is_required) for row in rows[:5]] == [
        ("leaf", 0, "Leaf or null", True), ("name", 1, "string", False), ("trees", 0, "array of Tree", False),
        ("leaf", 1, "Leaf or null", True), ("name", 2, "string", False)]
    assert max(row.depth for row in rows) == MAX_DEPTH
    assert rows[1].rules == 'length ≤ 5, default "x"'


def test_parameters_and_answers_are_told() -> None:
    """By place; an answer without a body has none, an error its own shape."""
    operation = groups_of(described())["things"][0]
    assert [(place, [row.name for row in rows]) for place, rows in operation.parameters] == [
        ("path", ["thing"]), ("query", ["page"])]
    assert operation.parameters[1][1][0].rules == "≥ 1, default 1"
    assert [(answer.status, [content.type for content in answer.contents]) for answer in operation.answers] == [
        ("201", ["Leaf"]), ("204", []), ("422", ["Wrong"])]


def test_types_are_told_in_a_few_words() -> None:
    """Words of an enumeration, formats, anything."""
    models = {"Word": {"enum": ["a", "ä"], "type": "string"}}
    assert type_of({"anyOf": [{"$ref": "#/components/schemas/Word"}, {"type": "null"}]}, models) == '"a" | "ä" or null'
    assert type_of({"type": "string", "format": "uuid"}, models) == "string (uuid)"
    assert type_of({}, models) == "anything"
    assert rules_of({"anyOf": [{"type": "string", "pattern": "^[^\\u0000]*$"}, {"type": "null"}]}) == "no NUL"


def test_nothing_in_a_description_becomes_html() -> None:
    """Texts are escaped; there is no script."""
    app = Flask(__name__)
    routes = redoc_routes(described)
    app.add_url_rule("/redoc", "redoc", routes[0].view)
    page = app.test_client().get("/redoc").text
    assert "&lt;b&gt;of it&lt;/b&gt;" in page
    assert "Things &amp; more" in page
    assert "<script" not in page
