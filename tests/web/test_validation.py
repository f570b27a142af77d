"""The rules of a request as FastAPI services tell them: ``web.validation``."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, field_validator
from werkzeug.exceptions import RequestEntityTooLarge

from taskspool.errors import NotFound
from taskspool.web.bridge import BODY
from taskspool.web.errors import NotJson
from taskspool.web.validation import MAX_ERRORS, Invalid, Text, errors_of, read

ID = TypeAdapter(UUID)


class Query(BaseModel):
    page: int = Field(1, ge=1)
    word: str | None = None


class Inner(BaseModel):
    name: Annotated[Text, Field(min_length=1)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    title: str = Field(max_length=5)
    inner: list[Inner] = Field([], min_length=1)
    even: int = 0

    @field_validator("even")
    @classmethod
    def _is_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


def asked(raw: bytes | None = b'{"title": "t"}', query: str = "") -> dict[str, Any]:
    return {"QUERY_STRING": query, BODY: raw, "REQUEST_METHOD": "POST"}


def errors(environ: dict[str, Any], **parts: Any) -> list[dict[str, Any]]:
    with pytest.raises(Invalid) as refused:
        read(environ, **parts)
    json.dumps(refused.value.errors, allow_nan=False)
    return refused.value.errors


def test_values_come_as_their_models() -> None:
    """Path, query and body, each what its model makes of it; numbers in the query are read as such."""
    path, query, body = read(asked(query="page=7&word=&colour=red"), body=Body, query=Query,
                             path={"id": ("550E8400E29B41D4A716446655440001", ID)})
    assert path == {"id": UUID("550e8400-e29b-41d4-a716-446655440001")}
    assert query == Query(page=7, word="")
    assert body == Body(title="t")


def test_what_is_not_asked_for_is_none() -> None:
    """Without a model a query and a body, even a broken one, are let be."""
    assert read(asked(b"{", "page=x")) == ({}, None, None)


def test_of_a_repeated_parameter_the_last_counts() -> None:
    """As in Starlette."""
    assert read(asked(query="page=0&page=2"), query=Query).query.page == 2


def test_a_query_is_utf_8_in_percent_signs() -> None:
    """Plus is a space."""
    assert read(asked(query="word=%EB%8D%B0+x"), query=Query).query.word == "데 x"


def test_all_errors_are_listed_path_first_body_last() -> None:
    """Each with its whole place, its input, and no link."""
    found = errors(asked(b'{"inner": [{"name": 1}], "title": "toolong", "more": 1}', "page=0"), body=Body, query=Query,
                   path={"id": ("x", ID)})
    assert [(error["type"], error["loc"], error["input"]) for error in found] == [
        ("uuid_parsing", ["path", "id"], "x"), ("greater_than_equal", ["query", "page"], "0"),
        ("string_too_long", ["body", "title"], "toolong"), ("string_type", ["body", "inner", 0, "name"], 1),
        ("extra_forbidden", ["body", "more"], 1)]
    assert not [error for error in found if "url" in error]


def test_the_list_of_errors_has_an_end() -> None:
    """Of a body with 20,000 wrong items the first 10,000 are told."""
    found = errors(asked(b'{"title": "t", "inner": [' + b",".join([b"1"] * 20_000) + b"]}"), body=Body)
    assert len(found) == MAX_ERRORS
    assert found[-1]["loc"] == ["body", "inner", MAX_ERRORS - 1]


def test_an_exception_in_a_context_is_told_as_an_empty_object() -> None:
    """As FastAPI encodes it; its words are in ``msg``."""
    assert errors(asked(b'{"title": "t", "even": 3}'), body=Body) == [
        {"type": "value_error", "loc": ["body", "even"], "msg": "Value error, must be even", "input": 3,
         "ctx": {"error": {}}}]


@pytest.mark.parametrize("raw", [b"", b"null"])
def test_no_body_is_missing(raw: bytes) -> None:
    """Nothing at all, or null: type missing at the body itself, beside the errors of the query."""
    assert [(error["type"], error["loc"]) for error in errors(asked(raw, "page=0"), body=Body, query=Query)] == [
        ("greater_than_equal", ["query", "page"]), ("missing", ["body"])]


@pytest.mark.parametrize("raw", [b"[]", b'"a"', b"1", b"true"])
def test_a_body_that_is_no_object_is_worded_as_fastapi_words_it(raw: bytes) -> None:
    """Its models take attributes too: "a valid dictionary or object"."""
    found = errors(asked(raw), body=Body)
    assert (found[0]["type"], found[0]["loc"]) == ("model_attributes_type", ["body"])


@pytest.mark.parametrize(("raw", "place", "reason"), [
    (b'{"a" 1}', 5, "Expecting ':' delimiter"), (b'{"a": "x', 6, "Unterminated string starting at"),
    ('{"é": }'.encode(), 6, "Expecting value"), (b" ", 1, "Expecting value"),
])
def test_what_is_no_json_is_told_alone_in_pythons_words(raw: bytes, place: int, reason: str) -> None:
    """The place is counted in characters; the query is not looked at."""
    assert errors(asked(raw, "page=0"), body=Body, query=Query) == [
        {"type": "json_invalid", "loc": ["body", place], "msg": "JSON decode error", "input": {},
         "ctx": {"error": reason}}]


@pytest.mark.parametrize("raw", [b'{"title": NaN}', b'{"title": "a", "title": "b"}', b'{"title": "\\ud800"}', b"\xff",
                                 b'{"title": 1e999}', b"[" * 65 + b"]" * 65, b'{"title": ' + b"9" * 5_000 + b"}"])
def test_json_that_two_readers_read_differently_is_refused_as_none(raw: bytes) -> None:
    """With the rule that it breaks."""
    found = errors(asked(raw), body=Body)
    assert [error["type"] for error in found] == ["json_invalid"]
    assert found[0]["ctx"]["error"]


def test_nul_is_refused_where_text_is_asked_for() -> None:
    """``Text`` takes every character but NUL."""
    assert errors(asked(b'{"title": "t", "inner": [{"name": "a\\u0000"}]}'), body=Body)[0]["type"] == "string_nul"


def test_a_body_is_read_under_another_server_too() -> None:
    """From wsgi.input, up to a bound."""
    def given(raw: bytes) -> dict[str, Any]:
        return {"wsgi.input": BytesIO(raw), "CONTENT_LENGTH": str(len(raw)), "REQUEST_METHOD": "POST"}

    assert read(given(b'{"title": "t"}'), body=Body).body.title == "t"
    with pytest.raises(RequestEntityTooLarge):
        read(given(b" " * (1 << 21)), body=Body)


def test_what_a_door_lists() -> None:
    """The errors of Invalid; the header where a gate met a body of another kind; nothing for other errors."""
    assert errors_of(Invalid([{"type": "x"}]), {}) == [{"type": "x"}]
    listed = errors_of(NotJson("say json"), {"CONTENT_TYPE": "text/plain"})
    assert listed == [{"type": "content_type", "loc": ["header", "content-type"], "msg": "say json",
                       "input": "text/plain"}]
    assert errors_of(NotFound("x"), {}) is None
