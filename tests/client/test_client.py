"""The client against a server that answers badly, late, or not at all."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

import taskspool
from taskspool import client_call
from taskspool.client import Client
from taskspool.client_call import backoff_seconds, is_loopback
from taskspool.engine.task import NewTask, Priority
from taskspool.errors import (
    BY_CODE, Conflict, InvalidRequest, LeaseLost, NotFound, ResultPending, ServerUnreachable, StoreFull,
    StoreUnavailable, TaskNotFound, TaskspoolError,
)

from .conftest import Scripted

CREATED = (201, {"success": True, "task_id": "id-1", "message": "made"})
BUSY = (503, {"error": "busy", "code": "STORE_UNAVAILABLE", "message": "busy"})
PENDING = (404, {"error": "not yet", "code": "RESULT_PENDING", "details": {"state": "ready"}})
RESULT = (200, {"task_id": "id-1", "worker": "w", "status": "success", "data": {"n": 1},
                "completed_at": "2026-01-31T12:00:00.000000Z", "error_message": None})


@pytest.fixture
def client(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(client_call, "BACKOFF_BASE_SECONDS", 0.001)
    with Client(server.url, timeout=5) as made:
        yield made


def test_the_package_offers_the_client() -> None:
    """taskspool.Client is the client, and a name that does not exist is an AttributeError as everywhere."""
    assert taskspool.Client is Client
    with pytest.raises(AttributeError, match="Clint"):
        taskspool.Clint  # noqa: B018  # the look-up is what is tested


def test_submit_sends_the_documented_body_and_returns_the_id(server: Scripted, client: Client) -> None:
    """The request is dialect A's with a key, and the answer's task_id comes back."""
    server.answers = [CREATED]
    assert client.submit("ping", {"핑": 1}, requester="me", priority=Priority.HIGH, max_retries=3) == "id-1"
    asked = server.asked[0]
    assert (asked.method, asked.path) == ("POST", "/api/tasks")
    assert asked.body == {"task_type": "ping", "data": {"핑": 1}, "requester": "me", "priority": "high",
                          "max_retries": 3}
    assert asked.headers["Content-Type"] == "application/json"
    assert len(asked.headers["Idempotency-Key"]) >= 16


def test_a_submit_is_repeated_with_the_same_key_until_it_is_answered(server: Scripted, client: Client) -> None:
    """After a lost answer and after "not now" the very same request is sent again."""
    server.answers = [None, BUSY, CREATED]
    assert client.submit("ping") == "id-1"
    assert len(server.asked) == 3
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 1
    assert all(asked.body == server.asked[0].body for asked in server.asked)


def test_two_submits_have_two_keys_and_a_given_key_is_used(server: Scripted, client: Client) -> None:
    """Keys are made anew for every call, but the caller's own goes first."""
    server.answers = [CREATED]
    client.submit("ping")
    client.submit("ping")
    client.submit("ping", idempotency_key="mine")
    first, second, third = (asked.headers["Idempotency-Key"] for asked in server.asked)
    assert first != second
    assert third == "mine"


def test_submit_many_sends_one_batch(server: Scripted, client: Client) -> None:
    """All tasks go in one request, as values or as mappings, and the ids come back in order."""
    server.answers = [(201, {"task_ids": ["a", "b"], "success": True})]
    assert client.submit_many([NewTask("ping", {}), {"type": "calculation", "data": {"numbers": [1]}}]) == ["a", "b"]
    asked = server.asked[0]
    assert asked.path == "/api/tasks/batch"
    assert [task["task_type"] for task in asked.body["tasks"]] == ["ping", "calculation"]
    assert "Idempotency-Key" in asked.headers


@pytest.mark.parametrize("data", [{"when": {1, 2}}, {"n": float("nan")}, {("a",): 1}])
def test_data_that_is_not_json_is_refused_before_it_is_sent(server: Scripted, client: Client, data: dict) -> None:
    """What JSON does not know is an InvalidRequest like any other, and nothing goes over the wire."""
    with pytest.raises(InvalidRequest, match="must be JSON"):
        client.submit("ping", data)
    assert server.asked == []


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_error_of_the_engine_arrives_as_itself(server: Scripted, client: Client, code: str) -> None:
    """Code, message, details and hint of the server's error are the raised error's own."""
    kind = BY_CODE[code]
    server.answers = [(kind.status, {"error": "says", "code": code, "message": "says", "hint": "do this",
                                     "details": {"task_id": "x", "message": "odd", "self": 1}})]
    client.retries = 0
    with pytest.raises(kind) as raised:
        client.task("x")
    error = raised.value
    assert (type(error), error.message, error.hint, error.details["task_id"]) == (kind, "says", "do this", "x")


@pytest.mark.parametrize(("status", "kind"), [
    (400, InvalidRequest), (401, InvalidRequest), (404, NotFound), (409, Conflict), (418, InvalidRequest),
    (429, StoreUnavailable), (500, TaskspoolError), (503, StoreUnavailable),
])
def test_an_error_without_a_known_code_goes_by_its_status(server: Scripted, client: Client, status: int,
                                                          kind: type[TaskspoolError]) -> None:
    """Also an answer of another version becomes one of our errors, with what it said."""
    server.answers = [(status, {"error": "only this"})]
    client.retries = 0
    with pytest.raises(TaskspoolError, match="only this") as raised:
        client.task("x")
    assert type(raised.value) is kind


def test_what_cannot_become_better_is_not_repeated(server: Scripted, client: Client) -> None:
    """A refusal and a full disk are said at once."""
    for answer, kind in (((400, {"error": "no"}), InvalidRequest),
                         ((507, {"error": "full", "code": "STORE_FULL"}), StoreFull),
                         ((500, {"error": "broken"}), TaskspoolError)):
        server.answers, server.asked = [answer], []
        with pytest.raises(kind):
            client.submit("ping")
        assert len(server.asked) == 1


def test_repeating_ends(server: Scripted, client: Client) -> None:
    """After the retries the last error is raised."""
    server.answers = [BUSY]
    with pytest.raises(StoreUnavailable):
        client.submit("ping")
    assert len(server.asked) == 1 + client.retries


def test_a_claim_is_never_repeated_by_itself(server: Scripted, client: Client) -> None:
    """A second claim after a lost answer would take a second task."""
    server.answers = [None]
    with pytest.raises(ServerUnreachable):
        client.next("w")
    assert len(server.asked) == 1


def test_no_server_is_said_with_what_to_do(free_port: int) -> None:
    """Where nobody listens, the error is one sentence: the address and the reason; the hint is what to type."""
    with Client(f"http://127.0.0.1:{free_port}", retries=0) as client, pytest.raises(ServerUnreachable) as raised:
        client.health()
    assert re.fullmatch(rf"no answer from http://127\.0\.0\.1:{free_port}: [\w ,]+", raised.value.message)
    assert raised.value.hint == "start it with: taskspool serve bridge"


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"[1]", b"\xff\xfe"])
def test_another_program_on_the_port_is_said(server: Scripted, client: Client, body: bytes) -> None:
    """An answer that is no JSON object is not taken for the bridge's."""
    server.answers = [(200, body)]
    client.retries = 0
    with pytest.raises(ServerUnreachable, match="another program"):
        client.health()


def test_a_silent_server_is_given_up_after_the_timeout() -> None:
    """A server that accepts and says nothing holds nobody longer than the timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.3, retries=0)
        began = time.monotonic()
        with client, pytest.raises(ServerUnreachable):
            client.health()
    assert 0.25 < time.monotonic() - began < 3


def test_result_waits_for_the_result(server: Scripted, client: Client) -> None:
    """While the task is pending it is asked again, with the rest of the wait in the query, until it is there."""
    server.answers = [PENDING, PENDING, RESULT]
    result = client.result("id-1", wait=20)
    assert (result.status, result.data, result.worker, result.is_success) == ("success", {"n": 1}, "w", True)
    assert all(asked.path.startswith("/api/tasks/id-1/result?wait=") for asked in server.asked)
    assert 19 < float(server.asked[0].path.partition("wait=")[2]) <= 20


def test_a_single_long_poll_is_never_longer_than_25_seconds(server: Scripted, client: Client) -> None:
    """Longer waits are made of several polls."""
    server.answers = [RESULT]
    client.result("id-1", wait=1000)
    assert server.asked[0].path.endswith("wait=25.000")


def test_result_ends_with_pending_when_the_time_is_up(server: Scripted, client: Client) -> None:
    """Without a wait there is one look; with one there is an end, also when the server does not wait."""
    server.answers = [PENDING]
    with pytest.raises(ResultPending) as raised:
        client.result("id-1")
    assert raised.value.details["state"] == "ready"
    assert [asked.path for asked in server.asked] == ["/api/tasks/id-1/result"]
    began = time.monotonic()
    with pytest.raises(ResultPending):
        client.result("id-1", wait=0.3)
    assert 0.3 <= time.monotonic() - began < 3
    assert len(server.asked) < 15, "a server that does not wait must not be asked without pause"


def test_a_missing_task_is_not_waited_for(server: Scripted, client: Client) -> None:
    """An unknown id ends the wait at once."""
    server.answers = [(404, {"error": "none", "code": "TASK_NOT_FOUND"})]
    with pytest.raises(TaskNotFound):
        client.result("id-1", wait=30)


def test_claims_are_read_with_their_leases(server: Scripted, client: Client) -> None:
    """next sends who asks for what, and gives claims with token, attempt and how long the lease lasts."""
    server.answers = [(200, {"tasks": [{
        "task_id": "t1", "task_type": "ping", "data": {"a": 1}, "requester": "r", "attempt": 3, "priority": "urgent",
        "created_at": "2026-01-31T12:00:00.000000Z", "previous_error": "broke",
        "lease": {"token": "tok", "heartbeat_every": 20}}]})]
    claim, = client.next("w", types=["ping"], max=2, wait=1, lease=60)
    assert server.asked[0].body == {"worker_id": "w", "types": ["ping"], "max": 2, "wait": 1, "lease": 60}
    task, lease = claim.task, claim.lease
    assert (task.id, task.type, task.data, task.priority, task.last_error) == ("t1", "ping", {"a": 1},
                                                                               Priority.CRITICAL, "broke")
    assert (lease.token, lease.worker, lease.attempt, lease.lease_seconds) == ("tok", "w", 3, 60)
    server.answers = [(200, {"task": None})]
    assert client.next("w") == []


def test_the_workers_verbs_carry_the_token(server: Scripted, client: Client) -> None:
    """complete, fail, release and heartbeat show the lease token, and a stale one raises LeaseLost."""
    server.answers = [(200, {"success": True})]
    client.complete("t", "tok", "w", {"x": 1})
    client.fail("t", "tok", "w", "broke", retryable=False, retry_after=2.5)
    client.release("t", "tok", delay=1, reason="stop")
    client.heartbeat("t", "tok")
    client.heartbeat_worker("my worker/1", {"t": "tok"})
    assert [(asked.path, asked.body) for asked in server.asked] == [
        ("/api/tasks/t/result", {"worker_id": "w", "status": "success", "data": {"x": 1}, "lease_token": "tok"}),
        ("/api/tasks/t/result", {"worker_id": "w", "status": "error", "error_message": "broke", "lease_token": "tok",
                                 "retryable": False, "retry_after": 2.5}),
        ("/api/tasks/t/release", {"lease_token": "tok", "delay": 1, "reason": "stop"}),
        ("/api/tasks/t/heartbeat", {"lease_token": "tok"}),
        ("/api/workers/my%20worker%2F1/heartbeat", {"running": [{"task_id": "t", "lease_token": "tok"}]}),
    ]
    server.answers = [(409, {"error": "lost", "code": "LEASE_LOST"})]
    with pytest.raises(LeaseLost):
        client.complete("t", "old", "w", None)


def test_loopback_is_asked_without_a_proxy(server: Scripted, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    """A proxy in the environment is for other machines: this one is asked directly."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    server.answers = [CREATED]
    with Client(server.url, retries=0) as client:
        assert client.submit("ping") == "id-1"


@pytest.mark.parametrize(("url", "expected"), [
    ("http://127.0.0.1:8091", True), ("http://127.8.9.1", True), ("http://[::1]:8091", True),
    ("http://localhost:1", True), ("http://bridge.localhost", True), ("http://10.0.0.1", False),
    ("http://localhost.example.com", False), ("http://example.com", False),
])
def test_what_counts_as_this_machine(url: str, expected: bool) -> None:
    """127/8, ::1 and localhost names, nothing else."""
    assert is_loopback(url) is expected


def test_threads_do_not_share_a_connection(server: Scripted, client: Client) -> None:
    """Each thread has a session of its own."""
    server.answers = [CREATED]
    sessions = []
    threads = [threading.Thread(target=lambda: (client.submit("ping"), sessions.append(client._session())))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len({id(session) for session in sessions}) == 4


def test_backoff_doubles_is_capped_and_never_zero() -> None:
    """Pauses grow to the cap; chance takes away half of them at most."""
    for attempt in range(200):
        longest = min(client_call.BACKOFF_CAP_SECONDS, client_call.BACKOFF_BASE_SECONDS * 2 ** min(attempt, 30))
        assert longest / 2 <= backoff_seconds(attempt) <= longest


def test_a_server_redirecting_is_not_followed(server: Scripted, client: Client) -> None:
    """The bridge never redirects; who does is another program, and gets no second request."""
    server.answers = [(302, b"", {"Location": "http://127.0.0.1:1/"})]
    client.retries = 0
    with pytest.raises(ServerUnreachable):
        client.submit("ping")
    assert len(server.asked) == 1
