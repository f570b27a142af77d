"""The four task types of seed 002."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from taskspool.clock import from_text
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, Lease, Task
from taskspool.worker.calling import Success, call_handler, context_of
from taskspool.worker.contact import Contact
from taskspool.worker.handlers import load_handlers

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def run(task_type: str, data: Any) -> Any:
    """The result's data, or the failure's message."""
    task = Task("00000000-0000-7000-8000-000000000001", task_type, data, "test", NOW)
    context = context_of(Claim(task, Lease(task.id, "office-1", 1, "t", 0, NOW)), Contact())
    outcome = call_handler(load_handlers(), context, task.data)
    return outcome.data if isinstance(outcome, Success) else outcome.message


def test_ping_is_answered_with_pong_the_worker_and_the_time() -> None:
    """ping gives exactly message, worker and an RFC 3339 timestamp."""
    result = run("ping", {})
    assert result | {"timestamp": ""} == {"message": "pong", "worker": "office-1", "timestamp": ""}
    assert from_text(result["timestamp"]).tzinfo is not None


@pytest.mark.parametrize(("data", "result"), [
    ({"numbers": [1, 2, 3]}, 6),
    ({"operation": "add", "numbers": [1.5, 2]}, 3.5),
    ({"operation": "multiply", "numbers": [2, 3, 4]}, 24),
    ({"operation": "divide", "numbers": [100, 5, 2]}, 10),
    ({"operation": "average", "numbers": [1, 2, 6]}, 3),
])
def test_calculation_calculates(data: dict[str, Any], result: float) -> None:
    """Each operation gives its result, and without one the sum."""
    assert run("calculation", data) == {"result": result}


@pytest.mark.parametrize(("data", "says"), [
    ({"operation": "divide", "numbers": [8, 0]}, "cannot divide 8 by zero"),
    ({"operation": "root", "numbers": [8]}, "operation must be one of add, multiply, divide, average, not 'root'"),
    ({"operation": ["add"], "numbers": [8]}, "operation must be one of"),
    ({"operation": "add"}, "numbers must be a list of at least one number"),
    ({"numbers": []}, "numbers must be a list of at least one number"),
    ({"numbers": ["1"]}, "numbers must be a list of at least one number"),
    ({"numbers": [True]}, "numbers must be a list of at least one number"),
    ({"operation": "multiply", "numbers": [1e308, 10]}, "not JSON"),
])
def test_a_calculation_that_cannot_be_done_says_why(data: dict[str, Any], says: str) -> None:
    """Wrong input fails with a sentence, never with a traceback or NaN."""
    assert says in run("calculation", data)


@pytest.mark.parametrize(("data", "result"), [
    ({"operation": "uppercase", "text": "straße"}, "STRASSE"),
    ({"transform": "lowercase", "input": "ÀB"}, "àb"),
    ({"operation": "reverse", "text": "핑ab"}, "ba핑"),
    ({"input": "...", "format": "json"}, '"..."'),
    ({"input": '{"a":1}', "format": "json"}, '{"a": 1}'),
    ({"input": {"b": ["핑"]}, "format": "json"}, '{"b": ["핑"]}'),
])
def test_data_transform_transforms(data: dict[str, Any], result: str) -> None:
    """Both spellings of operation and text work, and the seed's json format."""
    assert run("data_transform", data) == {"result": result}


@pytest.mark.parametrize(("data", "says"), [
    ({"text": "a"}, "operation must be one of uppercase, lowercase, reverse, not None"),
    ({"operation": "uppercase"}, "text must be a text"),
    ({"operation": "uppercase", "text": 5}, "text must be a text"),
    ({"input": "a", "format": "xml"}, "operation must be one of"),
])
def test_a_transform_that_cannot_be_done_says_why(data: dict[str, Any], says: str) -> None:
    """Wrong input fails with a sentence."""
    assert says in run("data_transform", data)


def test_batch_calculation_gives_a_result_for_each_id() -> None:
    """Every item is answered under its id, multiplied when asked; both names of the list work."""
    items = [{"id": "a", "operation": "add", "numbers": [1, 2]},
             {"id": "b", "operation": "average", "numbers": [4, 6], "multiply_by": 3}, {"numbers": [7]}]
    expected = {"calculations": [{"id": "a", "result": 3}, {"id": "b", "result": 15}, {"id": 3, "result": 7}]}
    assert run("batch_calculation", {"calculations": items}) == expected
    assert run("batch_calculation", {"operations": items}) == expected


@pytest.mark.parametrize(("data", "says"), [
    ({}, "calculations must be a list"),
    ({"calculations": [5]}, "calculation 1 must be an object"),
    ({"operations": [{"id": "x", "operation": "divide", "numbers": [1, 0]}]}, "calculation 'x': cannot divide 1 by"),
    ({"operations": [{"numbers": [1], "multiply_by": "two"}]}, "multiply_by must be a number"),
])
def test_a_batch_that_cannot_be_done_names_the_item(data: dict[str, Any], says: str) -> None:
    """One impossible item fails the task, and the message names it."""
    assert says in run("batch_calculation", data)


def test_a_type_without_handler_fails_for_good() -> None:
    """Should a queue hand out a type nobody asked for, that is said and not retried."""
    task = Task("00000000-0000-7000-8000-000000000001", "web_scraping", {}, "test", NOW)
    context = context_of(Claim(task, Lease(task.id, "w", 1, "t", 0, NOW)), Contact())
    outcome = call_handler(load_handlers(), context, task.data)
    assert outcome == Failure("this worker has no handler for 'web_scraping'", retryable=False)
