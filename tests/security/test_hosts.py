"""DNS rebinding: a page that made its own name point to 127.0.0.1 still says its own name in Host."""

from __future__ import annotations

from pathlib import Path

import pytest
from live_bridge import LiveBridge, live_bridge, request_bytes

EVIL = [
    "evil.com", "evil.com:8091", "127.0.0.1.evil.com", "127.0.0.1:evil.com", "localhost:8091.evil.com",
    "localhost.evil.com", "evil-localhost", "localhost@evil.com", "evil.com@localhost", "localhost/evil.com",
    "0.0.0.0", "0.0.0.0:8091", "", " ", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]:8091", "localhost.",
    "127.0.0.1.:8091", "LOCALHOST", "LocalHost:8091", "127.1", "0x7f.1", "2130706433", "[::]", "::1", "[::1",
    "localhost:", "localhost:0", "localhost:99999999", "localhost:8091:8091", "localhost:80\t91", "127.0.0.1,evil.com",
    "localhost:+80", "localhost:８０９１".encode().decode("latin-1"),
]
OURS = ["localhost", "localhost:8091", "127.0.0.1", "127.0.0.1:8091", "[::1]", "[::1]:8091", "localhost:22222"]
PATHS = [("GET", "/"), ("GET", "/health"), ("GET", "/docs"), ("GET", "/docs/init.js"), ("GET", "/openapi.json"),
         ("GET", "/assets/page.css"), ("GET", "/api/tasks/next"), ("POST", "/api/tasks"), ("GET", "/nowhere"),
         ("OPTIONS", "/api/tasks"), ("PUT", "/api/tasks"), ("HEAD", "/health")]


@pytest.mark.parametrize("host", EVIL)
def test_other_hosts(bridge: LiveBridge, host: str) -> None:
    """Any Host but ours, exactly: 421."""
    assert bridge.raw(request_bytes("GET", "/health", host=host, connection="close")).status in (400, 421)


@pytest.mark.parametrize("host", ["evil.com", "127.0.0.1:evil.com", "localhost:8091.evil.com", "LOCALHOST"])
def test_other_hosts_are_misdirected(bridge: LiveBridge, host: str) -> None:
    """The refusal is a 421 that says what to do, and does not repeat the name."""
    reply = bridge.raw(request_bytes("GET", "/health", host=host))
    assert (reply.status, reply.json()["code"]) == (421, "WRONG_HOST")
    assert "TASKSPOOL_ALLOWED_HOSTS" in reply.json()["hint"]


@pytest.mark.parametrize("host", OURS)
def test_our_hosts(bridge: LiveBridge, host: str) -> None:
    """localhost, 127.0.0.1 and [::1] are ours, with any port (tunnels) or none."""
    assert bridge.raw(request_bytes("GET", "/health", host=host)).status == 200


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_on_every_path(bridge: LiveBridge, method: str, path: str) -> None:
    """The check stands before every handler: pages, files, errors, preflights alike."""
    request = request_bytes(method, path, b"{}" if method == "POST" else b"", host="evil.com", connection="close",
                            origin="http://evil.com", access_control_request_method="POST")
    reply = bridge.raw(request) if method != "HEAD" else None
    assert reply is None or reply.status == 421


def test_two_hosts(bridge: LiveBridge) -> None:
    """Two Host headers are none of ours, in either order."""
    for first, second in (("localhost", "evil.com"), ("evil.com", "localhost"), ("localhost", "localhost")):
        raw = f"GET /health HTTP/1.1\r\nHost: {first}\r\nHost: {second}\r\n\r\n".encode()
        assert bridge.raw(raw).status == 421


def test_no_host(bridge: LiveBridge) -> None:
    """No Host at all is not ours either."""
    assert bridge.raw(b"GET /health HTTP/1.1\r\nAccept: */*\r\n\r\n").status == 421
    assert bridge.raw(b"GET /health HTTP/1.0\r\n\r\n").status == 421


@pytest.mark.parametrize("target", ["http://evil.com/health", "http://localhost:8091/health", "//evil.com/health"])
def test_absolute_target(bridge: LiveBridge, target: str) -> None:
    """A target that names a host is refused (or is a path that does not exist), whatever Host says."""
    assert bridge.raw(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).status in (404, 421)


def test_websocket_handshake(bridge: LiveBridge) -> None:
    """A WebSocket handshake passes the same check."""
    raw = request_bytes("GET", "/api/workers/ws", host="evil.com", upgrade="websocket", connection="Upgrade",
                        sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", sec_websocket_version="13")
    assert bridge.raw(raw).status == 421


def test_allowed_host(tmp_path: Path) -> None:
    """A name in allowed_hosts is ours, with any port or exactly the one it was listed with, and no other."""
    with live_bridge(tmp_path, allowed_hosts=("queue.lan", "other.lan:8091")) as bridge:
        for host, status in (("queue.lan", 200), ("queue.lan:80", 200), ("other.lan:8091", 200), ("other.lan", 421),
                             ("other.lan:80", 421), ("queue.lan.evil.com", 421)):
            assert bridge.raw(request_bytes("GET", "/health", host=host)).status == status, host
