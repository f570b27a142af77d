"""What a program writes, line by line: to the live log, and what its last line and its directives say.

    ::progress 40 reading the file        shows how far it is; the text may be left out
    ::checkpoint {"row": 4000}            is kept for the next attempt
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import IO

from taskspool.engine.task import JsonValue

READ_BYTES = 65_536

Take = Callable[[str], None]


class Lines:
    """Cuts bytes into lines. Every line goes to ``log``, unless ``take_directive`` says that it was one.

    ``last`` is the last that was not empty and no directive; of a line longer than ``max_bytes`` only its pieces in
    the log remain, and ``is_last_too_long``.
    """

    def __init__(self, log: Take, max_bytes: int, take_directive: Callable[[str], bool] | None = None) -> None:
        self.last = ""
        self.is_last_too_long = False
        self._log = log
        self._max_bytes = max_bytes
        self._take_directive = take_directive
        self._line = bytearray()
        self._is_too_long = False

    def read(self, stream: IO[bytes]) -> None:
        """All of ``stream``, to its end."""
        with stream:
            while chunk := stream.read1(READ_BYTES):  # type: ignore[attr-defined]  # a pipe's reader is buffered
                self.feed(chunk)
        self.close()

    def feed(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._add(first)
        for part in others:
            self._end_line()
            self._add(part)

    def close(self) -> None:
        """The end: a last line needs no line break."""
        if self._line or self._is_too_long:
            self._end_line()

    def _add(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._max_bytes:
            self._is_too_long = True
            end = whole_letters(self._line)
            self._log(text_of(self._line[:end]))
            del self._line[:end]

    def _end_line(self) -> None:
        line, is_too_long = bytes(self._line).removesuffix(b"\r"), self._is_too_long
        self._line.clear()
        self._is_too_long = False
        if self._take_directive is not None and line.startswith(b"::") and self._take_directive(text_of(line)):
            return
        self._log(text_of(line))
        if is_too_long or line.strip():
            self.last, self.is_last_too_long = text_of(line), is_too_long


def whole_letters(line: bytes | bytearray) -> int:
    """How many bytes of ``line`` can be cut off its start without parting a letter of UTF-8."""
    end = len(line)
    while end > max(0, len(line) - 3) and line[end - 1] & 0xC0 == 0x80:
        end -= 1
    return end - 1 if end and line[end - 1] >= 0xC0 else len(line)


def text_of(line: bytes | bytearray) -> str:
    """UTF-8, as far as it is; old consoles of Windows write their own code page."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("oem" if sys.platform == "win32" else "utf-8", "replace")


def progress_of(text: str) -> tuple[float | None, str | None] | None:
    """``40 reading`` -> (40.0, "reading"); ``reading`` alone is a text; None: it is no progress at all."""
    first, _, rest = text.strip().partition(" ")
    if not first:
        return None
    try:
        percent = float(first.removesuffix("%"))
    except ValueError:
        return None, text.strip()
    return (percent, rest.strip() or None) if math.isfinite(percent) else (None, text.strip())


def json_of(text: str | bytes) -> JsonValue:
    """Raises ValueError: it is no JSON, or has numbers that JSON does not know."""
    try:
        value: JsonValue = json.loads(text, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return value


def _no_constant(name: str) -> JsonValue:
    raise ValueError(f"{name} is not JSON")
