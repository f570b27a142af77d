"""A document as plain text: what kind it is, by its content first and its name second, and who reads that kind.

The readers are libraries of their own (the extra ``documents``) and are loaded with the first file of their kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from taskspool.jobs.opening import read_file
from taskspool.worker.handlers import GiveUp

MAX_TEXT_CHARS = 20_000_000
MAX_MARKUP_BYTES = 20_971_520
"""HTML and Markdown take many times their size in memory while they are read."""
INSTALL = 'pip install "taskspool[documents]"'

Tell = Callable[[float], None]
"""Told how much is done, 0..1; may raise to stop."""
_SUFFIXES: Mapping[str, str] = {
    ".pdf": "pdf", ".docx": "docx", ".docm": "docx", ".html": "html", ".htm": "html", ".xhtml": "html",
    ".md": "markdown", ".markdown": "markdown", ".mdown": "markdown",
}
_NO_DOCUMENTS: Mapping[bytes, str] = {
    b"\x89PNG": "a picture (PNG)", b"\xff\xd8\xff": "a picture (JPEG)", b"GIF8": "a picture (GIF)",
    b"\x1f\x8b": "compressed (gzip)", b"\x7fELF": "a program", b"{\\rtf": "RTF, which is not read",
    b"\xd0\xcf\x11\xe0": "an old Office file, or one with a password; save it as DOCX without a password",
}
_HTML_STARTS = (b"<!doctype html", b"<html")


class BadDocument(Exception):
    """It cannot be read, and why; another attempt would find the same."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a document, lines ended by ``\\n``, and what is known of its source.

    ``kind``: text, markdown, html, pdf or docx. ``facts``: what readers add (encoding, pages).
    """

    name: str
    kind: str
    text: str
    facts: Mapping[str, Any]


def read_document(path: Path, name: str, tell: Tell = lambda _done: None) -> Document:
    """Raises GiveUp, with the name of the file and the reason, and Retry."""
    content = read_file(path)
    try:
        kind = kind_of(content, path.name)
        text, facts = _reader(kind)(content, tell)
        return Document(name, kind, _checked(text), facts)
    except BadDocument as error:
        raise GiveUp(f"{name}: {error}") from error
    except ModuleNotFoundError as error:  # some are loaded only when they are needed
        raise GiveUp(f"{name}: this worker cannot read {kind}: {error.name} is not installed; {INSTALL}") from error


def kind_of(content: bytes, name: str) -> str:
    """Raises BadDocument: it is nothing we read, or not what its name says."""
    suffix = PurePath(name).suffix.lower()
    named = _SUFFIXES.get(suffix, "text")
    if b"%PDF-" in content[:1024]:
        return "pdf"
    if content.startswith(b"PK\x03\x04"):
        return "docx"
    for start, what in _NO_DOCUMENTS.items():
        if content.startswith(start):
            raise BadDocument(f"this is {what}")
    if named in ("pdf", "docx"):
        raise BadDocument(f"it is named {suffix}, but is no {named.upper()}")
    if named == "text" and content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_HTML_STARTS):
        return "html"
    return named


def _reader(kind: str) -> Callable[[bytes, Tell], tuple[str, Mapping[str, Any]]]:
    module = "markup" if kind in ("html", "markdown") else kind
    readers = importlib.import_module(f"taskspool.jobs.reading_{module}")
    reader: Callable[[bytes, Tell], tuple[str, Mapping[str, Any]]] = getattr(readers, f"read_{kind}")
    return reader


def _checked(text: str) -> str:
    """``text`` without what no JSON and no terminal wants."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    text = text.encode("utf-8", "replace").decode("utf-8")  # half characters become ?
    if not text.strip():
        raise BadDocument("there is no text in it; a scanned page is a picture")
    if len(text) > MAX_TEXT_CHARS:
        raise BadDocument(f"{len(text)} characters are more than the {MAX_TEXT_CHARS} a document may have")
    return text
