"""JSON as PowerShell writes it, letter by letter."""

from __future__ import annotations

import json
import re
from typing import Any

from powershell.syntax import functions

_51_ESCAPES = {"'": "\\u0027", "<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u0085": "\\u0085",
               "\u2028": "\\u2028", "\u2029": "\\u2029"}


def module_json(value: Any) -> bytes:
    """As Private/Json.ps1 does: no blanks, letters beyond ASCII as they are, sent as UTF-8."""
    return _written(value).encode("utf-8")


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{_text(name)}:{_written(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return format(value, ".17g") if isinstance(value, float) else json.dumps(value)


def _text(text: str) -> str:
    """With the replacements that ConvertTo-JsonText makes, read out of it."""
    source = functions()["ConvertTo-JsonText"].text
    backticks = {'"`r"': "\r", '"`n"': "\n", '"`t"': "\t"}
    pairs = re.findall(r"\.Replace\(('[^']*'|\"[^\"]*\"), '([^']*)'\)", source)
    assert len(pairs) == 5
    for old, new in pairs:
        text = text.replace(backticks.get(old, old[1:-1]), new)
    controls = re.search(r"-match '(\[.*?\])'", source)
    assert controls is not None
    return '"' + re.sub(controls[1], lambda found: f"\\u{ord(found[0]):04x}", text) + '"'


def shell_51_json(value: Any, charset: str) -> bytes:
    """As ConvertTo-Json of 5.1 does: quotes and angles escaped, members indented to their column, two blanks before a
    value. ``charset``: as Invoke-RestMethod sends it, utf-8 when the content type says so, otherwise latin-1."""
    return _indented(value, 0).encode(charset, "replace")


def _indented(value: Any, column: int) -> str:
    if isinstance(value, dict | list):
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        inner = " " * (column + 4)
        items = [_member(name, each, column) for name, each in value.items()] if isinstance(value, dict) else \
                [_indented(each, column + 4) for each in value]
        return f"{opening}\r\n" + ",\r\n".join(inner + item for item in items) + f"\r\n{' ' * column}{closing}"
    text = json.dumps(value, ensure_ascii=False)
    return re.sub("['<>&\u0085\u2028\u2029]", lambda found: _51_ESCAPES[found[0]], text)


def _member(name: str, value: Any, column: int) -> str:
    start = f'"{name}":  '
    return start + _indented(value, column + 4 + len(start))


def shell_7_json(value: Any) -> bytes:
    """As ConvertTo-Json of 7 does: indented by two, nothing escaped that need not be; sent as UTF-8."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode("utf-8")
