"""Large answers are compressed for who accepts it; what is small, streamed or compressed already is left as it is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from live_bridge import LiveBridge, Reply, live_bridge, read_reply, request_bytes
from werkzeug.test import Client
from werkzeug.wrappers import Response

from taskspool.web.compress import LEAST_BYTES, MAX_WISH_CHARS, accepts_gzip, compressed

LARGE = {"text": "grüße " * 1000}


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path_factory.mktemp("compress")) as one:
        for _ in range(3):
            one.submit(data=LARGE)
        yield one


def asked(bridge: LiveBridge, path: str, method: str = "GET", **headers: str) -> Reply:
    return bridge.raw(request_bytes(method, path, **headers))


def answered(response: Response, **headers: str) -> Any:
    """What ``compressed`` makes of ``response``."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Client(compressed(response)).get("/", headers={"Accept-Encoding": "gzip", **names})


def test_a_large_answer_is_compressed_for_who_accepts_it(bridge: LiveBridge) -> None:
    """A list of tasks is a tenth of its size, says that it is gzip, and is the same when unpacked."""
    plain, small = asked(bridge, "/api/tasks"), asked(bridge, "/api/tasks", Accept_Encoding="gzip")
    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert len(small.body) * 10 < len(plain.body)
    tasks = json.loads(gzip.decompress(small.body))["tasks"]
    assert [task["data"] for task in tasks] == [LARGE] * 3


def test_the_length_said_is_the_length_sent(bridge: LiveBridge) -> None:
    """The connection goes on after a compressed answer: its Content-Length is that of the bytes sent."""
    with bridge.connect() as connection:
        for _ in range(3):
            connection.sendall(request_bytes("GET", "/api/tasks", Accept_Encoding="gzip, br"))
            assert json.loads(gzip.decompress(read_reply(connection).body))["count"] == 3


def test_a_small_answer_is_left_as_it_is(bridge: LiveBridge) -> None:
    """What fits into a packet is sent plain."""
    reply = asked(bridge, "/api/events?limit=1", Accept="application/json", Accept_Encoding="gzip")
    assert len(reply.body) <= LEAST_BYTES
    assert "content-encoding" not in reply.headers
    assert "Accept-Encoding" not in reply.headers.get("vary", "")


@pytest.mark.parametrize("wish", ["gzip", "GZIP", "br, gzip;q=0.5", "*", "deflate, gzip;q=1.0, *;q=0.5", "x-gzip",
                                  "identity;q=0.5, gzip;q=0.5"])
def test_wishes_that_mean_gzip(wish: str) -> None:
    """gzip by name or by *, unless the plain answer is wanted more."""
    assert accepts_gzip(wish)


@pytest.mark.parametrize("wish", ["", "br", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "gzip;q=0.000",
                                  "identity, gzip;q=0.5", "gzip;q=2", "gzip;q=x", "gzipped", "gzip" + " " * 300])
def test_wishes_that_do_not(wish: str) -> None:
    """Refused, weighed below the plain answer, not understood, or too long to be read."""
    assert not accepts_gzip(wish)


@given(st.text(max_size=MAX_WISH_CHARS + 10))
def test_no_wish_is_an_error(wish: str) -> None:
    """Whatever stands in Accept-Encoding, the answer is yes or no."""
    assert accepts_gzip(wish) in (True, False)


def test_a_large_answer_says_that_it_depends_on_the_wish() -> None:
    """Vary names Accept-Encoding, beside what it named before, also when this client wanted it plain."""
    for wish in ("gzip", "identity"):
        reply = answered(Response("x" * 2000, headers={"Vary": "Origin"}), Accept_Encoding=wish)
        assert reply.headers["Vary"] == "Origin, Accept-Encoding"


@pytest.mark.parametrize(("size", "is_small"), [(LEAST_BYTES, False), (LEAST_BYTES + 1, True)])
def test_where_large_begins(size: int, is_small: bool) -> None:
    """Up to 1024 bytes are sent as they are."""
    assert ("Content-Encoding" in answered(Response("x" * size)).headers) is is_small


@pytest.mark.parametrize(("content_type", "is_text"), [
    ("application/json; charset=utf-8", True), ("application/problem+json", True), ("text/html; charset=utf-8", True),
    ("text/plain; version=0.0.4; charset=utf-8", True), ("application/openmetrics-text; version=1.0.0", True),
    ("image/svg+xml", True), ("text/event-stream", False), ("image/png", False), ("application/x-tar", False),
    ("application/gzip", False), ("", False)])
def test_only_texts_are_compressed(content_type: str, is_text: bool) -> None:
    """JSON and text, no pictures, archives and streams."""
    assert ("Content-Encoding" in answered(Response("x" * 2000, content_type=content_type)).headers) is is_text


@pytest.mark.parametrize("response", [
    Response("x" * 2000, headers={"Content-Encoding": "br"}), Response("x" * 2000, 206),
    Response("x" * 2000, headers={"Cache-Control": "no-transform"}), Response(status=204), Response(status=304),
    Response(iter(["x" * 2000]))])
def test_what_is_left_as_it_is(response: Response) -> None:
    """Compressed already, a part of something, not to be changed, without a body, or told piece by piece."""
    reply = answered(response)
    assert "gzip" not in reply.headers.getlist("Content-Encoding")
    assert reply.data in (b"", b"x" * 2000)


def test_a_stream_is_not_held_back(bridge: LiveBridge) -> None:
    """Server-sent events come as they happen to who accepts gzip, and as plain text."""
    with bridge.session.get(f"{bridge.url}/api/events?after=0", stream=True, timeout=20,
                            headers={"Accept-Encoding": "gzip"}) as reply:
        assert "Content-Encoding" not in reply.headers
        assert any(line.startswith(b"id:") for line in reply.iter_lines())


def test_a_head_is_told_what_its_get_would_be(bridge: LiveBridge) -> None:
    """HEAD says the same encoding as GET, and no length that GET would not have."""
    head = answered_head(bridge)
    body = asked(bridge, "/openapi.json", Accept_Encoding="gzip")
    assert head["content-encoding"] == body.headers["content-encoding"] == "gzip"
    assert head.get("content-length") in (None, body.headers["content-length"])


def test_a_head_whose_body_was_left_out_tells_no_length() -> None:
    """Flask makes no body for a HEAD: how long the compressed one would be is not known, and not said."""
    reply = Client(compressed(Response("x" * 2000))).head("/", headers={"Accept-Encoding": "gzip"})
    assert reply.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in reply.headers


def answered_head(bridge: LiveBridge) -> dict[str, str]:
    with bridge.connect() as connection:
        connection.sendall(request_bytes("HEAD", "/openapi.json", Accept_Encoding="gzip"))
        return read_reply(connection, has_body=False).headers


@pytest.mark.parametrize(("site", "is_small"), [("same-origin", True), ("none", True), ("cross-site", False),
                                                ("same-site", False)])
def test_what_another_site_asks_is_not_compressed(site: str, is_small: bool) -> None:
    """A page of another site cannot learn from a length what an answer holds (BREACH), even one that is let pass."""
    assert ("Content-Encoding" in answered(Response("x" * 2000), Sec_Fetch_Site=site).headers) is is_small


def test_a_compressed_answer_is_another_one_for_a_cache() -> None:
    """A strong ETag becomes a weak one: the bytes are not the same."""
    assert answered(Response("x" * 2000, headers={"ETag": '"a"'})).headers["ETag"] == 'W/"a"'
    assert answered(Response("x" * 2000, headers={"ETag": 'W/"a"'})).headers["ETag"] == 'W/"a"'


def test_who_says_nothing_is_not_looked_at() -> None:
    """Without Accept-Encoding the answer is the very object the app gave."""
    body: Iterable[bytes] = [b"x" * 2000]

    def app(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2000")])
        return body

    assert compressed(app)({}, lambda *_: lambda _data: None) is body


def test_the_log_tells_the_bytes_sent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A line of the access log has the compressed length."""
    with caplog.at_level("INFO", "taskspool.access"), live_bridge(tmp_path) as one:
        reply = asked(one, "/openapi.json", Accept_Encoding="gzip")
        lines = [record.__dict__["fields"] for record in caplog.records if "/openapi.json" in record.getMessage()]
    assert [line["bytes"] for line in lines] == [len(reply.body)]
