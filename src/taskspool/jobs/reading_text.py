"""Plain text: its encoding said by its first bytes, else UTF-8, else guessed, and the result says so."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any

from taskspool.jobs.documents import BadDocument, Tell

SAMPLE_BYTES = 65_536
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
          (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
"""The long ones first: UTF-32 begins like UTF-16."""


def read_text(content: bytes, tell: Tell) -> tuple[str, Mapping[str, Any]]:
    text, encoding, is_guessed = decoded(content)
    tell(1.0)
    return text, {"encoding": encoding, "encoding_is_guessed": is_guessed}


def marked(content: bytes) -> str | None:
    """The encoding that the first bytes name."""
    return next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)


def decoded(content: bytes) -> tuple[str, str, bool]:
    """The text, its encoding, and whether that was guessed. Raises BadDocument."""
    if (encoding := marked(content)) is not None:
        return content.decode(encoding, "replace"), encoding, False
    if b"\x00" in content:
        raise BadDocument("this is no text: there are zero bytes in it")
    try:
        return content.decode("utf-8"), "utf-8", False
    except UnicodeDecodeError:
        guess = _guess(content)
    return content.decode(guess, "replace"), guess, True


def _guess(content: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - only few texts need it

    found = from_bytes(content[:SAMPLE_BYTES]).best()
    if found is None:
        raise BadDocument("this is no text in any encoding known here")
    return found.encoding
