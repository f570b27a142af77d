"""Whether a worker of this place can do its work: each check does a little of what it is about."""

from __future__ import annotations

import importlib.util
import sqlite3
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

from taskspool.engine import files
from taskspool.engine.disk import room_of
from taskspool.errors import NotFound, TaskspoolError
from taskspool.jobs import documents, embedding, place
from taskspool.jobs.vector_store import KnowledgeBase

READERS = ("pypdf", "docx", "lxml", "markdown_it", "charset_normalizer")


class _Wrong(Exception):
    """A check did not hold, and why."""


def health_of(wanted: Sequence[str] | None, kb_id: str | None) -> dict[str, Any]:
    """``{status, checks: {name: {is_ok, detail}}}``. ``degraded``: only packages are missing that some types need."""
    checks = {name: _told(check, kb_id) for name, check in CHECKS.items() if wanted is None or name in wanted}
    wrong = {name for name, told in checks.items() if not told["is_ok"]}
    status = "healthy" if not wrong else "degraded" if wrong <= {"documents", "model"} else "unhealthy"
    return {"status": status, "checks": checks}


def _told(check: Callable[[str | None], str], kb_id: str | None) -> dict[str, Any]:
    try:
        return {"is_ok": True, "detail": check(kb_id)}
    except (_Wrong, TaskspoolError, OSError, sqlite3.Error) as error:
        return {"is_ok": False, "detail": str(error)}


def _folder(_kb_id: str | None) -> str:
    """A file can be written, read back and removed."""
    folder = place.data_folder()
    files.make_folder(str(folder))
    path, content = str(folder / f".health.{uuid.uuid4().hex}"), uuid.uuid4().bytes
    files.write_new(path, content, sync=True)
    try:
        if files.read(path, 100)[0] != content:
            raise _Wrong(f"{folder}: what is read is not what was written")
    finally:
        files.discard(path)
    return f"{folder} can be written"


def _disk(_kb_id: str | None) -> str:
    settings = place.settings()
    files.make_folder(str(settings.root.absolute()))
    room = room_of(str(settings.root.absolute()), settings.min_free_bytes)
    told = f"{room.free_bytes} bytes are free, new tasks are refused below {room.mark_bytes}"
    if room.is_low:
        raise _Wrong(told)
    return told


def _index(_kb_id: str | None) -> str:
    """The queue's index can be read; a worker over HTTP has none beside it."""
    path = place.settings().folder.absolute() / "index.sqlite"
    if not path.is_file():
        return "no queue lies here: this worker works over HTTP"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
        count = database.execute("SELECT count(*) FROM tasks").fetchone()[0]
    return f"{count} tasks"


def _documents(_kb_id: str | None) -> str:
    missing = [name for name in READERS if importlib.util.find_spec(name) is None]
    if missing:
        raise _Wrong(f"not installed: {', '.join(missing)}; {documents.INSTALL}")
    return "text, markdown, html, pdf, docx"


def _model(_kb_id: str | None) -> str:
    """It is there, and embeds."""
    if missing := embedding.missing_package():
        raise _Wrong(f"not installed: {missing}; {embedding.INSTALL}")
    return f"{embedding.MODEL}: {embedding.embed(['health']).shape[1]} numbers"


def _vectors(kb_id: str | None) -> str:
    """The knowledge base of the task can be read, if there is one."""
    if not kb_id:
        return "the task names no knowledge base"
    try:
        about = KnowledgeBase(place.knowledge_path(place.settings().root, kb_id), kb_id).about()
    except NotFound:
        return f"{kb_id} is not there yet"
    return f"{kb_id}: {about.chunks} chunks of {about.documents} documents"


CHECKS: Mapping[str, Callable[[str | None], str]] = {
    "folder": _folder, "disk": _disk, "index": _index, "documents": _documents, "model": _model, "vectors": _vectors,
}
