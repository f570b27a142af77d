"""Strict JSON: what is refused, by which rule, and in how much time."""

from __future__ import annotations

import time

import pytest

from taskspool.errors import InvalidRequest
from taskspool.web.json_body import MAX_CONTAINERS, MAX_KEYS, parse, parse_object

DEPTH = 64
MEBIBYTE = 1 << 20


@pytest.mark.parametrize(("raw", "value"), [
    (b'{"a": [1, 2.5, true, null, "x"]}', {"a": [1, 2.5, True, None, "x"]}),
    (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
    ('{"핑": "é"}'.encode(), {"핑": "é"}),
    (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
    (b'{"a": "\\\\ud800"}', {"a": "\\ud800"}),
    (b'{"a": 1e308, "b": -1e308}', {"a": 1e308, "b": -1e308}),
    (b'{"__proto__": {"x": 1}}', {"__proto__": {"x": 1}}),
    (b'{"a": "' + b"[{" * 500 + b'"}', {"a": "[{" * 500}),
    (b'{"n": ' + b"9" * 4300 + b"}", {"n": int("9" * 4300)}),
    (b"", {}),
])
def test_accepted(raw: bytes, value: object) -> None:
    """Good JSON means what it says; a byte order mark is let be; no body at all is {}."""
    assert parse_object(raw, DEPTH) == value


@pytest.mark.parametrize(("raw", "rule"), [
    (b"{", "JSON"), (b"{'a': 1}", "JSON"), (b'{"a": 1} x', "JSON"), (b'{"a": 01}', "JSON"), (b"\x01", "JSON"),
    (b'{"a": "\n"}', "JSON"), (b" ", "JSON"), (b'{"a":}', "JSON"), (b"[1,]", "JSON"),
    (b'{"a": NaN}', "finite numbers"), (b'{"a": Infinity}', "finite numbers"), (b"[-Infinity]", "finite numbers"),
    (b'{"a": 1e999}', "finite numbers"), (b'{"a": -1E+400}', "finite numbers"),
    (b'{"a": ' + b"1" * 400 + b".0}", "finite numbers"),
    (b'{"a": 1, "a": 2}', "keys once"), (b'{"x": {"a": 1, "\\u0061": 2}}', "keys once"),
    (b'{"a": "\\ud800"}', "whole characters"), (b'{"\\udc00": 1}', "whole characters"),
    (b'{"a": "\\ude00\\ud83d"}', "whole characters"),
    (b'{"a": ' + b"9" * 4301 + b"}", "at most 4300 digits"),
    (b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}", "at most 64 deep"),
    (b"[" * 50_000, "at most 64 deep"),
    (b'{"a":' * 50_000, "at most 64 deep"),
    (b"{" + b",".join(b'"%d":1' % n for n in range(MAX_KEYS + 1)) + b"}", f"at most {MAX_KEYS} keys"),
    (b"[" + b"{}," * MAX_CONTAINERS + b"{}]", f"at most {MAX_CONTAINERS} arrays and objects"),
    ('{"a": "é"}'.encode("latin-1"), "UTF-8"), ('{"a": "핑"}'.encode("cp949"), "UTF-8"),
    ('{"a": 1}'.encode("utf-16"), "UTF-8"), ('{"a": 1}'.encode("utf-16-le"), "UTF-8"),
    ('{"a": 1}'.encode("utf-32"), "UTF-8"), (b'{"a": "\xed\xa0\x80"}', "UTF-8"), (b'{"a": "\xc0\x80"}', "UTF-8"),
    (b'"text"', "object"), (b"[1]", "object"), (b"5", "object"), (b"true", "object"), (b"null", "object"),
])
def test_refused(raw: bytes, rule: str) -> None:
    """Bad JSON is refused by a rule that the error names."""
    with pytest.raises(InvalidRequest) as caught:
        parse_object(raw, DEPTH)
    assert caught.value.details["rule"] == rule
    assert len(caught.value.message) < 300


def test_other_encodings_are_told_what_to_send() -> None:
    """Who sends Latin-1 (Windows PowerShell 5.1) is told: charset=utf-8."""
    with pytest.raises(InvalidRequest, match="charset=utf-8") as caught:
        parse_object('{"a": "é"}'.encode("latin-1"), DEPTH)
    assert caught.value.details["offset"] == 7


def test_depth_up_to_the_limit() -> None:
    """Exactly max_depth deep is accepted."""
    assert parse(b"[" * DEPTH + b"]" * DEPTH, DEPTH) is not None


def _filled(unit: bytes, first: bytes = b"[", last: bytes = b"]") -> bytes:
    return first + b",".join([unit] * ((MEBIBYTE - 2) // (len(unit) + 1))) + last


@pytest.mark.parametrize("raw", [
    _filled(b"{}"), _filled(b"[]"), _filled(b"1"), _filled(b"1.5", b"[1e308,"), _filled(b'{"a":1}'), _filled(b'""'),
    _filled(b"9" * 4300), b"[" * MEBIBYTE, _filled(b"[" * 60 + b"]" * 60), _filled(b'"\\ud83d\\ude00"'),
    b'["' + b"[" * MEBIBYTE + b'"]', _filled(b'"["'), b'["' + b"\\" * MEBIBYTE, b'{"' + b"a" * MEBIBYTE,
], ids=range(14))
def test_time(raw: bytes) -> None:
    """1 MiB of anything is parsed or refused in a fraction of a second (some 50 ms on a free core)."""
    began = time.process_time()
    try:
        parse(raw, DEPTH)
    except InvalidRequest:
        pass  # refused is as good as parsed: this test is about the time
    assert time.process_time() - began < 1.0
