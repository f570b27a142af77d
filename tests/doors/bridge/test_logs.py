"""Live logs over HTTP: how lines are sent, and how they are told to those who read, follow, and were cut off."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from live_bridge import LiveBridge
from waiting import eventually
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from taskspool.doors.bridge.named_queues import NamedQueues
from taskspool.engine.lifecycle import open_queue
from taskspool.settings import Settings
from taskspool.web.errors import TooManyStreams
from taskspool.web.following import Piece, Watch
from taskspool.web.server import Serving

UNKNOWN = "01936f5e-0000-7000-8000-000000000001"


class Work:
    """A task in work, and its log."""

    def __init__(self, bridge: LiveBridge, kind: str) -> None:
        self.bridge = bridge
        self.id = bridge.submit(kind, max_retries=3)
        self.token = bridge.claim(types=[kind])["lease"]["token"]
        self.path = f"/api/tasks/{self.id}/log"

    def say(self, *lines: Any, offset: int | None = None) -> requests.Response:
        body = {"lease_token": self.token, "lines": lines} | ({} if offset is None else {"offset": offset})
        return self.bridge.post(self.path, body)

    def send(self, content: bytes, kind: str, query: str = "", **headers: str) -> requests.Response:
        """A body that is no JSON."""
        return self.bridge.session.post(f"{self.bridge.url}{self.path}{query}", data=content, timeout=30, headers={
            "Content-Type": kind, "Lease-Token": self.token, **headers})

    def texts(self) -> list[str]:
        return [line["text"] for line in self.bridge.get(self.path).json()["lines"]]

    def finish(self) -> None:
        assert self.bridge.post(f"/api/tasks/{self.id}/complete", {"lease_token": self.token}).ok


@pytest.fixture
def work(bridge: LiveBridge, kind: str) -> Work:
    return Work(bridge, kind)


def events_of(reply: requests.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name of the event or "", its data), as they come."""
    name = ""
    for line in reply.iter_lines(chunk_size=1, decode_unicode=True):
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
            name = ""


def test_lines_are_taken_and_told(work: Work) -> None:
    """Texts and objects are taken in order; the answer says how many there are; a page tells all that is known."""
    taken = work.say("a", {"stream": "err", "text": "b"}, offset=0)
    assert (taken.status_code, taken.json()["next_offset"], taken.headers["Range"]) == (202, 2, "lines=0-1")
    page = work.bridge.get(work.path).json()
    assert {name: page[name] for name in ("task_id", "first", "next", "is_finished")} == {
        "task_id": work.id, "first": 0, "next": 2, "is_finished": False}
    assert [(line["number"], line["attempt"], line["stream"], line["text"]) for line in page["lines"]] == [
        (0, 1, "out", "a"), (1, 1, "err", "b")]
    assert page["lines"][0]["at"].endswith("Z")
    work.finish()
    assert work.bridge.get(work.path, params={"after": 0, "limit": 1}).json()["lines"][0]["text"] == "b"
    assert work.bridge.get(work.path, params={"after": 1}).json()["is_finished"] is True


def test_the_same_again_and_a_gap(work: Work) -> None:
    """A repeated call adds nothing; after a gap 416 tells where to go on; without an offset lines are new."""
    assert [work.say("a", "b", offset=0).json()["next_offset"] for _ in range(2)] == [2, 2]
    gap = work.say("x", offset=7)
    assert (gap.status_code, gap.json()["code"], gap.json()["details"]) == (416, "LOG_OFFSET", {"next_offset": 2})
    assert [work.say("c").json()["next_offset"] for _ in range(2)] == [3, 4]
    assert work.texts() == ["a", "b", "c", "c"]


def test_plain_text_and_ndjson(work: Work) -> None:
    """With the token in a header a body may be plain text, whose bytes need not be right, or a line of JSON each."""
    assert work.send(b"a\xff\nb\r\n\nc", "text/plain; charset=utf-8", "?offset=0").json()["next_offset"] == 4
    assert work.send(b'"d"\n{"stream": "log", "text": "e"}\n', "application/x-ndjson", "?offset=4").status_code == 202
    assert work.send(b"", "text/plain").json()["next_offset"] == 6
    assert work.texts() == ["a\ufffd", "b", "", "c", "d", "e"]


@pytest.mark.parametrize(("body", "field"), [
    ({"lines": ["a"]}, "lease_token"), ({"lease_token": "t"}, "lines"), ({"lease_token": "t", "lines": "a"}, "lines"),
    ({"lease_token": "t", "lines": [1]}, "lines.0"),
    ({"lease_token": "t", "lines": [{"stream": "out"}]}, "lines.0.text"),
    ({"lease_token": "t", "lines": [{"stream": "stdout", "text": ""}]}, "lines.0.stream"),
    ({"lease_token": "t", "lines": [], "offset": -1}, "offset"),
    ({"lease_token": "t", "lines": ["a"] * 10_001}, "lines"),
])
def test_what_is_refused_is_named(work: Work, body: dict[str, Any], field: str) -> None:
    """A broken field is 400 with its name, and nothing is written."""
    reply = work.bridge.post(work.path, body)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field)
    assert work.texts() == []


def test_refusals_of_other_bodies(work: Work) -> None:
    """No JSON in NDJSON, a wrong offset, another kind of body: 400 or 415, and nothing is written."""
    assert work.send(b"{no", "application/x-ndjson").status_code == 400
    assert work.send(b"x", "text/plain", "?offset=-1").json()["details"]["field"] == "offset"
    assert work.send(b"x", "text/html").json()["code"] == "NOT_JSON"
    assert work.send(b"x", "text/plain", **{"Content-Encoding": "gzip"}).status_code == 415
    assert work.send(b"\n" * 10_001, "text/plain").json()["details"]["field"] == "lines"
    assert work.texts() == []


def test_a_page_of_another_site_cannot_write_a_log(work: Work) -> None:
    """Plain text, which a browser sends without asking, is refused without the header it would have to ask for; and
    with it everywhere else."""
    without = {"Lease-Token": ""}
    assert work.send(b"x", "text/plain", **without).json()["code"] == "NOT_JSON"
    assert work.send(b"x", "text/plain", Origin="http://evil.example").status_code == 403
    elsewhere = work.bridge.session.post(f"{work.bridge.url}/api/tasks", data=b"{}", timeout=30, headers={
        "Content-Type": "text/plain", "Lease-Token": work.token})
    assert elsewhere.json()["code"] == "NOT_JSON"
    assert work.texts() == []


def test_of_another_queue(tmp_path: Path) -> None:
    """Below ``/queues/<name>/`` logs are taken and told too: as plain text, as events and over a socket."""
    settings = Settings(root=tmp_path, durability="fast")
    queue = open_queue(settings)
    named = NamedQueues(queue, settings, lambda _: ())
    serving = Serving(named, settings, is_quick=named.is_quick, port=0)
    thread = threading.Thread(target=serving.run, daemon=True)
    thread.start()
    try:
        base = f"127.0.0.1:{serving.port}/queues/other/api/tasks"
        task_id = requests.post(f"http://{base}", json={"task_type": "x"}, timeout=30).json()["task_id"]
        claim = requests.post(f"http://{base}/{task_id}/claim", json={}, timeout=30).json()["task"]
        headers = {"Lease-Token": claim["lease"]["token"], "Content-Type": "text/plain"}
        assert requests.post(f"http://{base}/{task_id}/log", data=b"a", headers=headers, timeout=30).status_code == 202
        with requests.get(f"http://{base}/{task_id}/log?follow=1", stream=True, timeout=30) as reply, connect(
                f"ws://{base}/{task_id}/log/ws", proxy=None) as socket_:
            assert next(events_of(reply))[1]["text"] == json.loads(socket_.recv(20))["text"] == "a"
    finally:
        serving.stop()
        thread.join(20)
        named.close()
        queue.close()


def test_only_the_holder(work: Work) -> None:
    """A stale token is 409 LEASE_LOST, an unknown task 404, for writers and readers."""
    stale = work.bridge.post(work.path, {"lease_token": "1-1-1-1-1", "lines": ["x"]})
    assert (stale.status_code, stale.json()["code"]) == (409, "LEASE_LOST")
    for query in ("", "?follow=1"):
        assert work.bridge.get(f"/api/tasks/{UNKNOWN}/log{query}").json()["code"] == "TASK_NOT_FOUND"
    assert work.bridge.post(f"/api/tasks/{UNKNOWN}/log", {"lease_token": "t", "lines": []}).status_code == 404


def test_the_worker_learns_of_a_cancel(work: Work) -> None:
    """The answer to an append says that the task is to be cancelled, as every answer to its worker does."""
    assert work.say("a").json()["cancel_requested"] is False
    work.bridge.post(f"/api/tasks/{work.id}/cancel", {})
    told = work.say("b")
    assert (told.json()["cancel_requested"], told.headers["Task-Status"]) == (True, "cancel_requested")


def test_as_plain_text(work: Work) -> None:
    """Who accepts plain text gets the texts, and in a header where the next ones begin."""
    work.say("a", "핑")
    reply = work.bridge.get(work.path, headers={"Accept": "text/plain"})
    assert reply.content.decode() == "a\n핑\n"
    assert (reply.headers["Content-Type"], reply.headers["Log-Next"]) == ("text/plain; charset=utf-8", "2")
    work.finish()
    followed = work.bridge.get(work.path, params={"follow": 1, "after": 0}, headers={"Accept": "text/plain"})
    assert followed.content.decode() == "핑\n"


def test_a_reader_is_told_as_it_comes_until_the_end(work: Work) -> None:
    """Who follows gets what there is, then each line as it is said, over attempts, and an end when the task has."""
    work.say("a")
    with work.bridge.get(work.path, params={"follow": 1}, stream=True) as reply:
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        told = events_of(reply)
        assert next(told)[1]["text"] == "a"
        work.say("b")
        assert next(told)[1]["text"] == "b"
        work.bridge.post(f"/api/tasks/{work.id}/release", {"lease_token": work.token})
        work.token = work.bridge.post(f"/api/tasks/{work.id}/claim", {}).json()["task"]["lease"]["token"]
        work.say("c", offset=0)
        name, line = next(told)
        assert (name, line["number"], line["text"]) == ("", 2, "c")
        work.finish()
        assert next(told) == ("end", {"task_id": work.id, "next": 3})
        assert list(told) == []


def test_who_was_cut_off_goes_on(work: Work) -> None:
    """Last-Event-ID resumes behind that line, and wins over the address; what is behind the end is the end."""
    work.say(*"abc")
    work.finish()
    with work.bridge.get(work.path, params={"after": -1}, headers={
            "Accept": "text/event-stream", "Last-Event-ID": "1"}, stream=True) as reply:
        assert [(name, data.get("text")) for name, data in events_of(reply)] == [("", "c"), ("end", None)]
    with work.bridge.get(work.path, headers={"Last-Event-ID": "2"}, params={"follow": 1}, stream=True) as reply:
        assert [name for name, _ in events_of(reply)] == ["end"]
    assert work.bridge.get(work.path, headers={"Last-Event-ID": "x"}).json()["details"]["field"] == "Last-Event-ID"


def test_what_another_process_writes_is_told(work: Work) -> None:
    """A reader hears of lines that did not come through this bridge."""
    heard = work.bridge.queue.logs.heard
    work.bridge.queue.logs.heard = lambda _: None
    try:
        with work.bridge.get(work.path, params={"follow": 1}, stream=True) as reply:
            told = events_of(reply)
            for text in "ab":
                work.bridge.queue.logs.append(work.id, work.token, [("out", text)], None)
                assert next(told)[1]["text"] == text
    finally:
        work.bridge.queue.logs.heard = heard


def test_many_readers_hold_no_threads(work: Work) -> None:
    """A hundred readers of one log are told everything, with hardly a thread more than one has."""
    connections = []
    try:
        for _ in range(100):
            one = work.bridge.connect()
            connections.append(one)
            one.sendall(f"GET {work.path}?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        for one in connections:
            assert b"the log follows" in until(one, b"follows")
        before = threading.active_count()
        work.say("to all")
        assert all(b"to all" in until(one, b"to all") for one in connections)
        assert before < 60
    finally:
        for one in connections:
            one.close()


def until(connection: socket.socket, wanted: bytes) -> bytes:
    received = b""
    while wanted not in received:
        received += connection.recv(65_536) or wanted
    return received


def test_there_is_a_limit_of_readers() -> None:
    """One reader more than may be is refused; who leaves makes room; the thread ends with the last."""
    watch = Watch(lambda _: 0, max_readers=2, poll_seconds=0.01)
    readers = [watch.open("a", 0, lambda topic, place: Piece(b"", place, is_over=False)) for _ in range(2)]
    with pytest.raises(TooManyStreams):
        watch.open("b", 0, lambda topic, place: Piece(b"", place, is_over=False))
    readers[0].close()
    readers[0] = watch.open("b", 0, lambda topic, place: Piece(b"", place, is_over=False))
    for reader in readers:
        reader.close()
    eventually(lambda: watch._thread is None, 20, "its thread ends")


def test_over_a_websocket(work: Work) -> None:
    """A socket is told each line as JSON, from where it asks on, and closed with 1000 when the task has ended."""
    work.say("a", "b")
    with connect(socket_url(work, "?after=0"), proxy=None) as told:
        assert json.loads(told.recv(20))["text"] == "b"
        told.send("nobody hears this")
        work.say("c")
        assert json.loads(told.recv(20)) | {"at": ""} == {
            "number": 2, "at": "", "attempt": 1, "stream": "out", "text": "c"}
        work.finish()
        with pytest.raises(ConnectionClosed) as closed:
            told.recv(20)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1000


def socket_url(work: Work, query: str = "") -> str:
    return f"ws://127.0.0.1:{work.bridge.port}{work.path}/ws{query}"


def test_handshakes_pass_the_same_gates(work: Work) -> None:
    """A page of another site, another host, an unknown task and another address are refused as any request is."""
    base = f"ws://127.0.0.1:{work.bridge.port}"
    refused = [(socket_url(work), {"origin": "http://evil.example"}, 403),
               (socket_url(work), {"additional_headers": {"Sec-Fetch-Site": "cross-site"}}, 403),
               (f"{base}/api/tasks/{UNKNOWN}/log/ws", {}, 404), (f"{base}/api/workers/ws", {}, 404),
               (socket_url(work, "?after=x"), {}, 400),
               (f"{base}/api/events", {"additional_headers": {"Accept": "application/json"}}, 200)]
    for url, options, status in refused:
        with pytest.raises(InvalidStatus) as answer, connect(url, proxy=None, **options):  # type: ignore[arg-type]
            pass
        assert answer.value.response.status_code == status
    assert work.bridge.raw(handshake(f"{work.path}/ws", "evil.example")).status == 421
    with work.bridge.connect() as connection:  # a stream, but no socket
        connection.sendall(handshake("/api/events", "localhost"))
        assert until(connection, b"\r\n").startswith(b"HTTP/1.1 200 ")


def handshake(path: str, host: str) -> bytes:
    """What asks for a WebSocket."""
    return (f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n").encode()


def test_the_address_of_a_socket_without_a_handshake(work: Work) -> None:
    """It is 426, and says how else to follow."""
    reply = work.bridge.get(f"{work.path}/ws")
    assert (reply.status_code, reply.json()["code"], reply.headers["Upgrade"]) == (
        426, "UPGRADE_REQUIRED", "websocket")


def test_a_stopping_server_lets_its_readers_go(fresh: LiveBridge) -> None:
    """Readers of both kinds end when the server stops, and their client knows that this is not the end."""
    work = Work(fresh, "x")
    work.say("a")
    with fresh.get(work.path, params={"follow": 1}, stream=True) as reply, connect(
            socket_url(work), proxy=None) as socket_:
        told = events_of(reply)
        assert next(told)[1]["text"] == json.loads(socket_.recv(20))["text"] == "a"
        fresh.serving.stop()
        assert list(told) == []
        with pytest.raises(ConnectionClosed) as closed:
            socket_.recv(20)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012


def test_head_of_a_log_that_is_followed(work: Work) -> None:
    """HEAD is answered at once, without a body, also where GET would go on."""
    reply = work.bridge.session.head(f"{work.bridge.url}{work.path}?follow=1", timeout=30)
    assert (reply.status_code, reply.content) == (200, b"")
