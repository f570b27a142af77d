"""Log injection: whatever a client sends stays inside its line, and commands no terminal."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from live_bridge import read_reply, request_bytes
from service import Services
from waiting import eventually

EVIL = "\x1b[2J\r\n2026-01-01T00:00:00Z INFO forged\x85\u2028\u2029\u202e\x9b31m\x7f\u0007"


@pytest.fixture(scope="module", params=["text", "json"])
def logged(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The lines a real server logged while it was sent nasty things."""
    folder = tmp_path_factory.mktemp(f"log-{request.param}")
    services = Services(folder)
    try:
        service = services.bridge(folder / "out", "--log-format", request.param)
        port = service.port()
        for one in nasty_requests():
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(one)
                read_reply(connection)
        eventually(lambda: "/the-last-one" in service.said(), why="everything is logged")
        yield service.said().split("\n")
    finally:
        services.end_all()


def nasty_requests() -> list[bytes]:
    latin = EVIL.replace("\x7f", "").encode("utf-8").decode("latin-1")
    text = json.dumps(EVIL)
    return [
        request_bytes("GET", "/a%0d%0aforged%1b[2J"),
        request_bytes("GET", "/health?x=%0aforged%e2%80%a8"),
        request_bytes("GET", "/health", user_agent="x\x9b31m forged " + latin.translate(dict.fromkeys(range(32)))),
        request_bytes("GET", "/health", x_request_id="bad id forged\x85"),
        request_bytes("POST", "/api/tasks", f'{{"task_type":{text},"requester":{text}}}'.encode()),
        request_bytes("POST", "/api/tasks/next", f'{{"worker_id":{text}}}'.encode()),
        request_bytes("GET", "/the-last-one"),
    ]


@pytest.mark.slow
def test_one_line_each(logged: list[str]) -> None:
    """No line of the log begins with what a client sent."""
    assert not [line for line in logged if line.startswith(("forged", "2026-01-01"))]
    assert len([line for line in logged if "/the-last-one" in line]) == 1


def test_nothing_but_printable(logged: list[str]) -> None:
    """The log holds no control character, no line separator and no text direction mark."""
    assert [line for line in logged if not line.isprintable()] == []


def test_json_lines(logged: list[str]) -> None:
    """As JSON every line is one object; as text none is."""
    lines = [line for line in logged if line]
    if lines[0].startswith("{"):
        assert all(isinstance(json.loads(line), dict) for line in lines)
        last = next(json.loads(line) for line in lines if "/the-last-one" in line)
        assert last["logger"] == "taskspool.access"
        assert last["request_id"]


def test_request_id_is_echoed_only_when_plain(tmp_path: Path) -> None:
    """X-Request-ID comes back when it is 1..64 letters, digits, dots, dashes, underscores; else it gets a new one."""
    from live_bridge import live_bridge

    with live_bridge(tmp_path) as bridge:
        assert bridge.get("/health", headers={"X-Request-ID": "trace-1.A_b"}).headers["X-Request-ID"] == "trace-1.A_b"
        for bad in ("a b", "a\tb", "x" * 65, "<b>", "é"):
            raw = request_bytes("GET", "/nowhere", x_request_id=bad)
            reply = bridge.raw(raw)
            assert reply.headers["x-request-id"] != bad
            assert reply.json()["request_id"] == reply.headers["x-request-id"]
