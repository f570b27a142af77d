"""What becomes of a document: read and cut, embedded, stored. Each stage is a function; tasks are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskspool.jobs import place
from taskspool.jobs.chunking import Chunk, TooManyChunks, cut
from taskspool.jobs.documents import read_document
from taskspool.jobs.embedding import DIMENSION, MODEL, check_installed, embed
from taskspool.jobs.opening import path_of
from taskspool.jobs.prepared import Embedded, Prepared
from taskspool.jobs.vector_store import KnowledgeBase
from taskspool.shapes_managed import DocumentPayload
from taskspool.worker.handlers import GiveUp, TaskContext

TEXTS_AT_ONCE = 32
CHUNKS_PER_LOOK = 500

Tell = Callable[[float, str], None]
"""Told how much of a stage is done, 0..1, and with what words; raises when the task is to stop."""


def part_of(context: TaskContext, low: float, high: float) -> Tell:
    """A stage that fills ``low``..``high`` percent of the task."""
    def tell(done: float, words: str) -> None:
        context.raise_if_cancelled()
        context.progress(low + (high - low) * done, words)

    return tell


def process(payload: DocumentPayload, tell: Tell) -> Prepared:
    """Read the file and cut it. Raises GiveUp and Retry, naming the file."""
    path = path_of(payload.file_path, payload.upload_id)
    name = payload.file_name or path.name
    tell(0.0, f"reading {name}")
    document = read_document(path, name, lambda done: tell(0.7 * done, f"reading {name}"))
    chunks: list[Chunk] = []
    try:
        for chunk in cut(document.text, payload.chunk_size, payload.overlap):
            chunks.append(chunk)
            if chunk.index % CHUNKS_PER_LOOK == 0:
                tell(0.7 + 0.3 * chunk.end / len(document.text), f"cutting {name}")
    except TooManyChunks as error:
        raise GiveUp(f"{name}: {error}") from error
    tell(1.0, f"{name}: {len(chunks)} chunks")
    facts = {"kind": document.kind, **document.facts, "characters": len(document.text),
             "chunk_size": payload.chunk_size, "chunk_overlap": payload.overlap}
    return Prepared(payload.document_id or str(path), name, chunks, facts)


def embed_chunks(prepared: Prepared, tell: Tell) -> Embedded:
    """Vectors by our own model. Raises GiveUp when it is not installed."""
    check_installed()
    import numpy as np  # noqa: PLC0415 - only a worker that embeds loads it

    texts, parts = [chunk.text for chunk in prepared.chunks], []
    for at in range(0, len(texts), TEXTS_AT_ONCE):
        tell(at / len(texts), f"embedding chunk {at + 1} of {len(texts)}")
        parts.append(embed(texts[at:at + TEXTS_AT_ONCE]))
    return Embedded(prepared, np.concatenate(parts), MODEL)


def store(kb_id: str, embedded: Embedded, task_id: str) -> int:
    """Put the document into the knowledge base; its number of chunks. Raises StoreUnavailable, Conflict."""
    prepared = embedded.prepared
    base = KnowledgeBase(place.knowledge_path(place.settings().root, kb_id), kb_id)
    return base.store(prepared.document_id, prepared.file, task_id, prepared.chunks, embedded.vectors,
                      model=embedded.model)


def kb_of(context: TaskContext) -> str:
    """The knowledge base the task belongs to. Raises GiveUp."""
    if not context.group:
        raise GiveUp("the task has no kb_id (its group): it says which knowledge base is meant")
    return context.group


def embedded_by_client(document_id: str, file: str, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]],
                       model: str | None) -> Embedded:
    """Vectors that came with a payload. Raises GiveUp: not all are of one length."""
    check_installed()
    import numpy as np  # noqa: PLC0415 - as above

    lengths = {len(vector) for vector in vectors}
    if len(lengths) != 1:
        raise GiveUp(f"payload: chunks: embeddings must all have the same length, not {sorted(lengths)}")
    length = lengths.pop()
    if model == MODEL and length != DIMENSION:
        raise GiveUp(f"payload: model: vectors of {MODEL} have {DIMENSION} numbers, not {length}")
    made_by = model or (MODEL if length == DIMENSION else f"unnamed-{length}")
    return Embedded(Prepared(document_id, file, chunks, {}), np.asarray(vectors, np.float32), made_by)
