"""Task and Result as files: the public keys, what foreign writers may send, and what is refused."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskspool.engine.documents import (
    MAX_FOREIGN_DEPTH, Incomplete, Unreadable, encode, foreign_holder, parse, result_document, result_of,
    task_document, task_of,
)
from taskspool.engine.layout import parse_token
from taskspool.engine.task import Priority, Result, Task
from taskspool.errors import InvalidRequest, PayloadTooLarge

ID = "01936f5e-0000-7000-8000-000000000001"
NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
LIMIT = 1 << 20
TOKEN = "1-2-3c-4-5f"
EIGHT = ["id", "type", "requester", "data", "status", "created_at", "assigned_to", "updated_at"]

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
name = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
floats = st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | st.integers(-2**70, 2**70) | floats | text
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4))
instants = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
plain = st.builds(
    Task, st.just(ID), name, st.dictionaries(text, values, max_size=4), name, instants, st.sampled_from(Priority),
    st.integers(0, 1000), st.integers(0, 1000), st.integers(0, 1000), last_error=st.none() | text.filter(bool))
tasks = plain | st.builds(lambda one, until, seconds: replace(one, not_before=until, delay_seconds=seconds),
                          plain, instants, st.none() | st.floats(0, 31_536_000))
results = st.builds(
    Result, st.just(ID), name, st.sampled_from(["success", "error"]), values, instants, st.none() | text,
    st.integers(1, 99), st.just(TOKEN), st.just(parse_token(TOKEN).claimed_at))


def task(**fields: Any) -> Task:
    return Task(ID, "ping", {}, "me", NOW, **fields)


def test_an_ordinary_task_has_exactly_the_eight_keys() -> None:
    """Old programs see what seed 002 wrote, in its order, and nothing else."""
    document = json.loads(task_document(task(), LIMIT))
    assert list(document) == EIGHT
    assert document == {"id": ID, "type": "ping", "requester": "me", "data": {}, "status": "pending",
                        "created_at": "2026-01-02T03:04:05.000006Z", "assigned_to": None, "updated_at": None}


def test_what_is_ours_alone_sits_in_one_object() -> None:
    """The eight keys stay first; the ninth is ``taskspool``."""
    one = task(priority=Priority.HIGH, attempts=1, last_error="no", not_before=NOW, delay_seconds=2.5)
    document = json.loads(task_document(one, LIMIT))
    assert list(document) == [*EIGHT, "taskspool"]
    assert document["taskspool"] == {"priority": "high", "attempts": 1, "last_error": "no",
                                     "not_before": "2026-01-02T03:04:05.000006Z", "delay_seconds": 2.5}


def test_non_ascii_is_written_as_it_is() -> None:
    """A person can read the file."""
    assert "봇 ä".encode() in task_document(Task(ID, "ping", {"t": "봇 ä"}, "me", NOW), LIMIT)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # a loaded machine draws slowly
@given(tasks)
def test_a_task_goes_there_and_back(one: Task) -> None:
    """Whatever Hypothesis thinks of is the same value after writing and reading."""
    assert task_of(parse(task_document(one, LIMIT)), ID, NOW) == one


@given(results)
def test_a_result_goes_there_and_back(one: Result) -> None:
    """The same for results."""
    assert result_of(result_document(one, LIMIT), ID, NOW) == one


@given(results)
def test_a_result_has_exactly_the_six_keys(one: Result) -> None:
    """Old programs that wait for it build their object from all keys there are, and break on a seventh."""
    document = json.loads(result_document(one, LIMIT))
    assert list(document) == ["task_id", "worker", "status", "data", "completed_at", "error_message"]


def test_a_result_written_anew_by_others_is_nobodys() -> None:
    """The lease's receipt stands behind the JSON, and goes when a foreign program writes the file again."""
    ours = result_document(Result(ID, "w", "success", {}, NOW, None, 1, TOKEN), LIMIT)
    assert result_of(ours, ID, NOW).token == TOKEN
    assert result_of(json.dumps(json.loads(ours)).encode(), ID, NOW).token is None
    for odd in (b" ", b"\t" * 8, b"\n", b" " * 8 + b"\r", blanks(f"1 1-2-3c-{'f' * 12}-5f")):
        assert result_of(b"{}\n" + odd + b"\n", ID, NOW).token is None


def test_a_receipt_of_the_first_version_is_believed() -> None:
    """It had no digest: the note alone, in blanks."""
    assert result_of(b"{}\n" + blanks(f"1 {TOKEN}") + b"\n", ID, NOW).token == TOKEN


@pytest.mark.parametrize("odd", [b" " * 16, b"\t \t" * 8, b" " * 400, b"\t" * 800])
def test_a_long_line_of_blanks_that_is_no_seal_is_damage(odd: bytes) -> None:
    """Nobody writes so many by chance: a file that has them had a seal."""
    with pytest.raises(Incomplete):
        result_of(b"{}\n" + odd + b"\n", ID, NOW)


def blanks(text: str) -> bytes:
    return b"".join(b"\t" if byte >> bit & 1 else b" " for byte in text.encode() for bit in range(7, -1, -1))


@pytest.mark.parametrize("data", [
    {"x": math.nan}, {"x": math.inf}, {"x": "\ud800"}, {"x": b"bytes"}, {"x": {1, 2}}, {(1, 2): 3}, {"\udfff": 1},
])
def test_what_is_not_json_is_not_written(data: Any) -> None:
    """NaN, Infinity, half characters and Python's own types are InvalidRequest naming the field."""
    with pytest.raises(InvalidRequest) as caught:
        task_document(Task(ID, "ping", data, "me", NOW), LIMIT)
    assert caught.value.details["field"] == "data"


def test_endless_nesting_is_not_written() -> None:
    """A structure deeper than the interpreter's stack is refused, not a crash."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(InvalidRequest):
        encode({"data": deep}, 1 << 30, "data")
    while deep:
        deep = deep.pop("x", None)


def test_too_large_is_said_with_the_size() -> None:
    """PayloadTooLarge carries the bytes there were."""
    with pytest.raises(PayloadTooLarge) as caught:
        task_document(Task(ID, "ping", {"x": "x" * 2000}, "me", NOW), 1000)
    assert caught.value.details["bytes"] > 2000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le-bom", "utf-16-be-bom"])
def test_files_of_other_programs_are_read_whatever_their_encoding(encoding: str) -> None:
    """UTF-8 with or without a mark, UTF-16 with one (PowerShell's Out-File)."""
    content = json.dumps({"type": "ping", "data": {"t": "봇"}}, ensure_ascii=False)
    marks = {"utf-16-le-bom": ("utf-16-le", b"\xff\xfe"), "utf-16-be-bom": ("utf-16-be", b"\xfe\xff")}
    codec, mark = marks.get(encoding, (encoding, b""))
    assert parse(mark + content.encode(codec))["data"] == {"t": "봇"}


@pytest.mark.parametrize("content", [
    b"", b"{", b'{"type": "pi', b'{"a": NaN}', b'{"a": -Infinity}', b"\xff", b"\xff\xfe{", b"{}{}", b'{"a": "\xff"}',
    b"\x00" * 10, b"[" * 200_000, b'{"a": 1e999}', b'{"a": -1e99999}', b'{"a": ' + b"9" * 400 + b".0}",
])
def test_what_is_not_whole_may_still_be_written(content: bytes) -> None:
    """Incomplete, so that a slow writer gets its time."""
    with pytest.raises(Incomplete):
        parse(content)


def test_every_beginning_of_a_file_is_incomplete() -> None:
    """Cut anywhere, a task's file is never taken for a whole one."""
    content = task_document(task(priority=Priority.LOW), LIMIT).rstrip()
    for length in range(len(content)):
        with pytest.raises(Incomplete):
            parse(content[:length])


@pytest.mark.parametrize("content", [
    b"[]", b"7", b'"x"', b"null", b'{"a": "\\ud800"}',
    b'{"a":' * (MAX_FOREIGN_DEPTH + 5) + b"1" + b"}" * (MAX_FOREIGN_DEPTH + 5),
])
def test_whole_but_not_to_be_used_is_unreadable(content: bytes) -> None:
    """No object, or something no JSON writer may write again: half characters, endless nesting."""
    with pytest.raises(Unreadable) as caught:
        parse(content)
    assert not isinstance(caught.value, Incomplete)


def test_pairs_of_half_characters_and_great_whole_numbers_are_fine() -> None:
    """An escaped emoji and a 300-digit integer are JSON."""
    assert parse(b'{"a": "\\ud83d\\ude42", "b": ' + b"9" * 300 + b"}")["a"] == "🙂"


@pytest.mark.parametrize(("document", "expected"), [
    ({"type": "ping"}, Task(ID, "ping", {}, "unknown", NOW)),
    ({"id": None, "task_type": "ping", "data": None, "requester": None}, Task(ID, "ping", {}, "unknown", NOW)),
    ({"id": ID, "type": "ping", "data": {"a": 1}, "requester": 7, "created_at": "2026-01-02T03:04:05.000006+00:00"},
     Task(ID, "ping", {"a": 1}, "7", NOW)),
    ({"type": "ping", "created_at": "soon", "extra": [1]}, Task(ID, "ping", {}, "unknown", NOW)),
    ({"type": "ping", "created_at": "9999-12-31T23:59:59-23:59"}, Task(ID, "ping", {}, "unknown", NOW)),
    ({"type": "ping", "taskspool": {"priority": "urgent?", "attempts": -1, "crashes": True, "max_retries": 2}},
     Task(ID, "ping", {}, "unknown", NOW, max_retries=2)),
    ({"type": "ping", "taskspool": "x"}, Task(ID, "ping", {}, "unknown", NOW)),
])
def test_foreign_tasks_are_read_leniently(document: dict[str, Any], expected: Task) -> None:
    """Only the type must be there; what is missing or odd gets a sensible value."""
    assert task_of(document, ID, NOW) == expected


@pytest.mark.parametrize("document", [
    {}, {"type": ""}, {"type": 7}, {"type": "x" * 200}, {"type": "a\nb"}, {"type": "ping", "id": "another"},
    {"type": "ping", "data": [1]}, {"type": "ping", "data": "x"}, {"type": "ping", "taskspool": {"not_before": "soon"}},
    {"type": "ping", "taskspool": {"not_before": "9999-12-31T23:59:59-23:59"}},
])
def test_what_is_no_task_says_why(document: dict[str, Any]) -> None:
    """Unreadable names the field and the rule."""
    with pytest.raises(Unreadable, match="type|id|data|not_before"):
        task_of(document, ID, NOW)


@pytest.mark.parametrize(("document", "status", "worker", "message"), [
    ({}, "success", "unknown", None),
    ({"status": "success", "worker": "w", "data": [1]}, "success", "w", None),
    ({"status": "error", "error_message": "no"}, "error", "unknown", "no"),
    ({"status": "FAILED", "error": {"a": 1}}, "error", "unknown", "{'a': 1}"),
    ({"status": "failure"}, "error", "unknown", None),
    ({"status": "completed", "taskspool": {"attempt": 1, "token": TOKEN}}, "success", "unknown", None),
])
def test_foreign_results_are_read_leniently(document: dict[str, Any], status: str, worker: str,
                                            message: str | None) -> None:
    """Any status but error, failed and failure is a success."""
    result = result_of(json.dumps(document).encode(), ID, NOW)
    assert (result.status, result.worker, result.error_message) == (status, worker, message)
    assert (result.data, result.token, result.attempt) == (document.get("data"), None, None)


@pytest.mark.parametrize(("document", "holder"), [
    ({}, None), ({"status": "pending"}, None), ({"status": "queued"}, None), ({"status": None}, None),
    ({"status": "in_progress", "assigned_to": "comet"}, "comet"), ({"status": "completed"}, "unknown"),
])
def test_a_task_popped_in_place_has_a_holder(document: dict[str, Any], holder: str | None) -> None:
    """The old library marks its tasks in the file."""
    assert foreign_holder(document) == holder
