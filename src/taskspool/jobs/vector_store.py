"""A knowledge base: chunks and their vectors in one SQLite file, searched exactly.

A document is written in one transaction: it is there with all its chunks, or as it was before. Storing it again takes
its place, so a task that is tried again stores nothing twice. Any number of processes may write at once: one after the
other, and each waits for its turn. Vectors are half floats; a search compares with every one of them.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from taskspool.clock import SystemClock, to_text
from taskspool.engine import files
from taskspool.errors import Conflict, NotFound, StoreUnavailable
from taskspool.jobs.chunking import Chunk
from taskspool.jobs.embedding import of_length_one
from taskspool.jobs.place import settle

if TYPE_CHECKING:
    from taskspool.jobs.embedding import Vector, Vectors

BUSY_SECONDS = 30.0
ROWS_AT_ONCE = 8_192
PAGE_BYTES = 16_384
"""Of the usual 4096 a vector of 2 KiB would waste nearly half."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (kb_id TEXT NOT NULL, model TEXT NOT NULL, dimension INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS documents (
    id INTEGER PRIMARY KEY, document_id TEXT NOT NULL UNIQUE, file TEXT NOT NULL, task_id TEXT NOT NULL,
    stored_at TEXT NOT NULL, chunk_count INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, document INTEGER NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
    number INTEGER NOT NULL, start INTEGER NOT NULL, "end" INTEGER NOT NULL, text TEXT NOT NULL,
    UNIQUE (document, number));
CREATE TABLE IF NOT EXISTS vectors (
    chunk INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE, vector BLOB NOT NULL);
"""
"""Vectors lie beside the texts and not among them: a search reads the ones without the others."""


@dataclass(frozen=True, slots=True)
class Found:
    """A chunk that a search found, and where. ``score``: the cosine, 1 is the same."""

    chunk: Chunk
    document_id: str
    file: str
    score: float


@dataclass(frozen=True, slots=True)
class About:
    """What a knowledge base holds."""

    kb_id: str
    model: str
    dimension: int
    documents: int
    chunks: int


class KnowledgeBase:
    """The file at ``path``. Raises StoreUnavailable when SQLite cannot do it now: the same may be done again."""

    def __init__(self, path: Path, kb_id: str) -> None:
        self._path = path
        self._kb_id = kb_id

    def store(self, document_id: str, file: str, task_id: str, chunks: Sequence[Chunk], vectors: Vectors, *,
              model: str) -> int:
        """Put a document in the place of what was stored under its id; how many chunks it has.

        Raises Conflict when the knowledge base was made with another model.
        """
        import numpy as np  # noqa: PLC0415 - only a worker that stores loads it

        rows = np.ascontiguousarray(of_length_one(np.asarray(vectors, np.float32)), dtype="<f2")
        stored_at = to_text(SystemClock().now())
        self._make()
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            self._fit(database, model, rows.shape[1])
            database.execute("DELETE FROM documents WHERE document_id = ?", [document_id])
            row = database.execute(
                "INSERT INTO documents (document_id, file, task_id, stored_at, chunk_count) VALUES (?, ?, ?, ?, ?)",
                [document_id, file, task_id, stored_at, len(chunks)]).lastrowid
            for chunk, vector in zip(chunks, rows, strict=True):
                made = database.execute(
                    'INSERT INTO chunks (document, number, start, "end", text) VALUES (?, ?, ?, ?, ?)',
                    [row, chunk.index, chunk.start, chunk.end, chunk.text]).lastrowid
                database.execute("INSERT INTO vectors VALUES (?, ?)", [made, vector.tobytes()])
            database.execute("COMMIT")  # from here on it is there
        return len(chunks)

    def _make(self) -> None:
        """The file, with empty tables, if it is not there: made beside and linked, so that two who come first do not
        meet in a file that is half made."""
        if self._path.exists():
            return
        files.make_folder(str(self._path.parent))
        beside = self._path.with_name(f".{uuid.uuid4().hex}.sqlite")
        try:
            with closing(sqlite3.connect(beside)) as database:
                database.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                database.execute("PRAGMA journal_mode = WAL")
                database.executescript(_SCHEMA)
            files.publish(str(beside), str(self._path))  # from here on it is there
            settle(self._path.parent)
        except FileExistsError:
            pass  # another was first: theirs is as good
        finally:
            beside.unlink(missing_ok=True)

    def _fit(self, database: sqlite3.Connection, model: str, dimension: int) -> None:
        """The first document says which model; all others have the same."""
        known = database.execute("SELECT model, dimension FROM about").fetchone()
        if known is None:
            database.execute("INSERT INTO about VALUES (?, ?, ?)", [self._kb_id, model, dimension])
        elif tuple(known) != (model, dimension):
            raise Conflict(f"the knowledge base {self._kb_id} has vectors of {known[0]} with {known[1]} numbers, these "
                           f"are of {model} with {dimension}", hint="use another kb_id for them")

    def about(self) -> About:
        """Raises NotFound."""
        with self._reading() as database:
            kb_id, model, dimension = database.execute("SELECT kb_id, model, dimension FROM about").fetchone()
            documents, chunks = database.execute(
                "SELECT count(*), coalesce(sum(chunk_count), 0) FROM documents").fetchone()
            return About(kb_id, model, dimension, documents, chunks)

    def search(self, vector: Vector, top: int) -> list[Found]:
        """The ``top`` chunks that are nearest, best first; of equals the one stored first. Raises NotFound."""
        with self._reading() as database:
            return [self._found(database, chunk, score) for chunk, score in _nearest(database, vector, top)]

    def _found(self, database: sqlite3.Connection, chunk: int, score: float) -> Found:
        number, start, end, text, document_id, file = database.execute(
            'SELECT number, start, "end", text, document_id, file FROM chunks JOIN documents '
            "ON documents.id = document WHERE chunks.id = ?", [chunk]).fetchone()
        return Found(Chunk(number, start, end, text), document_id, file, score)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """One state of the knowledge base, whoever writes meanwhile."""
        if not self._path.exists():
            raise _no_such(self._kb_id)
        with self._open() as database:
            database.execute("BEGIN")
            if not database.execute("SELECT 1 FROM about").fetchone():
                raise _no_such(self._kb_id)
            yield database

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            database = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                database.execute("PRAGMA synchronous = FULL")
                database.execute("PRAGMA foreign_keys = ON")
                yield database
            finally:
                database.close()  # what was not committed is undone
        except sqlite3.OperationalError as error:
            raise StoreUnavailable(f"the knowledge base {self._kb_id} cannot be used now: {error}") from error
        except sqlite3.DatabaseError as error:
            raise Conflict(f"the knowledge base {self._kb_id} is damaged: {error}",
                           hint=f"move {self._path} away and store its documents again") from error


def _nearest(database: sqlite3.Connection, vector: Vector,
             top: int) -> list[tuple[int, float]]:
    """(chunk, cosine) of the best, read in portions: the memory needed does not grow with the knowledge base."""
    import numpy as np  # noqa: PLC0415 - as above

    asked = of_length_one(np.asarray(vector, np.float32).reshape(1, -1))[0]
    best: list[tuple[int, float]] = []
    cursor = database.execute("SELECT chunk, vector FROM vectors ORDER BY chunk")
    while rows := cursor.fetchmany(ROWS_AT_ONCE):
        matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f2").reshape(len(rows), -1)
        scores = matrix.astype(np.float32) @ asked
        likely = np.argsort(-scores, kind="stable")[:top]
        best += [(rows[place][0], float(scores[place])) for place in likely]
        best = sorted(best, key=lambda each: -each[1])[:top]
    return best


def _no_such(kb_id: str) -> NotFound:
    return NotFound(f"there is no knowledge base {kb_id} here", hint="store something first: a knowledge_indexing task")
