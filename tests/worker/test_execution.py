"""One run: whatever a handler does ends as a result or a readable failure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Claim, Lease, Task
from taskspool.worker.calling import MAX_MESSAGE_CHARS, Outcome, Success, call_handler, context_of
from taskspool.worker.contact import Contact
from taskspool.worker.handlers import GiveUp, Handlers, Retry, TaskContext

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def outcome_of(function: Callable[..., Any], data: Any = None) -> Outcome:
    task = Task("00000000-0000-7000-8000-000000000001", "t", data, "someone", NOW, attempts=1, last_error="before")
    claim = Claim(task, Lease(task.id, "w", 2, "token", 60, NOW))
    return call_handler(Handlers({"t": function}), context_of(claim, Contact()), data)


def raising(error: BaseException) -> Callable[[Any], Any]:
    def function(data: Any) -> None:
        raise error

    return function


class Mute(Exception):
    """Cannot even say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_what_the_handler_returns_is_the_result() -> None:
    """The handler gets the task's data and its return value is kept as it is."""
    assert outcome_of(lambda data: {"got": data}, {"n": 1}) == Success({"got": {"n": 1}})
    assert outcome_of(lambda data: None) == Success(None)


def test_a_second_argument_receives_the_context() -> None:
    """A handler of two arguments learns which attempt of which task it is, for whom, and what went wrong before."""
    seen: list[TaskContext] = []
    outcome_of(lambda data, context: seen.append(context))
    assert seen == [TaskContext("00000000-0000-7000-8000-000000000001", "t", "someone", 2, "w", "before",
                                max_attempts=2)]


@pytest.mark.parametrize(("error", "message"), [
    (ValueError("what it says"), "ValueError: what it says"),
    (KeyError("numbers"), "KeyError: 'numbers'"),
    (AssertionError(), "AssertionError"),
    (SystemExit(3), "SystemExit: 3"),
    (KeyboardInterrupt(), "KeyboardInterrupt"),
    (GeneratorExit("odd"), "GeneratorExit: odd"),
    (RecursionError("too deep"), "RecursionError: too deep"),
    (Mute(), "Mute"),
    (ValueError("half \ud800 a character"), "ValueError: half ? a character"),
])
def test_whatever_a_handler_raises_becomes_a_readable_failure(error: BaseException, message: str) -> None:
    """Nothing gets out of a run, and the message is the error's name and words."""
    assert outcome_of(raising(error)) == Failure(message)


def test_retry_and_give_up_are_the_handlers_words_to_the_queue() -> None:
    """Retry carries its time, GiveUp ends the retries, both say only what they were given."""
    assert outcome_of(raising(Retry(7.5, "rate limit"))) == Failure("rate limit", retry_after_seconds=7.5)
    assert outcome_of(raising(Retry(-1))).retry_after_seconds == 0
    assert outcome_of(raising(GiveUp("account closed"))) == Failure("account closed", retryable=False)
    assert outcome_of(raising(GiveUp())) == Failure("GiveUp", retryable=False)


@pytest.mark.parametrize("result", [
    {1, 2}, b"bytes", NOW, float("nan"), [float("inf")], {("a", "b"): 1}, "half \udc00", object(),
])
def test_a_result_that_is_not_json_fails_with_the_rule(result: Any) -> None:
    """What cannot be stored is a failure that names the rule and is not retried."""
    outcome = outcome_of(lambda data: result)
    assert isinstance(outcome, Failure)
    assert "the handler's result is not JSON (only None, true, false" in outcome.message
    assert not outcome.retryable


def test_a_result_that_contains_itself_fails() -> None:
    """A cycle is a failure, not an endless run."""
    cycle: list[Any] = []
    cycle.append(cycle)
    assert isinstance(outcome_of(lambda data: cycle), Failure)


def test_a_very_long_message_is_cut() -> None:
    """A failure's message is at most MAX_MESSAGE_CHARS long."""
    outcome = outcome_of(raising(ValueError("x" * 100_000)))
    assert isinstance(outcome, Failure)
    assert len(outcome.message) == MAX_MESSAGE_CHARS
    assert outcome.message.startswith("ValueError: xxx")
