"""The stream of events: each reader is told each event once and in order, whatever is cut in between."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from live_bridge import LiveBridge, live_bridge
from waiting import eventually

from taskspool.doors.bridge.event_views import EventSource
from taskspool.web import streams
from taskspool.web.server import STOP_SECONDS
from taskspool.web.streams import Hub


class Listener:
    """One reader: what it was told, in a thread of its own."""

    def __init__(self, bridge: LiveBridge, path: str = "/api/events", after: str | None = None) -> None:
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
        self._connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=60)
        self._connection.request("GET", path, headers=headers)
        self._socket = self._connection.sock
        self._reply = self._connection.getresponse()
        self.status = self._reply.status
        self.told: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.is_over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        name = ""
        try:
            while line := self._reply.readline().decode():
                if line.startswith("event: "):
                    name = line[7:].strip()
                elif line.startswith("data: "):
                    self.told.append(json.loads(line[6:]))
                    self.names.append(name)
                    name = ""
        except (OSError, http.client.HTTPException, ValueError):  # cut off in the middle, here or there
            pass
        self.is_over = True

    def cut(self) -> None:
        """The connection breaks; nothing that was on its way arrives."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._connection.close()

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.told]

    def verbs_of(self, task_id: str) -> list[str]:
        return [event["event"] for event in self.told if event["task_id"] == task_id]


@contextmanager
def listening(bridge: LiveBridge, path: str = "/api/events", after: str | None = None) -> Iterator[Listener]:
    listener = Listener(bridge, path, after)
    try:
        yield listener
    finally:
        listener.cut()


def known(bridge: LiveBridge) -> list[dict[str, Any]]:
    """All events there are, by pages of the list."""
    found: list[dict[str, Any]] = []
    after = "0"
    while True:
        body = bridge.get(f"/api/events?limit=1000&after={after}").json()
        found += body["events"]
        after = body["last"]
        if body["count"] < 1000:
            return found


def test_the_life_of_a_task(bridge: LiveBridge, kind: str) -> None:
    """Whoever listens is told each move as it happens: verb, state, type, worker and attempt."""
    with listening(bridge) as listener:
        task_id = bridge.submit(kind)
        token = bridge.claim("w", types=[kind])["lease"]["token"]
        bridge.post(f"/api/tasks/{task_id}/complete", {"lease_token": token})
        eventually(lambda: listener.verbs_of(task_id) == ["enqueue", "claim", "complete"], 10, "all of it")
        claim = next(event for event in listener.told if event["event"] == "claim")
        assert (claim["type"], claim["worker"], claim["attempt"]) == (kind, "w", 1)
        assert (claim["state"], claim["status"]) == ("claimed", "in_progress")


def test_of_one_task(bridge: LiveBridge, kind: str) -> None:
    """The stream of one task begins with what is known of it, goes on with what comes, and tells of no other."""
    task_id = bridge.submit(kind)
    bridge.submit(kind)
    with listening(bridge, f"/api/tasks/{task_id}/events") as listener:
        eventually(lambda: listener.verbs_of(task_id) == ["enqueue"], 10, "what was")
        bridge.submit(kind)
        bridge.post(f"/api/tasks/{task_id}/cancel", {})
        eventually(lambda: listener.verbs_of(task_id) == ["enqueue", "cancel"], 10, "what comes")
        assert {event["task_id"] for event in listener.told} == {task_id}
    assert bridge.get("/api/tasks/00000000-0000-4000-8000-000000000000/events").status_code == 404


def test_a_list_for_who_asks(bridge: LiveBridge, kind: str) -> None:
    """With Accept: application/json, or a limit, the events come as a list, which tells where to go on."""
    task_id = bridge.submit(kind)
    body = bridge.get(f"/api/tasks/{task_id}/events", headers={"Accept": "application/json"}).json()
    assert [event["event"] for event in body["events"]] == ["enqueue"]
    assert bridge.get(f"/api/events?after={body['last']}&limit=5").json()["events"] == []
    bridge.post(f"/api/tasks/{task_id}/cancel", {})
    more = bridge.get(f"/api/events?after={body['last']}&limit=5").json()
    assert [event["event"] for event in more["events"]] == ["cancel"]
    assert bridge.session.head(f"{bridge.url}/api/events", timeout=5).status_code == 200


@pytest.mark.parametrize("place", ["elsewhere-3", "12", "x", "0-0"])
def test_a_place_of_another_record(bridge: LiveBridge, place: str) -> None:
    """Who comes with an id that this index never gave out is told ``reset`` first, and then what comes."""
    with listening(bridge, after=place) as listener:
        eventually(lambda: listener.names[:1] == ["reset"], 10, "reset")
        task_id = bridge.submit("after-reset")
        eventually(lambda: listener.verbs_of(task_id) == ["enqueue"], 10, "what comes")
        assert len(listener.told) == 2


def test_the_index_is_removed(tmp_path: Path) -> None:
    """Removing the index tells every reader ``reset``, and the stream goes on."""
    with live_bridge(tmp_path) as bridge, listening(bridge) as listener:
        bridge.submit("t")
        eventually(lambda: len(listener.told) == 1, 10, "the first")
        for end in ("", "-wal", "-shm"):
            (bridge.settings.folder / f"index.sqlite{end}").unlink(missing_ok=True)

        def goes_on() -> bool:
            bridge.submit("t")
            return listener.names[1:2] == ["reset"] and len(listener.told) > 2

        eventually(goes_on, 10, "it is told reset, and then what comes")


def test_fifty_readers_one_cut_off(tmp_path: Path) -> None:
    """50 readers are told every event once and in order; one that is cut off and comes back with the id of the last
    it saw misses none and hears none twice. No reader costs a thread of the server."""
    with live_bridge(tmp_path) as bridge:
        threads = threading.active_count()
        readers = [Listener(bridge) for _ in range(50)]
        assert threading.active_count() - threads <= 50 + 33, "our own 50, the pool, and one that asks"
        for _ in range(40):
            bridge.submit("t")
        eventually(lambda: len(readers[0].told) >= 10, 10, "some events")
        readers[0].cut()
        before = readers[0].ids
        for _ in range(40):
            bridge.submit("t")
        again = Listener(bridge, after=before[-1])
        expected = eventually(lambda: len(found := [one["id"] for one in known(bridge)]) == 80 and found, 10, "80")
        eventually(lambda: before + again.ids == expected, 10, "the one that came back")
        for reader in readers[1:]:
            eventually(lambda reader=reader: reader.ids == expected, 10, "the others")
        for reader in [*readers, again]:
            reader.cut()


def test_a_reader_that_takes_nothing(tmp_path: Path) -> None:
    """Who does not read is not waited for: others are told all of it, also what is not kept in memory any more."""
    with live_bridge(tmp_path) as bridge:
        hub = hub_of(bridge)
        hub._lines = deque(maxlen=7)
        with bridge.connect() as deaf, listening(bridge) as other:
            deaf.sendall(b"GET /api/events HTTP/1.1\r\nhost: localhost\r\n\r\n")
            eventually(lambda: len(hub._streams) == 2, 10, "both are open")
            made = [bridge.submit("t") for _ in range(100)]
            eventually(lambda: {event["task_id"] for event in other.told} == set(made), 20, "the one that reads")
            assert other.ids == [one["id"] for one in known(bridge)]
            assert len(hub._lines) == 7
        eventually(lambda: not hub._streams, 10, "both have left")


def hub_of(bridge: LiveBridge) -> Hub:
    """The one hub of the bridge's own app."""
    rule = "GET /api/events"
    return bridge.serving._front._app.view_functions[rule].__self__.hub  # type: ignore[attr-defined]  # a bound view


def test_a_cap_on_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reader too many is answered 503 with Retry-After; when another has left there is room again."""
    with live_bridge(tmp_path) as bridge:
        monkeypatch.setattr(hub_of(bridge), "_max_streams", 2)
        with listening(bridge), listening(bridge):
            refused = bridge.get("/api/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "TOO_MANY_STREAMS")
            assert refused.headers["Retry-After"]
        eventually(lambda: Listener(bridge).status == 200, 10, "there is room again")


def test_the_server_stops(tmp_path: Path) -> None:
    """Stopping ends every stream at once; the time after which what is left is cut off is not needed."""
    with live_bridge(tmp_path) as bridge:
        readers = [Listener(bridge) for _ in range(3)]
        bridge.submit("t")
        eventually(lambda: all(len(reader.told) == 1 for reader in readers), 10, "they listen")
        began = time.monotonic()
    eventually(lambda: all(reader.is_over for reader in readers), 3, "they were let go")
    assert time.monotonic() - began < STOP_SECONDS


def test_silence_is_broken(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream on which nothing happens says something now and then, which is no event."""
    monkeypatch.setattr("taskspool.web.bridge.BEAT_SECONDS", 0.05)
    reply = requests.get(f"{bridge.url}/api/tasks/{bridge.submit('quiet')}/events", stream=True, timeout=10)
    lines = (line for line in reply.iter_lines(chunk_size=1, decode_unicode=True) if line.startswith(":"))
    assert [next(lines) for _ in range(3)] == [": events follow", ": beat", ": beat"]
    reply.close()


def test_under_another_server(bridge: LiveBridge, kind: str) -> None:
    """Without our front a reader is told the same, by a thread of its own."""
    task_id = bridge.submit(kind)
    stream = Hub(EventSource(bridge.queue)).open(None, task_id)
    chunks = stream.chunks()
    assert next(chunks) == streams.GREETING
    assert b'"event":"enqueue"' in next(chunks)
    chunks.close()


@pytest.mark.parametrize("place", ["", "x" * 65, "%0A", "%C3%A9"])
def test_no_place_at_all(bridge: LiveBridge, place: str) -> None:
    """What cannot be an id of ours is refused by name."""
    reply = bridge.get(f"/api/events?limit=1&after={place}")
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "after")
