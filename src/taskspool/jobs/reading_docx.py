"""DOCX, by python-docx; the archive is looked at before anything in it is unpacked."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import docx
from docx.oxml.ns import qn
from docx.text.paragraph import Paragraph

from taskspool.jobs.documents import BadDocument, Tell

MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 209_715_200
MAX_RATIO = 200
SMALL_BYTES = 1_048_576
"""What unpacks to no more than this is harmless, whatever its ratio."""
STEP = 200
"""Paragraphs between two looks at whether to go on."""


def read_docx(content: bytes, tell: Tell) -> tuple[str, Mapping[str, Any]]:
    """The paragraphs of the body, those in tables among them, an empty line between two. Raises BadDocument."""
    _check_archive(content)
    try:
        document = docx.Document(io.BytesIO(content))
        elements = list(document.element.body.iter(qn("w:p")))
    except Exception as error:  # bytes of strangers: the library raises whatever they lead it to
        raise BadDocument(f"it is a broken DOCX ({type(error).__name__}: {error})") from error
    texts = []
    for number, element in enumerate(elements):
        if number % STEP == 0:
            tell(number / len(elements))
        texts.append(Paragraph(element, document._body).text)
    return "\n\n".join(text for text in texts if text.strip()), {"paragraphs": len(elements)}


def _check_archive(content: bytes) -> None:
    """Few entries, none that swells, no document type (there entities would stand, which DOCX does not have)."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_sizes(entries)
            if "word/document.xml" not in archive.namelist():
                raise BadDocument("it is a ZIP archive, but no DOCX")
            for entry in entries:
                if entry.filename.endswith((".xml", ".rels")) and _has_document_type(archive.read(entry)):
                    raise BadDocument(f"{entry.filename} in it declares entities")
    except (zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, NotImplementedError, RuntimeError, ValueError,
            OSError, EOFError) as error:
        raise BadDocument(f"it is a broken or encrypted ZIP archive ({error})") from error


def _check_sizes(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_ENTRIES:
        raise BadDocument(f"{len(entries)} files in its archive are more than the {MAX_ENTRIES} allowed")
    if (total := sum(entry.file_size for entry in entries)) > MAX_UNPACKED_BYTES:
        raise BadDocument(f"it would unpack to {total} bytes, more than the {MAX_UNPACKED_BYTES} allowed")
    for entry in entries:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadDocument(f"{entry.filename} in it is compressed in a way that DOCX does not have")
        if entry.file_size > SMALL_BYTES and entry.file_size > MAX_RATIO * max(1, entry.compress_size):
            raise BadDocument(f"{entry.filename} in it swells more than {MAX_RATIO} times: that is a trap")


def _has_document_type(content: bytes) -> bool:
    return b"<!DOCTYPE" in content or "<!DOCTYPE".encode("utf-16-le") in content
