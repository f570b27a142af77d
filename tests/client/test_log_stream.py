"""A task's log through the client: followed over cuts, ended by its end, and what is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from taskspool import client_call
from taskspool.client import Client
from taskspool.engine.log_lines import LogLine
from taskspool.errors import LogOffset, NotFound, ServerUnreachable

from .conftest import Asked, Scripted, Stream


@pytest.fixture
def client(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(client_call, "BACKOFF_BASE_SECONDS", 0.001)
    with Client(server.url, timeout=5) as made:
        yield made


def told(number: int) -> bytes:
    body = {"number": number, "at": None, "attempt": 1, "stream": "out", "text": f"line {number}"}
    return f"id: {number}\ndata: {json.dumps(body)}\n\n".encode()


def test_a_broken_stream_goes_on_behind_the_last_line(server: Scripted, client: Client) -> None:
    """Cut anywhere, the log is asked for again behind the last line; a line told twice is passed on once."""
    end = b"event: end\ndata: {}\n\n"

    def answer(asked: Asked) -> tuple[int, Stream]:
        seen = int(asked.headers.get("Last-Event-ID", -1))
        again = [told(seen)] if seen >= 0 else []
        return 200, Stream([b": hello\n\n", *again, told(seen + 1), told(seen + 2)[:20] if seen < 3 else end])

    server.answers = [answer]
    assert list(client.follow_log("t")) == [LogLine(number, None, 1, "out", f"line {number}") for number in range(5)]
    assert [asked.headers.get("Last-Event-ID") for asked in server.asked] == [None, "0", "1", "2", "3"]
    assert {asked.path for asked in server.asked} == {"/api/tasks/t/log?follow=1"}


def test_a_refusal_ends_it_and_an_outage_ends_it_late(server: Scripted, client: Client) -> None:
    """What will not become better is raised at once; no answer after the retries."""
    server.answers = [(404, {"code": "TASK_NOT_FOUND", "message": "no"})]
    with pytest.raises(NotFound):
        next(client.follow_log("t"))
    server.answers, server.asked = [None], []
    with pytest.raises(ServerUnreachable):
        next(client.follow_log("t"))
    assert len(server.asked) == 1 + client.retries


def test_what_is_sent(server: Scripted, client: Client) -> None:
    """Texts go as texts, others with their stream; a gap is raised with the place to go on from."""
    server.answers = [(202, {"next_offset": 5}), (416, {"code": "LOG_OFFSET", "message": "no",
                                                        "details": {"next_offset": 2}})]
    assert client.append_log("t", "token", ["a", ("err", "b")], 3) == 5
    assert server.asked[0].body == {"lease_token": "token", "offset": 3, "lines": ["a", {"stream": "err", "text": "b"}]}
    with pytest.raises(LogOffset) as refused:
        client.append_log("t", "token", ["a"], 9)
    assert refused.value.details["next_offset"] == 2


def test_a_page(server: Scripted, client: Client) -> None:
    """A page tells its lines, where the next ones begin, and whether there will be any."""
    server.answers = [(200, {"task_id": "t", "first": 3, "next": 5, "is_finished": True, "lines": [
        {"number": 4, "at": "2026-01-31T12:00:00Z", "attempt": 2, "stream": "err", "text": "x"}]})]
    page = client.log("t", after=1, limit=7)
    assert (page.first, page.next, page.is_finished, page.lines[0].text, page.lines[0].attempt) == (3, 5, True, "x", 2)
    assert server.asked[0].path == "/api/tasks/t/log?after=1&limit=7"
