"""What an uploaded file is, as its content says: what a client or a file's name claims is not believed.

Five kinds are taken, those that document_processing reads. Nothing of a file is run or unpacked here.
"""

from __future__ import annotations

import re
import struct
import zipfile
from enum import StrEnum
from pathlib import PurePosixPath
from typing import BinaryIO

from taskspool.web.errors import UnsupportedMedia


class Kind(StrEnum):
    """The value is the suffix of the stored file."""

    PDF = ".pdf"
    DOCX = ".docx"
    HTML = ".html"
    MARKDOWN = ".md"
    TEXT = ".txt"


HEAD_BYTES = 65_536
"""A text is told from other things by so much of it."""
MAX_ZIP_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 4 << 20
"""Of the list of contents of a DOCX, which is read as a whole."""
_HTML = re.compile(rb"(?:\s|<\?xml[^>]{0,200}>|<!--.{0,1000}?-->)*<(?:!doctype\s+html|html|head|body)[\s>]",
                   re.IGNORECASE | re.DOTALL)
_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_END = struct.Struct("<4s4H2LH")
"""End of central directory: signature, disks, entries here and in all, size, offset, length of the comment."""
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\x1b\x08")) + b"\x7f"


def kind_of(file: BinaryIO, name: str) -> Kind:
    """What ``file`` is; ``name``, as its client calls it, tells Markdown from other text. Raises UnsupportedMedia."""
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if b"%PDF-" in head[:1024]:
        return Kind.PDF
    if head.startswith(b"PK\x03\x04"):
        if _is_docx(file):
            return Kind.DOCX
        raise _refused("a ZIP archive that is no Word document")
    if not head:
        raise _refused("empty")
    if not _is_text(head):
        raise _refused("something else")
    if _HTML.match(head.removeprefix(_BOMS[0])):
        return Kind.HTML
    suffix = PurePosixPath(name.lower()).suffix
    return Kind.MARKDOWN if suffix in (".md", ".markdown") else Kind.TEXT


def _is_text(head: bytes) -> bool:
    """Whether there is nothing in it that no text has; UTF-16 says so at its beginning."""
    return head.startswith(_BOMS[1:]) or head.translate(None, _CONTROLS) == head


def _is_docx(file: BinaryIO) -> bool:
    """Whether it lists what a Word document has. The list is looked at only when it is no larger than one should be."""
    file.seek(0, 2)
    size = file.tell()
    file.seek(max(0, size - _END.size - 65_535))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        return False
    _, _, _, _, entries, directory_bytes, _, _ = _END.unpack_from(tail, at)
    if entries > MAX_ZIP_ENTRIES or directory_bytes > MAX_DIRECTORY_BYTES:
        return False
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False
    return {"[Content_Types].xml", "word/document.xml"} <= names


def _refused(what: str) -> UnsupportedMedia:
    rule = "a text, Markdown, HTML, PDF or DOCX file"
    return UnsupportedMedia(f"file must be {rule}, by its content; this one is {what}", field="file", rule=rule)
