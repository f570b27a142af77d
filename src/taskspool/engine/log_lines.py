"""A line of a task's log as it stands in its file, and back. Pure functions of texts; no I/O.

    2026-01-31T12:00:00.000000Z 1~3fa94c1b~17 out 42 rows loaded

The time; who said it: the attempt, a tag of the lease's token, and how many texts this claim had said before; the
stream; the text. A text that is too long for one line, or has ends of lines in it, becomes several: all but the last
have a ``+`` behind their number. So the last whole line of a log tells how far its writer has come.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from taskspool.clock import from_text
from taskspool.errors import InvalidRequest

STREAMS = ("out", "err", "log")
"""Standard output, standard error, and what a handler said by itself."""
MAX_LINE_BYTES = 65_536
"""Of the text of one line, in UTF-8; a longer text goes on in the next line."""
_WHO = re.compile(rb"([0-9]{1,9})~([0-9a-f]{8})~([0-9]{1,18})(\+?)")


@dataclass(frozen=True, slots=True)
class LogLine:
    """``number`` counts the lines of the task from 0, over all its attempts.

    A line whose file was damaged has ``at`` None, attempt 0, and all of it for its text.
    """

    number: int
    at: datetime | None
    attempt: int
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class LogPage:
    """Some lines of a log, in order. ``first``: the oldest line that is kept; ``next``: the number behind this page.

    ``is_finished``: the task has ended, and nothing comes after these lines.
    """

    lines: tuple[LogLine, ...]
    first: int
    next: int
    is_finished: bool


class Told(NamedTuple):
    """How far a log has come: the claim that spoke last has said ``texts`` wholly, and ``pieces`` of the next."""

    claim: bytes = b""
    texts: int = 0
    pieces: int = 0

    def of(self, claim: bytes) -> Told:
        """The same for ``claim``, which may not have said anything yet."""
        return self if self.claim == claim else Told(claim)


NOTHING_TOLD = Told()


def claim_tag(attempt: int, token: str) -> bytes:
    """Who speaks. It does not give the token away: who knows that may end the task."""
    return f"{attempt}~{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()[:8]}".encode("ascii")


def check_lines(lines: Iterable[tuple[str, str]]) -> None:
    """Raises InvalidRequest for a stream that there is not."""
    for stream, _ in lines:
        if stream not in STREAMS:
            rule = "|".join(STREAMS)
            raise InvalidRequest(f"stream must be one of {rule}, not {stream[:40]!r}", field="stream", rule=rule)


def pieces_of(text: str) -> list[bytes]:
    """``text`` as the lines it becomes: UTF-8, without ends of lines, none longer than ``MAX_LINE_BYTES``.

    Half a character (a lone surrogate) becomes ``?``; an end of line at the very end counts for nothing.
    """
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= MAX_LINE_BYTES and b"\n" not in encoded:
        return [encoded.removesuffix(b"\r")]
    lines = encoded.removesuffix(b"\n").split(b"\n")
    return [piece for line in lines for piece in _cut(line.removesuffix(b"\r"))]


def _cut(line: bytes) -> Iterable[bytes]:
    """In parts that may be written; never in the middle of a character."""
    while len(line) > MAX_LINE_BYTES:
        end = MAX_LINE_BYTES
        while line[end] & 0xC0 == 0x80:
            end -= 1
        yield line[:end]
        line = line[end:]
    yield line


def written(lines: Sequence[tuple[str, str]], told: Told, at: str) -> list[tuple[bytes, Told]]:
    """The lines that ``lines`` become when ``told.claim`` says them now, each with how far the log has come by it."""
    made: list[tuple[bytes, Told]] = []
    for stream, text in lines:
        pieces = pieces_of(text)[told.pieces:] or [b""]  # told twice with another text: the number must go on
        for piece in pieces[:-1]:
            made.append((_line(at, told, b"+", stream, piece), told._replace(pieces=told.pieces + 1)))
            told = made[-1][1]
        made.append((_line(at, told, b"", stream, pieces[-1]), Told(told.claim, told.texts + 1)))
        told = made[-1][1]
    return made


def _line(at: str, told: Told, more: bytes, stream: str, piece: bytes) -> bytes:
    return b"%b %b~%d%b %b %b\n" % (at.encode("ascii"), told.claim, told.texts, more, stream.encode("ascii"), piece)


def told_by(lines: Iterable[bytes], told: Told) -> Told:
    """How far the log has come by ``lines``, which stand behind ``told``."""
    for line in lines:
        match = _WHO.fullmatch([*line.split(b" ", 2), b""][1])
        if match is None:  # damaged: who speaks next begins anew
            told = NOTHING_TOLD
        elif match[4]:
            said = Told(match[1] + b"~" + match[2], int(match[3]))
            is_same = (told.claim, told.texts) == (said.claim, said.texts)
            told = said._replace(pieces=told.pieces + 1 if is_same else 1)
        else:
            told = Told(match[1] + b"~" + match[2], int(match[3]) + 1)
    return told


def parse(number: int, line: bytes) -> LogLine:
    """One line of the file, without its end."""
    parts = line.split(b" ", 3)
    match = _WHO.fullmatch(parts[1]) if len(parts) == 4 else None
    stream = parts[2].decode("latin-1") if match is not None else ""
    if match is not None and stream in STREAMS:
        try:
            at = from_text(parts[0].decode("latin-1"))
            return LogLine(number, at, int(match[1]), stream, parts[3].decode("utf-8", "replace"))
        except ValueError:
            pass  # a time that is none: damaged
    return LogLine(number, None, 0, "log", line.decode("utf-8", "replace"))
