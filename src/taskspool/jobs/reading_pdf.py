"""PDF, by pypdf. Its own limits bound what a compressed stream may become."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError

from taskspool.jobs.documents import MAX_TEXT_CHARS, BadDocument, Tell

MAX_PAGES = 20_000


def read_pdf(content: bytes, tell: Tell) -> tuple[str, Mapping[str, Any]]:
    """The text of its pages, an empty line between two. Raises BadDocument."""
    reader, count = _opened(content)
    if count > MAX_PAGES:
        raise BadDocument(f"{count} pages are more than the {MAX_PAGES} that are read")
    pages: list[str] = []
    chars = 0
    for number in range(count):
        tell(number / count)
        pages.append(_page(reader, number))
        chars += len(pages[-1])
        if chars > MAX_TEXT_CHARS:
            raise BadDocument(f"there are more than {MAX_TEXT_CHARS} characters in its first {number + 1} pages")
    return "\n\n".join(pages), {"pages": count}


def _opened(content: bytes) -> tuple[PdfReader, int]:
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise BadDocument("it is encrypted: a password is needed")
        return reader, len(reader.pages)
    except (DependencyError, FileNotDecryptedError) as error:
        raise BadDocument("it is encrypted; save it without a password") from error
    except BadDocument:
        raise
    except Exception as error:  # bytes of strangers: the library raises whatever they lead it to
        raise BadDocument(f"it is a broken PDF ({type(error).__name__}: {error})") from error


def _page(reader: PdfReader, number: int) -> str:
    try:
        return reader.pages[number].extract_text()
    except Exception as error:  # as above: one page may be broken in any way
        raise BadDocument(f"page {number + 1} of the PDF is broken ({type(error).__name__}: {error})") from error
