"""The server on its sockets: slow, idle, endless and broken clients cost the others nothing."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from live_bridge import LiveBridge, read_reply, request_bytes
from waiting import eventually

from taskspool.web import bridge as front
from taskspool.web import lane, protocol, server


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed it by now."""
    connection.settimeout(0.05)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_slow_and_idle_clients_do_not_matter(bridge: LiveBridge) -> None:
    """300 clients in the middle of their headers and 500 silent ones: /health answers as before."""
    open_ones = [bridge.connect() for _ in range(800)]
    for connection in open_ones[:300]:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
    slowest = 0.0
    for _ in range(20):
        began = time.monotonic()
        assert bridge.raw(request_bytes("GET", "/health")).status == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1
    for connection in open_ones:
        connection.close()


def test_slow_heads_are_cut_off(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not completed a head in time is cut off, as is who never says anything."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    with bridge.connect() as slow, bridge.connect() as silent, bridge.connect() as second:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        second.sendall(request_bytes("GET", "/health"))
        assert read_reply(second).status == 200
        second.sendall(b"GET /hea")
        for connection in (slow, silent, second):
            eventually(lambda connection=connection: is_closed(connection), 10)


def test_idle_connections_are_closed(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kept-alive connection nobody uses any more is closed after a while, whichever way its request went."""
    monkeypatch.setattr(protocol, "IDLE_SECONDS", 0.5)
    with bridge.connect() as idle:
        idle.sendall(request_bytes("GET", "/health"))
        assert read_reply(idle).status == 200
        eventually(lambda: is_closed(idle), 10)


def test_slow_body_is_refused(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come is a 408."""
    monkeypatch.setattr(front, "BODY_SECONDS", 0.3)
    with bridge.connect() as slow:
        slow.sendall(request_bytes("POST", "/api/stats", content_type="application/json", content_length="10") + b"{")
        reply = read_reply(slow)
    assert (reply.status, reply.json()["code"]) == (408, "REQUEST_TIMEOUT")


@pytest.mark.parametrize("head", [
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X-Filler: " + b"a" * 1000 + b"\r\n",
    b"GET /" + b"a" * 70_000,
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Filler: " + b"a" * 70_000,
])
def test_endless_head(bridge: LiveBridge, head: bytes) -> None:
    """A head larger than 64 KiB is refused with 431 while it is still coming."""
    filler = b"X-More: " + b"b" * 1000 + b"\r\n"
    with bridge.connect() as connection:
        connection.sendall(head)
        for _ in range(100):
            if head.endswith(b"\r\n"):
                try:
                    connection.sendall(filler)
                except ConnectionError:
                    break
        reply = read_reply(connection)
    assert (reply.status, reply.json()["code"]) == (431, "HEAD_TOO_LARGE")


@pytest.mark.parametrize("request_", [
    b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n", b"FETCH / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
    b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
    b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])
def test_broken_http(bridge: LiveBridge, request_: bytes) -> None:
    """What is not HTTP, or HTTP that two servers could read differently, is a 400 in JSON, and the end."""
    with bridge.connect() as connection:
        connection.sendall(request_)
        reply = read_reply(connection)
        assert reply.status == 400
        assert reply.json()["error"]
        eventually(lambda: is_closed(connection))


def test_pipelining(bridge: LiveBridge) -> None:
    """Requests sent at once on one connection are answered in their order, quick and slow ones mixed."""
    paths = ["/health", "/api/stats", "/nowhere", "/health", "/api/tasks", "/api/tasks/next?types=none&wait=0.1",
             "/health", "/api/inflight"]
    statuses = [200, 200, 404, 200, 200, 200, 200, 200]
    keys = ["durability", "pending", "code", "durability", "total_pending", "task", "durability", "inflight"]
    with bridge.connect() as connection:
        connection.sendall(b"".join(request_bytes("GET", path) for path in paths))
        received = b""
        while received.count(b"HTTP/1.1 ") < len(paths) or not received.endswith(b"}\n"):
            received += connection.recv(65_536)
    answers = received.split(b"HTTP/1.1 ")[1:]
    assert [int(answer[:3]) for answer in answers] == statuses
    for answer, key in zip(answers, keys, strict=True):
        assert key in json.loads(answer.partition(b"\r\n\r\n")[2])


def test_one_connection_does_not_keep_the_others_waiting(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many quick requests that came in one piece some are answered at once, the rest in turns with other clients."""
    at_once: list[str] = []
    answer = front.Front.answer
    monkeypatch.setattr(front.Front, "answer", lambda self, environ: (
        at_once.append(environ["PATH_INFO"]) or answer(self, environ)))
    number = 3 * lane.MAX_IN_A_ROW
    with bridge.connect() as connection:
        connection.sendall(request_bytes("GET", "/health") * number)
        received = b""
        while received.count(b"HTTP/1.1 200") < number or not received.endswith(b"}\n"):
            received += connection.recv(65_536)
    assert len(at_once) == lane.MAX_IN_A_ROW


def test_chunked_body(bridge: LiveBridge) -> None:
    """A chunked body is as good as any, wherever its chunks are cut."""
    body = b'{"task_type": "never", "data": {"text": "cut"}}'
    head = request_bytes("POST", "/api/tasks", content_type="application/json", transfer_encoding="chunked")
    with bridge.connect() as connection:
        connection.sendall(head)
        for byte in range(0, len(body), 7):
            piece = body[byte:byte + 7]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert read_reply(connection).status == 201


def test_body_byte_by_byte(bridge: LiveBridge) -> None:
    """A request may come byte by byte."""
    with bridge.connect() as connection:
        for byte in request_bytes("POST", "/api/tasks/next", b'{"types":["none"]}'):
            connection.sendall(bytes([byte]))
        assert read_reply(connection).json()["task"] is None


def test_expect_continue(bridge: LiveBridge) -> None:
    """``Expect: 100-continue`` is answered at once, and the body read then (Windows PowerShell 5.1 waits for it)."""
    body = b'{"task_type": "never"}'
    head = request_bytes("POST", "/api/tasks", content_type="application/json", content_length=str(len(body)),
                         expect="100-continue")
    with bridge.connect() as connection:
        connection.sendall(head)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert read_reply(connection).status == 201


def test_too_large(bridge: LiveBridge) -> None:
    """A body over the limit is a 413, with its length said or chunked, and is not kept in memory."""
    size = bridge.settings.max_task_bytes + front.ENVELOPE_BYTES + 1
    with bridge.connect() as connection:
        connection.sendall(request_bytes("POST", "/api/tasks", b"x" * size))
        assert read_reply(connection).json()["code"] == "PAYLOAD_TOO_LARGE"
        connection.sendall(request_bytes("GET", "/health"))
        assert read_reply(connection).status == 200
    with bridge.connect() as connection:
        connection.sendall(request_bytes("POST", "/api/tasks", content_type="application/json",
                                         transfer_encoding="chunked"))
        for _ in range(20):
            connection.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        assert read_reply(connection).status == 413


def test_too_large_is_refused_before_it_is_sent(bridge: LiveBridge) -> None:
    """With ``Expect: 100-continue`` a body over the limit is refused before it is sent; a huge one in any case."""
    for more in ({"content_length": str(50 << 20)}, {"content_length": str(2 << 20), "expect": "100-continue"}):
        reply = bridge.raw(request_bytes("POST", "/api/tasks", content_type="application/json", **more))
        assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_keep_alive_and_close(bridge: LiveBridge) -> None:
    """``Connection: close`` and HTTP/1.0 end the connection after the answer, quick request or not."""
    for path in ("/health", "/api/stats"):
        with bridge.connect() as connection:
            connection.sendall(request_bytes("GET", path, connection="close"))
            assert read_reply(connection).headers["connection"] == "close"
            eventually(lambda connection=connection: is_closed(connection))
        with bridge.connect() as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            assert read_reply(connection).status == 200
            eventually(lambda connection=connection: is_closed(connection))


def test_head(bridge: LiveBridge) -> None:
    """HEAD answers as GET does, without the body, and the connection goes on."""
    with bridge.connect() as connection:
        for path in ("/health", "/api/stats"):
            connection.sendall(request_bytes("HEAD", path))
            reply = read_reply(connection, has_body=False)
            assert reply.status == 200
            assert int(reply.headers["content-length"]) > 10


def test_who_does_not_read_is_not_read_from(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends requests and reads no answers is stopped, then cut off: its answers do not pile up here."""
    monkeypatch.setattr(protocol, "STALL_SECONDS", 1.0)
    requests = request_bytes("GET", "/openapi.json") * 1000
    state = bridge.serving._server.server_state
    before = state.total_requests
    with bridge.connect() as deaf:
        deaf.settimeout(15)
        with pytest.raises(ConnectionError):  # cut off; a server that went on reading would take all of it
            for _ in range(400):
                deaf.sendall(requests)
    assert state.total_requests - before < 1000  # some 10 MB of 40 KB answers fit into the sockets
    assert bridge.get("/health").ok


def test_too_many_connections(bridge: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a new connection is told 503, and the others go on."""
    with bridge.connect() as first:
        first.sendall(request_bytes("GET", "/health"))
        assert read_reply(first).status == 200
        monkeypatch.setattr(bridge.serving.protocol, "max_connections", 0)
        with bridge.connect() as second:
            reply = read_reply(second)
        assert (reply.status, reply.json()["code"]) == (503, "TOO_MANY_CONNECTIONS")
        first.sendall(request_bytes("GET", "/health"))
        assert read_reply(first).status == 200


def test_no_server_header(bridge: LiveBridge) -> None:
    """Answers do not tell which server software this is."""
    assert "server" not in {name.lower() for name in bridge.get("/health").headers}


def test_forwarded_headers_are_not_believed(bridge: LiveBridge) -> None:
    """Nobody stands in front of us: X-Forwarded-* changes nothing."""
    reply = bridge.get("/", headers={"Accept": "text/html", "X-Forwarded-Host": "evil.example",
                                     "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"})
    assert reply.ok
    assert "evil.example" not in reply.text
    assert "https://127" not in reply.text


def test_many_files_are_allowed() -> None:
    """The server raises its own limit of open files as far as it may."""
    assert server.allow_many_files() > 500


def test_parallel_clients(bridge: LiveBridge) -> None:
    """30 clients at once, quick and slow requests mixed: everybody is answered, correctly."""
    wrong: list[object] = []

    def run(number: int) -> None:
        with bridge.connect() as connection:
            for turn in range(20):
                data = f'{{"task_type":"never","data":{{"n":{number * 100 + turn}}}}}'.encode()
                connection.sendall(request_bytes("POST", "/api/tasks", data))
                made = read_reply(connection).json()["task_id"]
                connection.sendall(request_bytes("GET", f"/api/tasks/{made}"))
                if read_reply(connection).json()["data"] != {"n": number * 100 + turn}:
                    wrong.append(made)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
