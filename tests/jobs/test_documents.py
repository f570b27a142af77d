"""Documents of every kind become text; what is none is refused in a sentence that names the file."""

from __future__ import annotations

import io
import random
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from jobs import making
from taskspool.jobs import reading_docx
from taskspool.jobs.documents import Document, read_document
from taskspool.worker.handlers import GiveUp

BOMB = making.archive(word__document_xml=b"<a/>", word__media__x_bin=b"\0" * 3_000_000)
MARKDOWN = b"""# Title

Some **bold** [link](http://x) and `code`
next

- one
- two

| a | b |
|---|---|
| 1 | 2 |

```
x = 1
```
<div>raw <b>html</b></div>
"""
ENTITIES = making.archive(word__document_xml=b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>')
_DEFLATED = making.archive(word__document_xml=b"<a/>" * 100)
TORN = _DEFLATED.replace(_DEFLATED[47:57], b"\xff" * 10)
"""A whole list of contents, and a first entry that does not unpack."""


def packed_otherwise() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("word/document.xml", b"<a/>")
    return out.getvalue()


def read(folder: Path, name: str, content: bytes) -> Document:
    path = folder / name
    path.write_bytes(content)
    return read_document(path, name)


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("name", "content", "kind", "text", "facts"), [
    ("a.txt", "Grüße\r\n핑\x00\n".replace("\x00", "").encode(), "text", "Grüße\n핑\n", {"encoding": "utf-8"}),
    ("a.txt", b"\xef\xbb\xbfa", "text", "a", {"encoding": "utf-8-sig", "encoding_is_guessed": False}),
    ("a.txt", "é핑".encode("utf-16"), "text", "é핑", {"encoding": "utf-16"}),
    ("a.txt", "é핑".encode("utf-32"), "text", "é핑", {"encoding": "utf-32"}),
    ("korean.txt", ("안녕하세요. 장치를 초기화하려면 전원 버튼을 누르십시오. " * 4).encode("cp949"), "text",
     "안녕하세요. 장치를 초기화하려면 전원 버튼을 누르십시오. " * 4,
     {"encoding": "cp949", "encoding_is_guessed": True}),
    ("without-suffix", b"plain", "text", "plain", {}),
    ("a.md", MARKDOWN, "markdown",
     "Title\n\nSome bold link and code\nnext\n\none\n\ntwo\n\na\n\nb\n\n1\n\n2\n\nx = 1\n\nraw html", {}),
    ("a.html", making.html("T", ["Hello <b>big</b>  world<br>two", "<!-- no -->&lt;b&gt;"]), "html",
     "T\n\nHello big world\ntwo\n\n<b>", {"encoding": "utf-8"}),
    ("page", making.html("T", ["x"]), "html", "T\n\nx", {}),
    ("old.htm", "<meta charset=windows-1251><p>Привет".encode("cp1251"), "html", "Привет",
     {"encoding": "cp1251", "encoding_is_guessed": False}),
    ("late.html", b"<p>a<!-- x -->b<svg><title>no</title></svg>c<pre>d  e</pre>f<?x y?>g", "html",
     "abc\n\nd  e\n\nfg", {}),
    ("a.pdf", making.pdf(["First (page)", "Second\nline"]), "pdf", "First (page)\n\nSecond\nline", {"pages": 2}),
    ("misnamed.txt", making.pdf(["x"]), "pdf", "x", {}),
    ("a.docx", making.word(["One", "", "Two"], [["a", "b"]]), "docx", "One\n\nTwo\n\na\n\nb", {"paragraphs": 5}),
])
def test_each_kind_is_read(tmp_path: Path, name: str, content: bytes, kind: str, text: str,
                           facts: dict[str, Any]) -> None:
    """The text as a reader sees it, the kind by its content, and what is known of the encoding and the pages."""
    document = read(tmp_path, name, content)
    assert (document.kind, document.text) == (kind, text)
    assert facts.items() <= document.facts.items()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("name", "content", "says"), [
    ("a.txt", b"", "the file is empty"),
    ("a.txt", b" \n\t ", "there is no text in it"),
    ("a.bin", b"ab\x00\x01cd", "zero bytes"),
    ("a.png", b"\x89PNG\r\n", "a picture (PNG)"),
    ("a.doc", b"\xd0\xcf\x11\xe0\xa1\xb1", "save it as DOCX without a password"),
    ("a.pdf", b"no pdf at all", "is named .pdf, but is no PDF"),
    ("a.pdf", making.pdf(["x"])[:200], "broken PDF"),
    ("a.pdf", making.pdf([""]), "a scanned page is a picture"),
    ("a.pdf", making.encrypted_pdf("x", "secret"), "a password is needed"),
    ("a.docx", b"no docx", "is named .docx, but is no DOCX"),
    ("a.docx", b"PK\x03\x04 broken", "broken or encrypted ZIP archive"),
    ("a.zip", making.archive(a_txt=b"x"), "a ZIP archive, but no DOCX"),
    ("a.docx", making.archive(word__document_xml=b"<a>"), "broken DOCX"),
    ("a.docx", BOMB, "swells more than 200 times"),
    ("a.docx", ENTITIES, "declares entities"),
    ("a.docx", TORN, "broken or encrypted ZIP archive"),
    ("a.docx", packed_otherwise(), "a way that DOCX does not have"),
])
def test_what_cannot_be_read_is_refused_for_good(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    """Broken, encrypted, empty, trapped and foreign files fail at once: the message names the file and the reason."""
    with pytest.raises(GiveUp) as caught:
        read(tmp_path, name, content)
    assert name in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.usefixtures("root")
def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that only few files of a kind need: another attempt would miss it too."""
    monkeypatch.setitem(sys.modules, "charset_normalizer", None)
    with pytest.raises(GiveUp, match=r"a\.txt: this worker cannot read text: charset_normalizer is not installed; pip"):
        read(tmp_path, "a.txt", b"\xb0\xa1\xb0\xa1")


@pytest.mark.usefixtures("root")
def test_an_archive_of_many_files_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of files and the size of all of them have limits of their own."""
    content = making.word(["x"])
    monkeypatch.setattr(reading_docx, "MAX_ENTRIES", 3)
    with pytest.raises(GiveUp, match="files in its archive are more than the 3 allowed"):
        read(tmp_path, "a.docx", content)
    monkeypatch.setattr(reading_docx, "MAX_ENTRIES", 100)
    monkeypatch.setattr(reading_docx, "MAX_UNPACKED_BYTES", 1000)
    with pytest.raises(GiveUp, match="more than the 1000 allowed"):
        read(tmp_path, "a.docx", content)


@pytest.mark.usefixtures("root")
def test_deep_html_and_deep_markdown_are_read(tmp_path: Path) -> None:
    """Nesting has no end for a stranger, and must have none for us."""
    assert "x" in read(tmp_path, "a.html", b"<div>" * 20_000 + b"x").text
    assert "x" in read(tmp_path, "a.md", b"> " * 60 + b"x\n\n" + b"> " * 5_000 + b"y").text


def spoiled(content: bytes, chance: random.Random) -> bytes:
    """``content`` with some bytes changed, doubled, left out."""
    body = bytearray(content)
    for _ in range(chance.choice([1, 3, 10, 50])):
        at = chance.randrange(len(body))
        match chance.randrange(4):
            case 0:
                body[at] = chance.randrange(256)
            case 1:
                body[at:at + chance.randrange(1, 30)] = b""
            case 2:
                body[at:at] = body[chance.randrange(len(body)):][:chance.randrange(1, 100)]
            case _:
                body[at:at + 1] = chance.choice([b"99999999999", b"-1", b"0 0 R", b"<<", b"[[[[[", b"\0"])
        body = body or bytearray(b"x")
    return bytes(body)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("name", "content"), [
    ("a.pdf", making.pdf(["The quick brown fox. " * 20] * 3)),
    ("a.docx", making.word(["word " * 30] * 9, [["a", "b"]])),
    ("a.html", making.html("T", ["word " * 20] * 9)), ("a.md", MARKDOWN * 9), ("a.txt", "é핑".encode("utf-16") * 99)],
    ids=["pdf", "docx", "html", "md", "txt"])
def test_a_spoiled_document_is_read_or_refused(tmp_path: Path, name: str, content: bytes) -> None:
    """200 of each kind: a text, or a refusal that names the file; never another error, which would be tried again."""
    chance, refusals = random.Random(8084), list[str]()
    for _ in range(200):
        try:
            read(tmp_path, name, spoiled(content, chance))
        except GiveUp as error:
            refusals.append(str(error))
    assert all(name in refusal for refusal in refusals)
    assert len(refusals) < 200 or name == "a.docx", "what is spoiled so little is now and then read"
