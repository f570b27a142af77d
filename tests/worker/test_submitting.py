"""A task that a handler hands over on a folder is the one it would be over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from taskspool.client_wire import submission, submission_of
from taskspool.engine.options import Backoff, Options
from taskspool.engine.task import NewTask, Priority
from taskspool.errors import InvalidRequest
from taskspool.worker.submitting import new_task_of

ID = "00000000-0000-7000-8000-000000000001"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("new", [
    NewTask("ping", {}),
    NewTask("ping", {"a": [1]}, "me", Priority.CRITICAL, 3, 5.0, None, Options(
        "g", ("x", "y"), NOW, 1.5, 2.5, 30, Backoff("linear", 2.0, 9.0, 0.0), "key"), "reject", ID),
    NewTask("ping", {}, run_at=NOW),
])
def test_what_is_sent_is_read_as_what_it_was(new: NewTask) -> None:
    """Every wish survives the way through a body of JSON."""
    assert new_task_of(submission_of(new)) == new


@pytest.mark.parametrize(("wish", "field"), [
    ({"priority": "soonish"}, "priority"), ({"run_at": "tomorrow"}, "run_at"), ({"run_at": 5}, "run_at"),
    ({"backoff": {"wait": 1}}, "backoff"), ({"backoff": [1]}, "backoff"),
])
def test_a_wish_that_cannot_be_read_is_refused(wish: dict[str, Any], field: str) -> None:
    """The field and its rule are named."""
    with pytest.raises(InvalidRequest) as refused:
        new_task_of(submission("ping", {}, wish))
    assert refused.value.details["field"] == field
    assert refused.value.details["rule"]
