"""Requests nobody should send, made at random from a seed: broken JSON, odd numbers, wrong types, path tricks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from live_bridge import request_bytes

ID = "0199f000-0000-7000-8000-0000000000aa"
POSTS = ["/api/tasks", "/api/tasks/create", "/api/enqueue", "/api/tasks/batch", "/api/tasks/next",
         f"/api/tasks/{ID}/claim", f"/api/tasks/{ID}/result", f"/api/tasks/{ID}/heartbeat",
         f"/api/tasks/{ID}/release", "/api/workers/w/heartbeat"]
GETS = ["/", "/health", "/api/health", "/api/stats", "/api/inflight", "/api/tasks", "/api/tasks/next", "/api/results",
        f"/api/tasks/{ID}", f"/api/tasks/{ID}/result", f"/api/results/{ID}", "/openapi.json", "/docs"]
METHODS = ["PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "LINK", "PROPFIND", "MERGE", "HEAD", "REPORT", "SEARCH"]
FIELDS = ["task_type", "type", "data", "params", "payload", "requester", "priority", "max_retries", "worker_id",
          "worker", "types", "max", "wait", "lease", "status", "success", "error", "error_message", "retryable",
          "retry_after", "lease_token", "running", "tasks", "delay", "reason", "result", "message", "__proto__", ""]
TEXTS = ["", "x", "ping", "../../etc/passwd", "a\nb", "\x00", "\x1b[2J", "\u202e", "\u2028", "핑", "😀", "NaN", "null",
         "1", "x" * 129, "x" * 5000, "<img src=x onerror=alert(1)>", "%s%n", "'; DROP TABLE tasks", "CON", "C:\\x", ID]
NUMBERS = [0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 1.5, -0.0, 1e308, 5e-324, 26, 101, 86_401]
RAW = [b"", b" ", b"{", b"}", b"[", b"nul", b"{'a':1}", b'{"a":1,}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}',
       b'{"a":"\\ud800"}', b'{"a":"\\udc00\\ud800"}', b'{"a":1,"a":2}', b"[" * 5000, b'{"a":' * 3000, b"9" * 5000,
       b'{"task_type":"t","data":{"n":' + b"9" * 5000 + b"}}", b"\xff\xfe{\x00}\x00", b'\xef\xbb\xbf{"a":1}',
       b"\xed\xa0\x80", b'{"a":"\xff"}', b"\x00\x00\x00\x00", b'"text"', b"true", b"[[],{}]", b'{"a":"\t"}', b"//x\n{}",
       b'{"task_type":"t","data":' + b"[" * 80 + b"]" * 80 + b"}"]
TRICKS = ["..", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..", "%00", "%0a", "%0d%0a", ID.upper(), ID + "%00",
          ID + ".json", ID + "::$DATA", "CON", "%ff", "%c0%ae", "x" * 4000, "%25", "a%2fb", "~", "%e2%80%ae", "%"]
TYPES = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json;x=1", "",
         "application/json; charset=utf-16", "image/png", "*/*"]


def requests(seed: int) -> Callable[[], bytes]:
    """An endless source of hostile requests, the same for the same ``seed``."""
    chance = random.Random(seed)
    makers = [_body_of_values, _body_of_values, _raw_body, _torn_body, _path, _query, _method, _headers]
    return lambda: chance.choice(makers)(chance)


def value(chance: random.Random, depth: int = 3) -> object:
    """Any JSON value, small and odd."""
    kind = chance.randrange(7 if depth else 5)
    if kind == 5:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 6:
        return {chance.choice(FIELDS + TEXTS[:9]): value(chance, depth - 1) for _ in range(chance.randrange(4))}
    return (chance.choice(TEXTS), chance.choice(NUMBERS), None, chance.random() < 0.5, chance.choice(TEXTS))[kind]


def _object(chance: random.Random) -> bytes:
    made = {name: value(chance) for name in chance.sample(FIELDS, chance.randrange(1, 6))}
    if chance.random() < 0.5:
        made["task_type"] = "ping"
    return json.dumps(made, ensure_ascii=chance.random() < 0.5).encode()


def _body_of_values(chance: random.Random) -> bytes:
    return request_bytes("POST", chance.choice(POSTS), _object(chance))


def _raw_body(chance: random.Random) -> bytes:
    return request_bytes("POST", chance.choice(POSTS), chance.choice(RAW))


def _torn_body(chance: random.Random) -> bytes:
    body = bytearray(_object(chance))
    for _ in range(chance.randrange(1, 4)):
        body[chance.randrange(len(body))] = chance.randrange(256)
    return request_bytes("POST", chance.choice(POSTS), bytes(body[:chance.randrange(1, len(body) + 1)]))


def _path(chance: random.Random) -> bytes:
    trick = chance.choice(TRICKS)
    method = chance.choice(("GET", "POST"))
    path = chance.choice(("/{}", "/api/{}", "/api/tasks/{}", "/api/tasks/{}/result", "/api/results/{}", "/docs/{}",
                          "/api/tasks/{}/claim", "/api/workers/{}/heartbeat", "//{}", "/assets/{}")).format(trick)
    return request_bytes(method, path, _object(chance) if method == "POST" else b"")


def _query(chance: random.Random) -> bytes:
    names = ("limit", "count", "type", "types", "wait", "max", "lease", "worker_id", "priority", "")
    values = ("-1", "0", "1e9", "NaN", "9" * 400, "", "x", "%00", "%ff", "&&=", "1.5", "%0a", "[]", "0.01",
              "a,b,,c", "=")
    query = "&".join(f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randrange(1, 4)))
    return request_bytes("GET", f"{chance.choice(GETS)}?{query}")


def _method(chance: random.Random) -> bytes:
    if chance.random() < 0.3:
        return request_bytes("POST", chance.choice(GETS), _object(chance))
    return request_bytes(chance.choice(METHODS), chance.choice(GETS + POSTS))


def _headers(chance: random.Random) -> bytes:
    odd: dict[str, str] = {}
    for name in chance.sample(("content_type", "host", "origin", "sec_fetch_site", "idempotency_key", "prefer",
                               "x_worker_name", "x_request_id", "accept", "content_encoding", "range", "cookie"), 2):
        odd[name] = chance.choice((*TYPES, "evil.com", "null", "wait=99999999", "é\xff", "x" * 300,
                                   "application/problem+json", "gzip",
                                   "text/html", "bytes=0-", "a=b; c", "wait=-1,;=", "cross-site", "0"))
    return request_bytes("POST", chance.choice(POSTS), _object(chance), **odd)
