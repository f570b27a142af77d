"""HTML, by lxml, and Markdown, by markdown-it: the text a reader sees, block by block."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from typing import Any

from lxml import etree
from markdown_it import MarkdownIt
from markdown_it.token import Token

from taskspool.jobs.documents import MAX_MARKUP_BYTES, BadDocument, Tell
from taskspool.jobs.reading_text import decoded, marked

_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "dd", "details", "div", "dl", "dt", "fieldset", "figcaption",
    "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "html", "li", "main", "nav", "ol", "p",
    "pre", "section", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "title", "tr", "ul",
}
_UNSEEN = {"script", "style", "template", "noscript", "svg", "math", "iframe", "object"}
_SPACE = re.compile(r"\s+")
_DECLARED = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
MAX_NESTING = 100
"""What stands in more quotes and lists than that is left out."""
STEP = 5_000
"""Pieces between two looks at whether to go on."""


def read_html(content: bytes, tell: Tell) -> tuple[str, Mapping[str, Any]]:
    """What is shown: no scripts, no styles, no comments; an empty line between two blocks. Raises BadDocument."""
    _check_size(content)
    source, encoding, is_guessed = _html_text(content)
    return _blocks_of(source, tell), {"encoding": encoding, "encoding_is_guessed": is_guessed}


def read_markdown(content: bytes, tell: Tell) -> tuple[str, Mapping[str, Any]]:
    """Its text without the marks; HTML in it is read as HTML. Raises BadDocument."""
    _check_size(content)
    source, encoding, is_guessed = decoded(content)
    tell(0.1)
    tokens = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table").parse(source)
    blocks = (_block(token) for token in tokens)
    return "\n\n".join(block for block in blocks if block.strip()), {
        "encoding": encoding, "encoding_is_guessed": is_guessed}


def _check_size(content: bytes) -> None:
    if len(content) > MAX_MARKUP_BYTES:
        raise BadDocument(f"{len(content)} bytes of markup are more than the {MAX_MARKUP_BYTES} that are read")


def _html_text(content: bytes) -> tuple[str, str, bool]:
    """As ``decoded``, but a page without a mark may name its encoding itself."""
    found = None if marked(content) else _DECLARED.search(content[:4096])
    if found is not None:
        try:
            encoding = codecs.lookup(found[1].decode("ascii")).name
            return content.decode(encoding, "replace"), encoding, False
        except (LookupError, UnicodeError, TypeError):  # no encoding, or one that is none for texts
            return decoded(content)
    return decoded(content)


def _blocks_of(source: str, tell: Tell) -> str:
    parser = etree.HTMLParser(target=_Walk(tell), encoding="utf-8", huge_tree=True)
    try:
        blocks: list[str] = etree.fromstring(source.encode("utf-8", "replace"), parser)
    except etree.LxmlError as error:
        raise BadDocument(f"it is broken HTML ({error})") from error
    return "\n\n".join(blocks)


class _Walk:
    """Told the page piece by piece by the parser, which keeps no tree; a new block wherever an element of ``_BLOCKS``
    begins or ends."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._pieces = 0
        self._blocks: list[str] = []
        self._lines: list[str] = []
        self._run: list[str] = []
        self._unseen = self._exact = 0

    def start(self, name: str, _attributes: object) -> None:
        self._change(name, 1)
        if name == "br":
            self._end_run()
            self._lines.append("\n")

    def end(self, name: str) -> None:
        self._change(name, -1)

    def data(self, text: str) -> None:
        self._pieces += 1
        if self._pieces % STEP == 0:
            self._tell(0.5)
        if not self._unseen:
            self._run.append(text)

    def comment(self, text: str) -> None:
        """Not shown."""

    def close(self) -> list[str]:
        self._end_block()
        return self._blocks

    def _change(self, name: str, by: int) -> None:
        if name in _BLOCKS and not self._unseen:
            self._end_block()
        if name in _UNSEEN:
            self._unseen = max(0, self._unseen + by)
        if name == "pre":
            self._exact = max(0, self._exact + by)

    def _end_run(self) -> None:
        """What came since the last line or block: its spaces count in ``pre`` alone."""
        text = "".join(self._run)
        self._lines.append(text if self._exact else _SPACE.sub(" ", text))
        self._run.clear()

    def _end_block(self) -> None:
        self._end_run()
        text = "".join(self._lines).strip()
        self._lines.clear()
        if text:
            self._blocks.append(text)


def _block(token: Token) -> str:
    if token.type in ("fence", "code_block"):
        return token.content.rstrip("\n")
    if token.type == "html_block":
        return _blocks_of(token.content, lambda _done: None)
    return _inline(token.children or ()) if token.type == "inline" else ""


def _inline(tokens: Iterable[Token]) -> str:
    words = {"softbreak": "\n", "hardbreak": "\n"}
    return "".join(words.get(token.type) or (token.content if token.type in ("text", "code_inline", "image") else "")
                   for token in tokens)
