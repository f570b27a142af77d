"""Strict JSON from strangers: UTF-8 only, bounded, and nothing that two readers could understand differently.

Refused, each with the rule it breaks: other encodings, NaN and Infinity (also as 1e999), the same key twice, nesting
deeper than ``max_depth``, more than ``MAX_KEYS`` keys in one object, more than ``MAX_CONTAINERS`` arrays and objects
in a mebibyte, whole numbers of more than ``MAX_DIGITS`` digits, half a character (lone surrogate escapes).
1 MiB of the worst takes some 50 ms.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from taskspool.errors import InvalidRequest

MAX_KEYS = 10_000
MAX_CONTAINERS = 65_536
MAX_DIGITS = 4_300

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")
_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"')
_HUGE_FLOAT = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{309}")
_WORDS = {dict: "an object", list: "an array", str: "a string", int: "a number", float: "a number",
          bool: "true or false", type(None): "null"}


def parse_object(raw: bytes, max_depth: int) -> dict[str, Any]:
    """``raw`` as a JSON object; nothing at all counts as ``{}``. Raises InvalidRequest naming offset and rule."""
    if not raw:
        return {}
    value = parse(raw, max_depth)
    if not isinstance(value, dict):
        raise _broken(f"the body must be a JSON object, not {_WORDS[type(value)]}", "object")
    return value


def parse(raw: bytes, max_depth: int) -> Any:
    """``raw`` as a JSON value. Raises InvalidRequest naming offset and rule."""
    text = _decode(raw)
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_CONTAINERS:
        _check_containers(text)
    decode = _decoder_of_floats if _HUGE_FLOAT.search(text) else _decoder
    try:
        value = decode(text)
    except InvalidRequest:
        raise
    except json.JSONDecodeError as error:
        raise _broken(f"the body is not JSON: {error.msg}, line {error.lineno} column {error.colno}", "JSON",
                      offset=error.pos) from None
    except RecursionError:
        raise _too_deep(max_depth) from None
    except ValueError:
        raise _broken(f"a whole number has more than {MAX_DIGITS} digits", f"at most {MAX_DIGITS} digits") from None
    if brackets > max_depth:
        _check_depth(value, max_depth)
    if "\\u" in text and _SURROGATE.search(text):
        _check_characters(value)
    return value


def _decode(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw[:4]:
        raise _broken("the body is UTF-16 or UTF-32: send charset=utf-8", "UTF-8", offset=0)
    try:
        return raw.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        raise _broken(f"the body is not UTF-8 (byte {error.start}): send charset=utf-8", "UTF-8",
                      offset=error.start) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs) or len(made) > MAX_KEYS:
        _refuse_keys(pairs)
    return made


def _refuse_keys(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) > MAX_KEYS:
        raise _broken(f"an object has more than {MAX_KEYS} keys", f"at most {MAX_KEYS} keys")
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise _broken(f"the key {key[:100]!r} stands twice in one object", "keys once", field=key[:100])
        seen.add(key)


def _constant(word: str) -> Any:
    raise _broken(f"{word} is not JSON", "finite numbers")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _broken(f"the number {digits[:40]} is too large", "finite numbers")
    return number


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
_decoder_of_floats = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_finite).decode


def _check_containers(text: str) -> None:
    """Raises InvalidRequest when there are too many arrays and objects; brackets within texts do not count."""
    bare = _TEXTS.sub("", text)
    rule = MAX_CONTAINERS * (1 + (len(text) >> 20))
    if bare.count("[") + bare.count("{") > rule:
        raise _broken(f"the body holds more than {rule} arrays and objects", f"at most {rule} arrays and objects")


def _check_depth(value: Any, max_depth: int) -> None:
    """Raises InvalidRequest when containers nest deeper than ``max_depth``. Level by level: no recursion."""
    level = [value]
    for _ in range(max_depth):
        level = [child for one in level for child in (one.values() if type(one) is dict else one)
                 if type(child) is dict or type(child) is list]
        if not level:
            return
    raise _too_deep(max_depth)


def _check_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _broken("a text holds half a character (a lone surrogate such as \\ud800)", "whole characters") from None


def _too_deep(max_depth: int) -> InvalidRequest:
    return _broken(f"arrays and objects nest deeper than {max_depth}", f"at most {max_depth} deep")


def _broken(message: str, rule: str, **details: Any) -> InvalidRequest:
    return InvalidRequest(message, **({"field": "body"} | details), rule=rule)
