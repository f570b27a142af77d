"""Everything a task can be asked for with, and what is done to tasks and queues, as the bridge is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from taskspool.client import Client
from taskspool.client_wire import claims_of
from taskspool.engine.options import Backoff, Options
from taskspool.engine.task import NewTask, Priority

from .conftest import Scripted

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)
TEXT = "2026-01-31T12:00:00.000000Z"
OPTIONS = Options("g", ("a", "b"), WHEN, 1.5, 60.0, 30, Backoff("linear", 2.0, 9.0, 0.0), "only one")
WISHES: dict[str, Any] = {
    "requester": "me", "priority": "high", "max_retries": 3, "delay": 5.0, "start_before": TEXT, "timeout": 1.5,
    "total_timeout": 60.0, "lease": 30, "backoff": {"kind": "linear", "base": 2.0, "cap": 9.0, "jitter": 0.0},
    "unique_key": "only one", "on_conflict": "replace", "group": "g", "tags": ["a", "b"],
}


@pytest.fixture
def client(server: Scripted) -> Iterator[Client]:
    server.answers = [(200, {"task_id": "id-1", "task_ids": ["id-1"], "tasks": [], "batches": [], "total": 7})]
    with Client(server.url, retries=0) as made:
        yield made


def test_a_value_of_ours_and_arguments_ask_for_the_same(server: Scripted, client: Client) -> None:
    """A NewTask, a mapping, and the arguments of submit become the same body, in one submit and in a batch."""
    new = NewTask("t", {"n": 1}, "me", Priority.HIGH, 3, 5.0, None, OPTIONS, "replace")
    client.submit_task(new)
    client.submit("t", {"n": 1}, **WISHES)
    client.submit("t", {"n": 1}, **WISHES | {"priority": Priority.HIGH, "start_before": WHEN,
                                             "backoff": OPTIONS.backoff, "tags": ("a", "b")})
    client.submit_task({"type": "t", "data": {"n": 1}, **WISHES})
    client.submit_batch([new], name="mine")
    *single, batch = (asked.body for asked in server.asked)
    assert batch == {"name": "mine", "tasks": [single[0]]}
    assert single == [{"task_type": "t", "data": {"n": 1}, **WISHES}] * 4


@pytest.mark.parametrize("priority", list(Priority))
def test_every_priority_arrives_as_its_word(server: Scripted, client: Client, priority: Priority) -> None:
    """Also the lowest, whose number is nothing."""
    client.submit("t", priority=priority)
    client.submit_task(NewTask("t", {}, priority=priority))
    assert [asked.body["priority"] for asked in server.asked] == [priority.word] * 2


def test_what_was_not_asked_for_is_not_sent(server: Scripted, client: Client) -> None:
    """An ordinary task has an ordinary body, so that every version of the bridge understands it."""
    client.submit_task(NewTask("t", {}))
    client.submit_task(NewTask("t", {}, options=replace(OPTIONS, unique_key=None, backoff=None), run_at=WHEN))
    plain, rare = (asked.body for asked in server.asked)
    assert set(plain) == {"task_type", "data", "requester", "priority", "max_retries"}
    assert rare["run_at"] == TEXT
    assert {"unique_key", "on_conflict", "backoff", "delay"}.isdisjoint(rare)


@pytest.mark.parametrize(("call", "expected"), [
    (lambda client: client.cancel("a/b", by="me", reason="r"),
     ("POST", "/api/tasks/a%2Fb/cancel", {"by": "me", "reason": "r"})),
    (lambda client: client.retry("x"), ("POST", "/api/tasks/x/retry", {})),
    (lambda client: client.cancel_many(type=["t"], older_than=60), ("POST", "/api/tasks/cancel",
                                                                    {"type": ["t"], "older_than": 60})),
    (lambda client: client.retry_many(all=True, limit=5), ("POST", "/api/tasks/retry", {"all": True, "limit": 5})),
    (lambda client: client.pause(["t"], reason="r"), ("POST", "/api/queue/pause", {"types": ["t"], "reason": "r"})),
    (lambda client: client.resume(), ("POST", "/api/queue/resume", {})),
    (lambda client: client.explain("x"), ("GET", "/api/tasks/x/explain", None)),
    (lambda client: client.batch("b"), ("GET", "/api/batches/b", None)),
    (lambda client: client.batches(3), ("GET", "/api/batches?limit=3", None)),
    (lambda client: client.stats(type="t"), ("GET", "/api/stats?type=t", None)),
    (lambda client: client.heartbeat("x", "tok", progress=40, message="m", checkpoint=None),
     ("POST", "/api/tasks/x/heartbeat", {"lease_token": "tok", "progress": 40, "message": "m", "checkpoint": None})),
])
def test_each_verb_asks_at_its_own_address(server: Scripted, client: Client, call: Callable[[Client], Any],
                                           expected: tuple[str, str, Any]) -> None:
    """Method, path and body are those of the protocol; what was not given is not sent."""
    call(client)
    asked = server.asked[0]
    assert (asked.method, asked.path, asked.body) == expected


def test_filters_go_into_the_query(server: Scripted, client: Client) -> None:
    """Several values repeat their name, times are RFC 3339; the answer is a list that knows how many there are."""
    found = client.tasks(state=["dead", "done"], priority=Priority.HIGH, created_after=WHEN, limit=3,
                         sort="-created_at")
    assert (list(found), found.total) == ([], 7)
    assert server.asked[0].path == (
        "/api/tasks?limit=3&state=dead&state=done&priority=high&created_after=2026-01-31T12%3A00%3A00.000000Z"
        "&sort=-created_at")


def test_a_deadline_is_counted_from_the_claim() -> None:
    """The bridge's clock may be another: the attempt has as long as lies between its claim and its deadline."""
    claim, = claims_of({"tasks": [{
        "task_id": "t", "task_type": "x", "data": {}, "checkpoint": {"row": 3}, "claimed_at": TEXT,
        "deadline_at": "2026-01-31T12:01:30.000000Z", "lease": {"token": "tok"}}]}, "w")
    assert claim.task.options.timeout_seconds == 90
    assert claim.task.checkpoint == {"row": 3}
