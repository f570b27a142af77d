"""A document on its way into a knowledge base: cut into chunks, then with vectors; in memory, and as files between
tasks."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from taskspool.jobs import place
from taskspool.jobs.chunking import Chunk
from taskspool.jobs.opening import MAX_DOCUMENT_BYTES, read_file
from taskspool.jobs.payloads import read_payload
from taskspool.shapes_managed import MAX_DIMENSION, Payload, TextChunk
from taskspool.worker.handlers import GiveUp

if TYPE_CHECKING:
    from taskspool.jobs.embedding import Vectors

CHUNKS, EMBEDDINGS = "chunks.json", "embeddings.json"
MAX_FILE_BYTES = 10 * MAX_DOCUMENT_BYTES
"""Of what our own tasks wrote: texts with their vectors are larger than the texts."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The chunks of one document. ``facts``: what is known of where they come from."""

    document_id: str
    file: str
    chunks: Sequence[Chunk]
    facts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"document_id": self.document_id, "file": self.file, **self.facts, "chunk_count": len(self.chunks),
                "chunks": [chunk_json(chunk) for chunk in self.chunks]}


@dataclass(frozen=True, slots=True)
class Embedded:
    """The same with a vector for each chunk, made by ``model``."""

    prepared: Prepared
    vectors: Vectors
    model: str

    def as_json(self) -> dict[str, Any]:
        vectors = [base64.b64encode(row.tobytes()).decode() for row in self.vectors.astype("<f2")]
        body = self.prepared.as_json()
        chunks = [{**chunk, "vector": vector} for chunk, vector in zip(body["chunks"], vectors, strict=True)]
        return {**body, "model": self.model, "dimension": self.vectors.shape[1], "chunks": chunks}


def chunk_json(chunk: Chunk) -> dict[str, Any]:
    return {"index": chunk.index, "start": chunk.start, "end": chunk.end, "text": chunk.text}


def chunks_of(given: Sequence[TextChunk]) -> list[Chunk]:
    """Chunks as a payload or a file says them; what they do not say follows from their place and their text.

    Raises GiveUp: two have the same index.
    """
    chunks = [Chunk(number if each.index is None else each.index, each.start,
                    each.start + len(each.text) if each.end is None else each.end, each.text)
              for number, each in enumerate(given)]
    if len({chunk.index for chunk in chunks}) != len(chunks):
        raise GiveUp("payload: chunks: two have the same index")
    return chunks


class _ChunksFile(Payload):
    document_id: str
    file: str
    chunks: list[TextChunk]


class _VectorText(TextChunk):
    vector: str


class _EmbeddingsFile(Payload):
    document_id: str
    file: str
    model: str
    dimension: int = Field(ge=1, le=MAX_DIMENSION)
    chunks: list[_VectorText]


def read_chunks(path: Path) -> Prepared:
    """What document_processing wrote. Raises GiveUp and Retry."""
    body, facts = _read(path)
    found = _told(path, lambda: read_payload(_ChunksFile, body))
    return Prepared(found.document_id, found.file, chunks_of(found.chunks), facts)


def read_embeddings(path: Path) -> Embedded:
    """What embedding_generation wrote. Raises GiveUp and Retry."""
    import numpy as np  # noqa: PLC0415 - only a worker that has vectors loads it

    body, facts = _read(path)
    found = _told(path, lambda: read_payload(_EmbeddingsFile, body))
    try:
        numbers = np.frombuffer(b"".join(base64.b64decode(each.vector, validate=True) for each in found.chunks), "<f2")
        vectors = numbers.reshape(len(found.chunks), found.dimension).astype(np.float32)
        if not np.isfinite(vectors).all():
            raise ValueError("some are no numbers")
    except (ValueError, binascii.Error) as error:
        raise GiveUp(f"{path}: its vectors are broken: {error}") from error
    return Embedded(Prepared(found.document_id, found.file, chunks_of(found.chunks), facts), vectors, found.model)


def file_of(task_id: str, name: str) -> Path:
    """Where the task left the file ``name``. Raises GiveUp when it left none here."""
    path = place.task_folder(task_id) / name
    if not path.is_file():
        what = "chunks: it is no document_processing task" if name == CHUNKS else (
            "vectors: it is no embedding_generation task")
        raise GiveUp(f"source_task_id: task {task_id} left no {what} that has ended here")
    return path


def _read(path: Path) -> tuple[Any, dict[str, Any]]:
    content = read_file(path, MAX_FILE_BYTES)
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise GiveUp(f"{path}: this is no JSON: {error}") from error
    known = ("kind", "encoding", "encoding_is_guessed", "pages", "paragraphs", "characters", "chunk_size",
             "chunk_overlap")
    return body, {name: body[name] for name in known if name in body} if isinstance(body, dict) else {}


def _told(path: Path, reading: Callable[[], Any]) -> Any:
    try:
        return reading()
    except GiveUp as error:
        raise GiveUp(f"{path}: this was not written by a task of ours: {error}") from error
