"""Requests that a page of another site makes with the browser of the person who runs the bridge."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from live_bridge import LiveBridge, live_bridge

EXTENSION = "chrome-extension://abcdefghijklmnopabcdefghijklmnop"
BODY = b'{"task_type": "csrf"}'


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBridge]:
    """A bridge that trusts one extension and one page."""
    with live_bridge(tmp_path_factory.mktemp("cors"), cors_origins=(EXTENSION, "https://app.example")) as one:
        yield one


def count(bridge: LiveBridge) -> int:
    return int(bridge.get("/api/tasks?type=csrf").json()["count"])


@pytest.mark.parametrize("content_type", [
    "text/plain", "text/plain;charset=UTF-8", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
    "", "application/json;x=", "text/plain; application/json", "application/json, text/plain", "application/jsonp",
    "application/json; charset=utf-16", "application/xml", "application/problem+json",
])
def test_body_of_another_type(bridge: LiveBridge, content_type: str) -> None:
    """What a form, a beacon or a simple fetch can send is no JSON: 400, and no task."""
    reply = bridge.post("/api/tasks", data=BODY, headers={"Content-Type": content_type})
    assert (reply.status_code, reply.json()["code"]) == (400, "NOT_JSON")
    assert "Content-Type" in reply.json()["hint"]
    assert count(bridge) == 0


@pytest.mark.parametrize("content_type", [
    "application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8",
    'application/json; charset="utf-8"',
])
def test_json_in_its_spellings(bridge: LiveBridge, content_type: str) -> None:
    """JSON is JSON, with or without its charset."""
    assert bridge.post("/api/tasks", data=b'{"task_type": "fine"}',
                       headers={"Content-Type": content_type}).status_code == 201


def test_compressed_body(bridge: LiveBridge) -> None:
    """A compressed body is refused: it could unpack to anything."""
    reply = bridge.post("/api/tasks", data=BODY, headers={"Content-Type": "application/json",
                                                          "Content-Encoding": "gzip"})
    assert reply.status_code == 415


@pytest.mark.parametrize("headers", [
    {"Origin": "https://evil.com"}, {"Origin": "null"}, {"Origin": "http://localhost:3000"},
    {"Origin": "http://127.0.0.1"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"},
    {"Origin": EXTENSION}, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, {"Origin": ""},
    {"Origin": "https://evil.com", "Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "nonsense"},
])
@pytest.mark.parametrize(("method", "path"), [
    ("POST", "/api/tasks"), ("GET", "/api/tasks/next"), ("POST", "/api/tasks/next"), ("GET", "/api/tasks"),
    ("GET", "/health"), ("OPTIONS", "/api/tasks"),
])
def test_pages_of_other_sites(bridge: LiveBridge, method: str, path: str, headers: dict[str, str]) -> None:
    """A browser that says it asks for another site's page gets 403 for everything, and no CORS header."""
    body = BODY if (method, path) == ("POST", "/api/tasks") else None
    more = {"Content-Type": "application/json"} if body else {}
    reply = bridge.session.request(method, bridge.url + path, data=body, headers={**headers, **more}, timeout=10)
    assert reply.status_code == 403
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    assert count(bridge) == 0


@pytest.mark.parametrize("headers", [
    {}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin"},
])
def test_programs_and_our_own_page(bridge: LiveBridge, headers: dict[str, str]) -> None:
    """Programs, the address bar and our own page may ask."""
    assert bridge.get("/api/stats", headers=headers).status_code == 200
    own = {**headers, "Origin": bridge.url}
    assert bridge.post("/api/tasks/next", {"types": ["none"]}, headers=own).status_code == 200


def test_an_extension_that_does_not_say_who_it_is(bridge: LiveBridge) -> None:
    """An extension's GET carries no origin: it may read, and takes no task."""
    task_id = bridge.submit("kept")
    silent = {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    assert bridge.get(f"/api/tasks/{task_id}", headers=silent).status_code == 200
    reply = bridge.get("/api/tasks/next", headers=silent)
    assert (reply.status_code, reply.json()["code"]) == (403, "FORBIDDEN")
    assert "POST" in reply.json()["hint"]
    assert bridge.get(f"/api/tasks/{task_id}").json()["status"] == "pending"


@pytest.mark.parametrize(("origin", "told"), [
    (EXTENSION, f"--cors-origin {EXTENSION}"), ("https://evil.com", "--cors-origin or"),
    (EXTENSION + ";rm -rf", "--cors-origin or"),
])
def test_a_refusal_says_what_to_do(bridge: LiveBridge, origin: str, told: str) -> None:
    """Who trusts an extension is told the very words to start the bridge with; no other origin is repeated."""
    reply = bridge.post("/api/tasks/next", {}, headers={"Origin": origin})
    assert reply.status_code == 403
    assert told in reply.json()["hint"]


def test_a_link_may_lead_to_the_pages(bridge: LiveBridge) -> None:
    """A link on another site may open / and /docs, which change nothing, and no other address."""
    click = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert bridge.get("/", headers=click).status_code == 200
    assert bridge.get("/docs", headers=click).status_code == 200
    for path in ("/api/tasks/next", "/api/tasks", "/health"):
        assert bridge.get(path, headers=click).status_code == 403
    framed = {**click, "Sec-Fetch-Dest": "iframe"}
    assert bridge.get("/", headers=framed).status_code == 403


def test_listed_origin(listed: LiveBridge) -> None:
    """A listed extension may call, and is the only origin it is told to be allowed."""
    reply = listed.post("/api/tasks", {"task_type": "ext"}, headers={"Origin": EXTENSION,
                                                                     "Sec-Fetch-Site": "cross-site"})
    assert reply.status_code == 201
    assert reply.headers["Access-Control-Allow-Origin"] == EXTENSION
    assert reply.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in reply.headers


def test_preflight(listed: LiveBridge) -> None:
    """A listed origin's preflight is answered; no origin else is, and private networks are never mentioned."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type",
             "Access-Control-Request-Private-Network": "true"}
    reply = listed.session.options(f"{listed.url}/api/tasks", headers={**asked, "Origin": EXTENSION}, timeout=10)
    assert reply.status_code == 204
    assert reply.headers["Access-Control-Allow-Origin"] == EXTENSION
    assert "content-type" in reply.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Private-Network" not in reply.headers
    for origin in ("https://evil.com", "null", EXTENSION + ".evil", "https://app.example.evil.com",
                   "http://app.example", "https://APP.example", EXTENSION[:-1]):
        reply = listed.session.options(f"{listed.url}/api/tasks", headers={**asked, "Origin": origin}, timeout=10)
        assert reply.status_code == 403
        assert "Access-Control-Allow-Origin" not in reply.headers


def test_answers_differ_by_origin(listed: LiveBridge) -> None:
    """Where origins are listed, every answer says that it depends on Origin, so that no cache mixes them up."""
    assert listed.get("/health").headers["Vary"] == "Origin"


def test_errors_reach_listed_origins(listed: LiveBridge) -> None:
    """A listed page can read errors too."""
    reply = listed.get("/nowhere", headers={"Origin": "https://app.example"})
    assert (reply.status_code, reply.headers["Access-Control-Allow-Origin"]) == (404, "https://app.example")


def test_no_wildcard(tmp_path: Path) -> None:
    """``*`` in the list is no wildcard: it trusts nobody."""
    with live_bridge(tmp_path, cors_origins=("*",)) as bridge:
        reply = bridge.get("/health", headers={"Origin": "https://evil.com"})
        assert reply.status_code == 403
        assert "Access-Control-Allow-Origin" not in reply.headers


def test_security_headers(bridge: LiveBridge) -> None:
    """Every answer forbids sniffing, framing, scripts, caching and the referrer."""
    for path in ("/health", "/nowhere", "/api/tasks", "/openapi.json"):
        headers = bridge.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
