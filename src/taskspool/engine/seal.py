"""The seal of a file: a last line of blanks that proves that what stands above it is what was written.

Every reader of JSON passes over blanks at the end, so old programs are not disturbed, and a program that writes the
file anew leaves the seal out: then the file is believed as any foreign one is. A seal that is there, and wrong, is
damage.

    <JSON> \\n <blanks> \\n        blanks: a space is a 0, a tab a 1, eight of them a byte
    bytes: 01, the first 8 bytes of SHA-256 of JSON and note, the note (ASCII; may be empty)

A flipped bit of a blank gives no other blank but a carriage return, so a long run of white space that is no right
seal is damage too.
"""

from __future__ import annotations

import hashlib

_MARK = b"\x01"
_DIGEST_BYTES = 8
_LEAST_BLANKS = 16
"""Shorter runs of white space at the end are anybody's."""
_TO_BLANKS, _FROM_BLANKS = bytes.maketrans(b"01", b" \t"), bytes.maketrans(b" \t", b"01")


class Broken(Exception):
    """The content and its seal do not belong together: bits were lost, or somebody edited above the seal."""


def seal(content: bytes, note: bytes = b"") -> bytes:
    """``content``, which ends with an end of line, and its seal."""
    return content + _line(content, note)


def unseal(content: bytes) -> tuple[bytes, bytes | None]:
    """(what was sealed, its note); the note is None when there is no seal. Raises Broken."""
    sealed = content.rstrip(b" \t\r\n")
    blanks = len(content) - len(sealed)
    if blanks < _LEAST_BLANKS:
        return content, None
    above, line = content[:len(sealed) + 1], content[len(sealed) + 1:]
    if line == _line(above, b""):
        return above, b""
    told = _decoded(line)
    note = told[len(_MARK) + _DIGEST_BYTES:]
    if line != _line(above, note):
        if told[:1].isdigit():  # the receipt of the first version: a note alone
            return above, told
        raise Broken("its content is not what its seal says: it was damaged, or edited above the last line of blanks")
    return above, note


def _line(content: bytes, note: bytes) -> bytes:
    told = _MARK + hashlib.sha256(content + note).digest()[:_DIGEST_BYTES] + note
    return f"{int.from_bytes(told, 'big'):0{8 * len(told)}b}\n".encode("ascii").translate(_TO_BLANKS)


def _decoded(line: bytes) -> bytes:
    """The bytes a line of blanks stands for; none when it is no such line."""
    blanks = line.removesuffix(b"\n")
    if not blanks or len(blanks) % 8 or blanks.strip(b" \t"):
        return b""
    return int(blanks.translate(_FROM_BLANKS), 2).to_bytes(len(blanks) // 8, "big")
