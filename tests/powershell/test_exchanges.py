"""What the PowerShell module sends, and what it does with the answers, against the real bridge.

No PowerShell is needed: the calls are read out of the module, and made by the class that it makes them by.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import requests
from live_bridge import LiveBridge
from powershell import story as chapters
from powershell.rendering import module_json, shell_7_json, shell_51_json
from powershell.story import DATA, Story
from powershell.syntax import body_keys, bridge_calls, functions
from powershell.transports import HERE, Transport

from taskspool.doors.bridge import create_app


def test_every_call_is_answered_as_the_module_expects(either: Transport, bridge: LiveBridge) -> None:
    """The whole life of tasks, by the module's own transport and bodies; no call of the module is left out."""
    told = Story(either, bridge)
    for chapter in (chapters.hand_over, chapters.wait_in_vain, chapters.work, chapters.end_otherwise,
                    chapters.be_refused, chapters.be_told, chapters.be_ordered):
        chapter(told)
    made = {call for calls in bridge_calls().values() for call in calls}
    assert told.told.keys() == made
    sent = set.union(*told.told.values())
    for name, calls in bridge_calls().items():
        assert body_keys(name) <= set.union(*(told.told[call] for call in calls)) | ({"started_at"} & sent), name
    assert sent == set.union(*(body_keys(name) for name in bridge_calls()))


def test_every_call_is_in_the_description(bridge: LiveBridge) -> None:
    """Each address, each name in a query and each key of a body stands in /openapi.json."""
    description = create_app(bridge.queue, bridge.settings).test_client().get("/openapi.json").get_json()
    for name, calls in bridge_calls().items():
        known: set[str] = set()
        for call in calls:
            operation = description["paths"][call.path][call.method.lower()]
            assert set(call.query) <= {each["name"] for each in operation.get("parameters", ())}, (name, call)
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                known |= set(description["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])
        assert body_keys(name) <= known, name


def test_the_program_does_what_the_module_does() -> None:
    """Exchange.cs sets and calls on its request, in this order and to the same texts, what the module does on its."""
    source = functions()["Send-TaskSpoolRequest"].text
    own = re.findall(r"\$request\.(\w+(?:\.\w+)?)", source)
    program = (HERE / "Exchange.cs").read_text(encoding="utf-8")
    module = program.partition("static string Module(")[2].partition("static void Wait(")[0]
    assert re.findall(r"request\.(\w+(?:\.\w+)?)", module) == own
    assert len(own) > 10
    texts = re.findall(r"\$request\.(\w+) = '([^']*)'", source)
    assert re.findall(r'request\.(\w+) = "([^"]*)"', module) == texts
    assert len(texts) == 3


def test_what_the_module_writes_is_json() -> None:
    """Every character of ASCII, and some beyond, comes back as it went; nothing but JSON is written."""
    letters = "".join(map(chr, range(128))) + "\u0085\u2028é한🚀"
    value = {**DATA, "all": letters, "small": 1e-7, "large": 1e21, "no": [False]}
    assert json.loads(module_json(value)) == value


def test_both_send_the_same(either: Transport) -> None:
    """What goes over the wire: these headers and no others, no consent asked for, the body in whole."""
    with deaf_server() as (port, heard):
        address, key = f"http://127.0.0.1:{port}/api/tasks", {"Idempotency-Key": "k"}
        either.send("module", "POST", address, module_json(DATA), headers=key)
    head, _, body = heard[0].partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    assert first == "POST /api/tasks HTTP/1.1"
    assert headers.pop("connection", "keep-alive").lower() == "keep-alive"
    assert headers == {
        "accept": "application/json", "user-agent": "TaskSpool-PowerShell/0.1.0", "idempotency-key": "k",
        "content-type": "application/json; charset=utf-8", "content-length": str(len(body)),
        "host": f"127.0.0.1:{port}"}
    assert json.loads(body) == DATA


def test_5_1_asks_for_consent(mono: Transport) -> None:
    """Invoke-RestMethod of 5.1 sends its headers first, and says so: the bridge is tested with the real thing."""
    with deaf_server() as (port, heard):
        mono.send("shell", "POST", f"http://127.0.0.1:{port}/api/tasks", b"{}", headers="application/json", seconds=20)
    assert b"expect: 100-continue" in heard[0].lower()


def test_a_closed_connection_costs_one_repeat_at_most(either: Transport) -> None:
    """A bridge that started anew has closed what was kept open: the next call, or the one after, is answered."""
    with deaf_server(3) as (port, _):
        address = f"http://127.0.0.1:{port}/api/tasks"
        answers = [either.send("module", "POST", address, b"{}", seconds=20).status for _ in range(3)]
    assert answers[0] == 200
    assert 200 in answers[1:]


@contextmanager
def deaf_server(calls: int = 1) -> Iterator[tuple[int, list[bytes]]]:
    """Hears one request on a connection, notes it, answers ``{}`` as if more were welcome, and closes; so often."""
    heard: list[bytes] = []

    def hear() -> None:
        for _ in range(calls):
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(20)
                heard.append(read_request(connection))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield listening.getsockname()[1], heard
    assert heard


def read_request(connection: socket.socket) -> bytes:
    """One request, to the end of the body that it announces; or as much as comes."""
    received = b""
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < length_of(received):
        piece = connection.recv(65_536)
        if not piece:
            break
        received += piece
    return received


def length_of(received: bytes) -> int:
    found = re.search(rb"content-length: (\d+)", received, re.IGNORECASE)
    return int(found[1]) if found else 0


def test_an_address_that_answers_nothing_is_told_from_an_answer(either: Transport) -> None:
    """No bridge there: status 0 and a reason, not an exception and not a wait without end."""
    answer = either.send("module", "POST", "http://127.0.0.1:9/api/tasks", module_json({}), seconds=20)
    assert answer.status == 0
    assert answer.text


def test_a_bridge_that_does_not_answer_is_given_up(either: Transport, bridge: LiveBridge) -> None:
    """The time an answer may take is kept: a connection that is accepted and never answered ends as status 0."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}/api/tasks"
        assert either.send("module", "POST", address, module_json(DATA), seconds=0.3).status == 0


def test_a_long_poll_ends_with_the_task(either: Transport, bridge: LiveBridge) -> None:
    """Wait-TaskResult is answered when the task ends, long before its 25 seconds are over."""
    told = Story(either, bridge)
    task_id = told.task("polled")
    task = told.claim("polled")
    address, body = f"{bridge.url}/api/tasks/{task_id}/complete", {"lease_token": task["lease"]["token"], "data": 1}
    finish = threading.Timer(0.3, lambda: requests.post(address, json=body, timeout=30))
    finish.start()
    answer = told.result(task_id, "?wait=25")
    finish.join()
    assert (answer.status, answer.body["data"]) == (200, 1)


def test_depth_is_refused_by_the_module_before_the_bridge_does(either: Transport, bridge: LiveBridge) -> None:
    """What the module lets through, 60 deep, the bridge takes; what is deeper than 64 is a 400 that says so."""
    limit = int(re.findall(r"\$script:MaxDepth = (\d+)", functions()["Add-JsonValue"].script.text)[0])
    told = Story(either, bridge)
    assert told.submit("deep", str(uuid4()), data=nested(limit - 1)).status == 201
    refused = told.submit("deep", str(uuid4()), data=nested(70))
    assert (refused.status, refused.body["code"], refused.body["details"]["rule"]) == (
        400, "INVALID_REQUEST", "at most 64 deep")


def nested(depth: int) -> dict[str, object]:
    """A table in a table, ``depth`` of them."""
    value: dict[str, object] = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


def test_answers_are_utf_8_and_say_so(either: Transport, bridge: LiveBridge) -> None:
    """5.1 reads an answer without a charset as Latin-1; so each says it, a refusal too."""
    told = Story(either, bridge)
    task_id = told.task("letters")
    for answer in (told.call("GET", "/api/tasks/{task_id}", task_id=task_id), told.result(task_id)):
        assert answer.content_type == "application/json; charset=utf-8"


# -- Invoke-RestMethod, as QUICKSTART shows it -------------------------------------------------------------------------


@pytest.mark.parametrize(("content_type", "charset", "status"), [
    ("application/json; charset=utf-8", "utf-8", 201), ("application/json", "latin-1", 400)], ids=["utf-8", "latin-1"])
def test_bodies_of_5_1_need_their_charset(mono: Transport, bridge: LiveBridge, content_type: str, charset: str,
                                          status: int) -> None:
    """ConvertTo-Json | Invoke-RestMethod in 5.1: taken as it was meant with the charset, without it refused."""
    body = shell_51_json({"task_type": "ping", "data": {"text": "Zoë's <한글> & \"co\""}}, charset)
    answer = mono.send("shell", "POST", f"{bridge.url}/api/tasks", body, headers=content_type)
    assert answer.status == status, answer.text
    if status == 201:
        told = bridge.get(f"/api/tasks/{answer.body['task_id']}").json()
        assert told["data"] == {"text": "Zoë's <한글> & \"co\""}
    else:
        assert "charset=utf-8" in answer.body["message"]


def test_plain_bodies_of_5_1_need_none(mono: Transport, bridge: LiveBridge) -> None:
    """The quick start's own body: ASCII, no charset, headers first and the body after the server's consent."""
    body = shell_51_json({"task_type": "ping", "data": {"who": "it's <me>"}, "requester": "me"}, "latin-1")
    answer = mono.send("shell", "POST", f"{bridge.url}/api/tasks", body, headers="application/json")
    assert answer.status == 201, answer.text
    assert bridge.get(f"/api/tasks/{answer.body['task_id']}").json()["data"] == {"who": "it's <me>"}
    pending = mono.send("shell", "GET", f"{bridge.url}/api/tasks/{answer.body['task_id']}/result")
    assert (pending.status, pending.body["code"]) == (404, "RESULT_PENDING")


@pytest.mark.slow
def test_bodies_of_7_are_taken(core: Transport, bridge: LiveBridge) -> None:
    """ConvertTo-Json | Invoke-RestMethod in 7: UTF-8, charset said or not; a 404 is an answer with its body."""
    body = shell_7_json({"task_type": "ping", "data": {"text": "Zoë's <한글>"}})
    for content_type in ("application/json", "application/json; charset=utf-8"):
        answer = core.send("invoke", "POST", f"{bridge.url}/api/tasks", body, headers=content_type)
        assert answer.status == 201, answer.text
        assert bridge.get(f"/api/tasks/{answer.body['task_id']}").json()["data"] == {"text": "Zoë's <한글>"}
    pending = core.send("invoke", "GET", f"{bridge.url}/api/tasks/{answer.body['task_id']}/result")
    assert (pending.status, pending.body["code"]) == (404, "RESULT_PENDING")
