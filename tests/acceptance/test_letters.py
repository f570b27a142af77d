"""Letters beyond ASCII, from every kind of client, byte for byte; and what Windows PowerShell 5.1 makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from acceptance.conftest import System
from acceptance.old_library import OldLibrary
from live_bridge import Reply, request_bytes
from waiting import eventually

KOREAN = "안녕하세요, 작업 큐 (값 1%) 😀"


def submit(office: System, body: bytes, content_type: str = "application/json") -> Reply:
    return office.raw(request_bytes("POST", "/api/tasks", body, content_type=content_type))


def test_korean_comes_back_byte_for_byte(office: System) -> None:
    """The same UTF-8 bytes, not escaped, stand in the file, in the task over HTTP and in the result."""
    text = json.dumps(KOREAN, ensure_ascii=False).encode("utf-8")
    sent = submit(office, b'{"task_type": "\xed\x95\x91", "data": {"text": ' + text + b'}, "requester": ' + text + b"}")
    assert sent.status == 201, sent.body
    task_id = sent.json()["task_id"]
    content = (office.folder / "tasks" / f"{task_id}.json").read_bytes()
    shown = office.get(f"/api/tasks/{task_id}").content
    for found, times in ((content, 2), (shown, 3)):  # what is shown begins its history with the requester
        assert found.count(text) == times
        assert "핑".encode() in found
    body = b'{"success": true, "data": {"text": ' + text + b"}}"
    path = f"/api/tasks/{task_id}/result"
    assert office.raw(request_bytes("POST", path, body, x_worker_name="봇".encode().decode("latin-1"))).status == 200
    result = (office.folder / "results" / f"{task_id}.json").read_bytes()
    answer = office.get(path).content
    for found in (result, answer):
        assert text in found
        assert "봇".encode() in found


def test_korean_through_our_worker_and_the_old_library(office: System) -> None:
    """What an old client writes in Korean our worker turns round, letter by letter."""
    old = OldLibrary(office.folder)
    task_id = old.push_task("data_transform", {"operation": "reverse", "text": "가나다"}, requester="코파일럿")
    result = eventually(lambda: old.get_result(task_id), 10, "the old client has its result")
    assert result.data == {"result": "다나가"}
    assert office.get(f"/api/tasks/{task_id}").json()["requester"] == "코파일럿"


def converted(value: dict[str, Any]) -> str:
    """As ConvertTo-Json of PowerShell 5.1 writes it: four spaces, two after a colon, CRLF, < > & ' escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=4, separators=(",", ":  ")).replace("\n", "\r\n")
    for char in "<>&'":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def test_what_converttojson_writes_is_understood(office: System) -> None:
    """Its spacing, line ends and escapes change nothing about the values."""
    data = {"html": "<a href='x'>&</a>", "nested": {"list": [1, 2.5, None, True], "empty": {}}}
    sent = submit(office, converted({"task_type": "never-run", "data": data}).encode("ascii"))
    assert sent.status == 201, sent.body
    assert office.get(f"/api/tasks/{sent.json()['task_id']}").json()["data"] == data


def test_latin_1_without_a_charset_is_refused_clearly(office: System) -> None:
    """PowerShell 5.1 sends é as one byte unless told otherwise: 400, and the text says what to write."""
    body = converted({"task_type": "never-run", "data": {"name": "café"}})
    sent = submit(office, body.encode("latin-1"))
    assert (sent.status, sent.json()["code"]) == (400, "INVALID_REQUEST")
    assert "charset=utf-8" in sent.json()["error"]
    right = submit(office, body.encode("utf-8"), "application/json; charset=utf-8")
    assert right.status == 201, right.body
    assert office.get(f"/api/tasks/{right.json()['task_id']}").json()["data"] == {"name": "café"}


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8",
                                          "application/json;charset=UTF-8", 'application/json; charset="utf-8"'])
def test_the_charset_may_be_named(office: System, content_type: str) -> None:
    """UTF-8 is what JSON is in, whether it is said or not."""
    sent = submit(office, json.dumps({"task_type": "never-run", "data": {"t": KOREAN}}, ensure_ascii=False).encode(),
                  content_type)
    assert sent.status == 201, sent.body
    assert office.get(f"/api/tasks/{sent.json()['task_id']}").json()["data"] == {"t": KOREAN}
