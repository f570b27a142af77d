"""JSON made to be misread: an endless, seeded source of bodies, each valid, nearly valid, or far from it.

What goes in: NaN and Infinity, also as 1e999; nesting a hundred thousand deep; whole numbers of thousands of digits;
the same key twice; half characters; NUL, byte order marks, UTF-16 and UTF-32, overlong UTF-8; too many keys;
``__proto__`` and its kin; what other dialects allow (comments, single quotes, trailing commas, hexadecimal); bytes
flipped at random.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

FIELDS = ("task_type", "type", "data", "params", "requester", "priority", "max_retries", "worker_id", "worker", "types",
          "max", "wait", "lease", "status", "error", "error_message", "retryable", "retry_after", "lease_token",
          "running", "tasks", "delay", "reason", "progress", "checkpoint", "message", "tags", "group", "unique_key")
KEYS = ("__proto__", "constructor", "prototype", "toString", "__class__", "__init__", "$ref", "$where", "", " ",
        "\x00", "a.b", "a[0]", "\u202e", "é", "e\u0301", "😀", "ID", "id", "taskspool", "x" * 300)
TEXTS = ("", "ping", "\x00", "\u2028\u2029", "\ufeff", "\uffff", "\x7f\x80", "{{7*7}}", "${jndi:ldap://x}", "NaN",
         "null", "../../etc/passwd", "x" * 200, "x" * 5_000, "<script>", "'; DROP TABLE tasks--", "%s%n", "\r\nX: y",
         "核" * 400)
NUMBERS = ("0", "-0", "-0.0", "1E400", "1e999", "-1e999", "1e-999", "1e308", "5e-324", "9007199254740993", "1.0", "1e0",
           "18446744073709551616", "-9223372036854775809", "9" * 4_300, "9" * 4_301, "9" * 5_000, "-" + "1" * 5_000,
           "0." + "1" * 5_000, "1e00000000000001", "1" + "0" * 400 + ".0")
NOT_JSON = ("NaN", "Infinity", "-Infinity", "nan", "undefined", "None", "True", "0x10", "+1", ".5", "1.", "01", "1_000",
            "'a'", "`a`", "/**/1", "1//", '"\t"', '"\\x41"', '"\\u12"', '"\\ud800"', '"\\udfff\\ud800"', '"\\ud83d"',
            "[1,]", "{,}", '{"a":1,}', "{a:1}", '{"a" 1}', "[1 2]", '{"a":1,"a":2}', '{"a":{"b":1,"b":1}}', "}", "]",
            "", "tru", "nulll", '"', '{"a":', "[[[", "1e", "-", "--1", "\ufeff1", "(1)", "<a/>", "a: 1")
BYTES = (b"\x00", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xfe\xff", b"\x1f\x8b\x08", b"\x80",
         b"\xe2\x28\xa1", b"\xef\xbf\xbe", b"\x85")
ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig", "utf-7", "latin-1", "cp037")
DEEP = 100_000
MANY = 1_000_000
HUGE_KINDS = 6
HUGE_EVERY = 400
"""One body in so many is large: deep, or with many keys."""


def bodies(seed: int, fields: Callable[[random.Random], dict[str, str]]) -> Callable[[], bytes]:
    """A source of bodies, the same for the same ``seed``. ``fields(chance)``: what a good body holds, as JSON texts."""
    chance = random.Random(seed)
    makers = (_with_bad_value, _with_bad_value, _with_odd_fields, _nested, _encoded, _torn, _bare)

    def make() -> bytes:
        if chance.randrange(HUGE_EVERY) == 0:
            return huge(chance, chance.randrange(HUGE_KINDS))
        return chance.choice(makers)(chance, fields(chance))

    return make


def _text_of(chance: random.Random) -> str:
    """Some JSON value as text, or what passes for one elsewhere."""
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice(NOT_JSON)
    if kind == 1:
        return chance.choice(NUMBERS)
    if kind == 2:
        return json.dumps(chance.choice(TEXTS), ensure_ascii=chance.random() < 0.5)
    if kind == 3:
        return chance.choice(("null", "true", "false", "[]", "{}", "[[]]", '[null,"",0]'))
    if kind == 4:
        return _object_of({chance.choice(KEYS): chance.choice(NUMBERS) for _ in range(chance.randrange(4))})
    depth = chance.choice((1, 3, 62, 63, 64, 65, 66, 500, 2_000))
    return chance.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, "[" * depth))


def _object_of(pairs: dict[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in pairs.items()) + "}"


def _with_bad_value(chance: random.Random, fields: dict[str, str]) -> bytes:
    """A good body with one value, or one more, that is odd."""
    name = chance.choice((*fields, *FIELDS))
    return _object_of({**fields, name: _text_of(chance)}).encode("utf-8", "surrogatepass")


def _with_odd_fields(chance: random.Random, fields: dict[str, str]) -> bytes:
    """Fields that are not asked for, some of them twice."""
    pairs = [f"{json.dumps(chance.choice((*KEYS, *FIELDS)))}:{_text_of(chance)}" for _ in range(chance.randrange(1, 5))]
    pairs += [f"{json.dumps(name)}:{value}" for name, value in fields.items()]
    chance.shuffle(pairs)
    return ("{" + ",".join(pairs) + "}").encode("utf-8", "surrogatepass")


def _nested(chance: random.Random, fields: dict[str, str]) -> bytes:
    """Something odd some levels down, where clients keep their own data."""
    inner = _text_of(chance)
    for _ in range(chance.randrange(1, 66)):
        inner = f"[{inner}]" if chance.random() < 0.5 else f"{{{json.dumps(chance.choice(KEYS))}:{inner}}}"
    name = chance.choice(("data", "params", "payload", "checkpoint", "result"))
    return _object_of({**fields, name: inner}).encode("utf-8", "surrogatepass")


def _encoded(chance: random.Random, fields: dict[str, str]) -> bytes:
    return _object_of(fields).encode(chance.choice(ENCODINGS), "replace")


def _torn(chance: random.Random, fields: dict[str, str]) -> bytes:
    """A good body with bytes changed, put in or cut off."""
    body = bytearray(_object_of(fields).encode())
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(body) + 1)
        how = chance.randrange(3)
        if how == 0:
            body[at:at + 1] = bytes([chance.randrange(256)])
        elif how == 1:
            body[at:at] = chance.choice(BYTES)
        else:
            del body[at:]
    return bytes(body)


def _bare(chance: random.Random, _: dict[str, str]) -> bytes:
    """No object at all, or white space of odd kinds around one."""
    around = chance.choice(("", " ", "\n\n", "\x00", "\u00a0", "\ufeff", "\x0c", "//\n", "\x1e"))
    return (around + _text_of(chance) + chance.choice(("", around, ",", "{}", ";"))).encode("utf-8", "surrogatepass")


def huge(chance: random.Random, kind: int) -> bytes:
    """One of ``HUGE_KINDS`` large bodies."""
    text = chance.choice((b"\\u0000", b"\\\\", b"\xf0\x9f\x98\x80"))
    inside = (
        lambda: b"[" * DEEP + b"]" * DEEP,
        lambda: b'{"a":' * DEEP + b"1" + b"}" * DEEP,
        lambda: b"{" + b",".join(b'"%x":0' % n for n in range(MANY)) + b"}",
        lambda: b"{" + b'"a":0,' * 150_000 + b'"a":0}',
        lambda: b'{"a":"' + text * 160_000 + b'"}',
        lambda: b'{"a":[' + b"{}," * 300_000 + b"0]}",
    )
    return b'{"task_type":"t","data":' + inside[kind]() + b"}"
