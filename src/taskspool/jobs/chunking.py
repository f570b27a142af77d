"""Cutting a text into chunks.

    |------ chunk 0 ------|
                  |------ chunk 1 ------|
                  '-overlap-'       |-- chunk 2 --|

The rules, exactly: chunks are in order and cover the whole text; none is longer than ``size`` characters; each begins
``overlap`` characters before the end of the one before, so that the chunks without their first ``overlap`` characters
(but of the first), put together, are the text. A chunk ends behind a paragraph if one ends in the second half of what
the chunk adds, else behind a line, a sentence, a word, else where it is full.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MAX_CHUNKS = 100_000
MAX_REPEATED_CHARS = 100_000_000
_SENTENCE = r"[.!?…;:][\"')\]\u2019\u201d\xbb]*\s|[\u3002\uff01\uff1f\uff1b][\u2019\u201d\u300d\u300f\uff09]?"
"""A mark and a space; those of Chinese and Japanese need none."""
_ENDS = tuple(map(re.compile, (r"\n\n+", r"\n", _SENTENCE, r"\s")))
"""What a chunk may end behind, best first."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """``text`` is ``document[start:end]``, in characters."""

    index: int
    start: int
    end: int
    text: str


class TooManyChunks(Exception):
    """The overlap is so close to the size that the chunks would be many times the text."""


def cut(text: str, size: int, overlap: int) -> Iterator[Chunk]:
    """The chunks of ``text``; ``size`` >= 1, 0 <= ``overlap`` < ``size``. Raises TooManyChunks."""
    least = -(-max(0, len(text) - overlap) // (size - overlap))
    if least > MAX_CHUNKS or least * overlap > MAX_REPEATED_CHARS:
        raise TooManyChunks(f"chunks of {size} characters that repeat {overlap} would be {least} or more for "
                            f"{len(text)} characters: make chunk_size larger or chunk_overlap smaller")
    start = index = 0
    while start < len(text):
        end = _end_of(text, start, size, overlap)
        yield Chunk(index, start, end, text[start:end])
        if end == len(text):
            return
        start, index = end - overlap, index + 1


def _end_of(text: str, start: int, size: int, overlap: int) -> int:
    full = start + size
    if full >= len(text):
        return len(text)
    lowest = start + overlap + (size - overlap + 1) // 2  # so that every chunk adds something
    for pattern in _ENDS:
        last = None
        for found in pattern.finditer(text, lowest - 1, full):
            last = found.end()
        if last is not None and last >= lowest:
            return last
    return full
