"""The registry of workers, as the bridge is asked for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskspool.client import Client
from taskspool.engine.worker_record import WorkerReport
from taskspool.errors import WorkerNotFound

from .conftest import Scripted

WHEN = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_report_is_sent_whole(server: Scripted) -> None:
    """What is not known is left out; the answer says what to do, and an older bridge says nothing: go on."""
    server.answers = [(200, {"state": "quiet"}), (200, {"leases": {}})]
    report = WorkerReport("a/b c", "exec", "office", 12, types=("x",), concurrency=2, started_at=WHEN, done=3)
    with Client(server.url) as client:
        assert client.report_worker(report) == "quiet"
        assert client.report_worker(report) == "run"
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/api/workers/a%2Fb%20c/heartbeat")
    assert asked.body == {"types": ["x"], "kind": "exec", "host": "office", "pid": 12, "concurrency": 2,
                          "state": "running", "started_at": "2026-01-31T12:00:00.000000Z", "done": 3, "failed": 0,
                          "labels": {}}


def test_a_poll_says_since_when_and_hears_what_to_do(server: Scripted) -> None:
    """The tasks are a list as ever."""
    server.answers = [(200, {"task": None, "tasks": [], "state": "terminate"}), (200, {"task": None})]
    with Client(server.url) as client:
        told = client.next("w", types=["x"], started_at=WHEN)
        assert (told, told.state, client.next("w").state) == ([], "terminate", "run")
    assert server.asked[0].body["started_at"] == "2026-01-31T12:00:00.000000Z"
    assert "started_at" not in server.asked[1].body


def test_looking_and_ordering(server: Scripted) -> None:
    """Each has its address; who is not there is WorkerNotFound."""
    server.answers = [(200, {"workers": [{"worker_id": "w"}]}), (200, {"worker_id": "w"}), (200, {"worker_id": "w"}),
                      (404, {"code": "WORKER_NOT_FOUND", "message": "no"})]
    with Client(server.url) as client:
        assert client.workers() == [{"worker_id": "w"}]
        assert client.worker("w") == {"worker_id": "w"}
        client.order_worker("w", "quiet", by="ann", reason="why")
        with pytest.raises(WorkerNotFound):
            client.order_worker("v", "run")
    assert [(each.method, each.path, each.body) for each in server.asked] == [
        ("GET", "/api/workers", None), ("GET", "/api/workers/w", None),
        ("POST", "/api/workers/w/quiet", {"by": "ann", "reason": "why"}), ("POST", "/api/workers/v/run", {})]
