"""Bodies made to hurt: over HTTP each is refused quickly, in words, and leaves nothing behind."""

from __future__ import annotations

import gzip
import time

import pytest
from live_bridge import LiveBridge, request_bytes

BOMBS = {
    "deep arrays": b'{"task_type":"t","data":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
    "deep objects": b'{"a":' * 100_000,
    "unclosed": b"[" * 900_000,
    "many keys": b'{"task_type":"t","data":{' + b",".join(b'"k%d":1' % n for n in range(60_000)) + b"}}",
    "many objects": b'{"task_type":"t","data":{"a":[' + b"{}," * 300_000 + b"{}]}}",
    "huge number": b'{"task_type":"t","data":{"a":' + b"9" * 900_000 + b"}}",
    "huge exponent": b'{"task_type":"t","data":{"a":1e999999999}}',
    "NaN": b'{"task_type":"t","data":{"a":NaN}}',
    "duplicate": b'{"task_type":"t","task_type":"u"}',
    "lone surrogate": b'{"task_type":"t","data":{"a":"\\ud800"}}',
    "lone surrogate key": b'{"task_type":"t","data":{"\\udfff":1}}',
    "NUL in type": b'{"task_type":"t\\u0000"}',
    "UTF-16": '{"task_type":"t"}'.encode("utf-16"),
    "Latin-1": '{"task_type":"é"}'.encode("latin-1"),
    "gzip in disguise": gzip.compress(b'{"task_type":"t"}'),
    "truncated": b'{"task_type":"t","data":{"a":"',
    "data too large": b'{"task_type":"t","data":{"a":"' + b"x" * (1 << 20) + b'"}}',
    "double encoded": b'"{\\"task_type\\":\\"t\\"}"',
}


@pytest.mark.parametrize("name", BOMBS)
def test_bomb(bridge: LiveBridge, name: str) -> None:
    """Refused with a 4xx and a text within a second; the folder stays as it was."""
    before = sorted(path for path in bridge.settings.root.rglob("*") if path.is_file())
    began = time.monotonic()
    reply = bridge.raw(request_bytes("POST", "/api/tasks", BOMBS[name]))
    assert time.monotonic() - began < 2
    assert reply.status in (400, 413)
    assert len(reply.json()["error"]) > 10
    assert sorted(path for path in bridge.settings.root.rglob("*") if path.is_file()) == before
    assert bridge.get("/health").ok


def test_same_for_results(bridge: LiveBridge) -> None:
    """A worker's result passes the same rules."""
    task_id = bridge.submit("victim")
    for raw in (b'{"status":"success","data":{"a":NaN}}', b'{"status":"success","data":' + b"[" * 70 + b"]" * 70 + b"}",
                b'{"status":"success","data":"\\ud800"}',
                b'{"status":"success","data":"' + b"x" * (1 << 20) + b'"}'):
        assert bridge.raw(request_bytes("POST", f"/api/tasks/{task_id}/result", raw)).status in (400, 413)
    assert bridge.get(f"/api/tasks/{task_id}").json()["status"] == "pending"
