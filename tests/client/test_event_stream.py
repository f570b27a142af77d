"""The stream of events: read however it is cut, made anew where it broke, with nothing lost and nothing told twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice

import pytest

from taskspool import client_call
from taskspool.client import Client
from taskspool.client_events import Message, messages
from taskspool.engine.task import State
from taskspool.errors import NotFound, ServerUnreachable

from .conftest import Asked, Scripted, Stream


@pytest.fixture
def client(server: Scripted, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(client_call, "BACKOFF_BASE_SECONDS", 0.001)
    with Client(server.url, timeout=5) as made:
        yield made


def told(number: int, verb: str = "claim") -> bytes:
    """An event as the bridge sends it."""
    body = {"event": verb, "at": "2026-01-31T12:00:00.000000Z", "task_id": f"t{number}", "state": "claimed",
            "worker": "w"}
    return f"id: g-{number}\nevent: {verb}\ndata: {json.dumps(body)}\n\n".encode()


TEXT = (b": hello\r\n\r\nid: 1\r\nevent: claim\r\ndata: a\r\ndata:b\r\n\r\ndata: c\n\n"
        b"id: 3\rdata: \xed\x95\x91\r\rdata: cut")


@pytest.mark.parametrize("size", [1, 2, 3, 7, len(TEXT)])
def test_a_stream_is_read_however_it_is_cut(size: int) -> None:
    """All three ends of a line, comments, several lines of data; what did not end is dropped."""
    pieces = [TEXT[start:start + size] for start in range(0, len(TEXT), size)]
    assert list(messages(pieces)) == [Message("1", "claim", "a\nb"), Message("", "", "c"), Message("3", "", "핑")]


def test_a_line_without_end_is_no_stream() -> None:
    """Whoever sends megabytes without an end of line is not the bridge."""
    with pytest.raises(ValueError, match="does not end"):
        list(messages([b"x" * 600_000] * 2))


def test_a_broken_stream_goes_on_behind_the_last_event(server: Scripted, client: Client) -> None:
    """Cut anywhere, the stream is asked for again with the id of the last event, and each event comes once."""
    events = [told(number) for number in range(1, 7)]

    def answer(asked: Asked) -> tuple[int, Stream]:
        seen = int(asked.headers.get("Last-Event-ID", "g-0").removeprefix("g-"))
        return 200, Stream([b": beat\n\n", events[seen], events[seen + 1], events[min(seen + 2, 5)][:30]])

    server.answers = [answer]
    found = list(islice(client.events(), 6))
    assert [event.id for event in found] == [f"g-{number}" for number in range(1, 7)]
    assert (found[0].verb, found[0].task_id, found[0].state, found[0].worker) == ("claim", "t1", State.CLAIMED, "w")
    assert [asked.headers.get("Last-Event-ID") for asked in server.asked] == [None, "g-2", "g-4"]


def test_a_reset_is_told_and_gone_on_from(server: Scripted, client: Client) -> None:
    """When the bridge cannot tell what came between, the reader learns it, and the stream goes on from there."""
    server.answers = [(200, Stream([b'id: h-9\nevent: reset\ndata: {"reason": "begun anew"}\n\n'])),
                      (200, Stream([told(10)]))]
    found = list(islice(client.events("g-3", task_id="t/1"), 2))
    assert [(event.verb, event.id) for event in found] == [("reset", "h-9"), ("claim", "g-10")]
    assert [(asked.path, asked.headers["Last-Event-ID"]) for asked in server.asked] == [
        ("/api/tasks/t%2F1/events", "g-3"), ("/api/tasks/t%2F1/events", "h-9")]


def test_a_refusal_ends_the_stream_and_an_outage_ends_it_late(server: Scripted, client: Client) -> None:
    """What will not become better is raised at once; no answer, and no stream, after the retries."""
    server.answers = [(404, {"code": "TASK_NOT_FOUND", "message": "no"})]
    with pytest.raises(NotFound):
        next(client.events(task_id="x"))
    for answer in (None, (200, {"no": "stream"})):
        server.answers, server.asked = [answer], []
        with pytest.raises(ServerUnreachable):
            next(client.events())
        assert len(server.asked) == 1 + client.retries


def test_what_has_happened_comes_in_pages(server: Scripted, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without following, the past is asked for page by page, and ends."""
    monkeypatch.setattr("taskspool.client.EVENTS_AT_ONCE", 2)
    bodies = [{"id": f"g-{number}", "event": "claim", "task_id": "t"} for number in range(1, 4)]
    server.answers = [(200, {"events": bodies[:2]}), (200, {"events": bodies[2:]})]
    assert [event.id for event in client.events(follow=False)] == ["g-1", "g-2", "g-3"]
    assert [asked.path for asked in server.asked] == ["/api/events?limit=2", "/api/events?after=g-2&limit=2"]
