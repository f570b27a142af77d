"""The handlers of the managed queue: ``taskspool work --queue managed`` loads them by itself.

What each type takes is a model in ``shapes_managed``, what it gives stands at its function here; docs/knowledge.md has
both. A payload that breaks a rule, and a file that cannot be read, end the task at once, in a sentence that says why;
what may pass (a file that is locked, a disk that is full) is tried again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from taskspool.errors import Conflict, InvalidRequest, NotFound, ServerUnreachable, StoreUnavailable
from taskspool.jobs import place
from taskspool.jobs.batches import run_batch
from taskspool.jobs.embedding import check_installed
from taskspool.jobs.health import health_of
from taskspool.jobs.opening import path_of, stamp_of
from taskspool.jobs.payloads import read_payload
from taskspool.jobs.prepared import (
    CHUNKS, EMBEDDINGS, Embedded, Prepared, chunks_of, file_of, read_chunks, read_embeddings,
)
from taskspool.jobs.stages import Tell, embed_chunks, embedded_by_client, kb_of, part_of, process, store
from taskspool.shapes_managed import (
    BatchProcessing, DocumentProcessing, EmbeddingGeneration, HealthCheck, KnowledgeIndexing, VectorStorage,
)
from taskspool.worker.handlers import GiveUp, Retry, Snooze, TaskContext, handler

Json = dict[str, Any]
Work = Callable[[Any, TaskContext], Json]
INLINE_BYTES = 131_072
"""What of chunks and vectors stands in a result itself; the whole is in the file the result names."""


def managed(work: Work) -> Work:
    """``work`` as a handler: not begun when its batch was cancelled, and errors told as a worker understands them."""
    @wraps(work)
    def wrapped(data: Any, context: TaskContext) -> Json:
        try:
            _leave_if_unwanted(context)
            return work(data, context)
        except (StoreUnavailable, ServerUnreachable) as error:
            raise Retry(None, error.message) from error
        except (Conflict, NotFound, InvalidRequest) as error:
            raise GiveUp(" - ".join(filter(None, (error.message, error.hint)))) from error

    return wrapped


def _leave_if_unwanted(context: TaskContext) -> None:
    """A part of a cancelled batch asks for its own end. Raises Snooze: given back, it ends as cancelled."""
    if context.parent is None:
        return
    parent = context.look([context.parent]).get(context.parent)
    if parent is not None and parent.state == "cancelled":
        context.cancel(context.task_id, f"its batch {context.parent} was cancelled")
        raise Snooze(0, "its batch was cancelled")


@handler("document_processing")
@managed
def document_processing(data: Any, context: TaskContext) -> Json:
    """-> ``{document_id, file, kind, characters, chunk_count, chunk_size, chunk_overlap, chunks_path, chunks:
    [{index, start, end, text}], chunks_are_complete}``, and what the reader knows: encoding, pages."""
    payload = read_payload(DocumentProcessing, data)
    prepared = process(payload, part_of(context, 0, 95))
    path = place.write_json(place.task_folder(context.task_id) / CHUNKS, prepared.as_json())
    return _bounded({**prepared.as_json(), "chunks_path": str(path)}, "chunks")


@handler("embedding_generation")
@managed
def embedding_generation(data: Any, context: TaskContext) -> Json:
    """-> ``{document_id, file, model, dimension, chunk_count, embeddings_path, embeddings: [{index, embedding}],
    embeddings_are_complete}``."""
    payload = read_payload(EmbeddingGeneration, data)
    check_installed()
    embedded = embed_chunks(_source(payload, context.task_id), part_of(context, 0, 95))
    path = place.write_json(place.task_folder(context.task_id) / EMBEDDINGS, embedded.as_json())
    chunks = embedded.prepared.chunks
    shown = [{"index": chunk.index, "embedding": [round(float(number), 6) for number in row]}
             for chunk, row in zip(chunks[:100], embedded.vectors[:100], strict=True)]
    return _bounded({**_summary(embedded), "embeddings_path": str(path), "embeddings": shown}, "embeddings")


def _source(payload: EmbeddingGeneration, task_id: str) -> Prepared:
    if payload.source_task_id is not None:
        return read_chunks(file_of(payload.source_task_id, CHUNKS))
    if payload.chunks_path is not None:
        return read_chunks(path_of(payload.chunks_path, None))
    if payload.chunks is not None:
        return Prepared(task_id, task_id, chunks_of(payload.chunks), {})
    texts = [{"text": text} for text in payload.texts or ()]
    return Prepared(task_id, task_id, chunks_of(read_payload(EmbeddingGeneration, {"chunks": texts}).chunks or []), {})


@handler("vector_storage")
@managed
def vector_storage(data: Any, context: TaskContext) -> Json:
    """-> ``{kb_id, document_id, file, model, dimension, chunk_count}``. The same document again takes its own place."""
    payload, kb_id = read_payload(VectorStorage, data), kb_of(context)
    check_installed()
    part_of(context, 0, 100)(0.1, "reading vectors")
    embedded = _vectors(payload, context.task_id)
    part_of(context, 0, 100)(0.5, f"storing {len(embedded.prepared.chunks)} vectors")
    store(kb_id, embedded, context.task_id)
    return {"kb_id": kb_id, **_summary(embedded)}


def _vectors(payload: VectorStorage, task_id: str) -> Embedded:
    if payload.chunks is not None:
        document_id = payload.document_id or task_id
        return embedded_by_client(document_id, payload.file_name or document_id, chunks_of(payload.chunks),
                                  [chunk.embedding for chunk in payload.chunks], payload.model)
    path = (file_of(payload.source_task_id, EMBEDDINGS) if payload.source_task_id is not None
            else path_of(payload.embeddings_path, None))
    found = read_embeddings(path)
    known = found.prepared
    prepared = Prepared(payload.document_id or known.document_id, payload.file_name or known.file, known.chunks,
                        known.facts)
    return Embedded(prepared, found.vectors, found.model)


@handler("knowledge_indexing")
@managed
def knowledge_indexing(data: Any, context: TaskContext) -> Json:
    """-> ``{kb_id, document_id, file, kind, characters, chunk_count, model, dimension, ...}``.

    After each stage what was made is on the disk and the checkpoint says so: an attempt that was cut short is gone on
    with, not begun again, as long as the file is the same.
    """
    payload, kb_id = read_payload(KnowledgeIndexing, data), kb_of(context)
    check_installed()
    folder = place.task_folder(context.task_id)
    stamp = stamp_of(path_of(payload.file_path, payload.upload_id))
    embedded = _resumed(context, stamp, folder, EMBEDDINGS, read_embeddings)
    if embedded is None:
        prepared = _resumed(context, stamp, folder, CHUNKS, read_chunks)
        if prepared is None:
            prepared = process(payload, part_of(context, 0, 35))
            place.write_json(folder / CHUNKS, prepared.as_json())
            context.checkpoint({"made": [CHUNKS], "stamp": stamp})
        embedded = embed_chunks(prepared, part_of(context, 35, 90))
        place.write_json(folder / EMBEDDINGS, embedded.as_json())
        context.checkpoint({"made": [CHUNKS, EMBEDDINGS], "stamp": stamp})
    tell: Tell = part_of(context, 90, 100)
    tell(0.0, f"storing {len(embedded.prepared.chunks)} chunks")
    store(kb_id, embedded, context.task_id)
    shutil.rmtree(folder, ignore_errors=True)  # all of it is in the knowledge base now
    return {"kb_id": kb_id, **embedded.prepared.facts, **_summary(embedded)}


def _resumed(context: TaskContext, stamp: str, folder: Path, name: str, read: Callable[[Path], Any]) -> Any:
    """What an earlier attempt left under ``name``; None: nothing that is still true."""
    kept = context.previous_checkpoint
    if not isinstance(kept, dict) or kept.get("stamp") != stamp or name not in kept.get("made", ()):
        return None
    if not (folder / name).is_file():  # another machine's, or cleared away
        return None
    context.log(f"going on with {name} of an earlier attempt")
    return read(folder / name)


@handler("batch_processing")
@managed
def batch_processing(data: Any, context: TaskContext) -> Json:
    """-> ``{total, completed, failed, cancelled, missing, parts: [{index, task_type, task_id, state, error}]}``."""
    return run_batch(read_payload(BatchProcessing, data), context)


@handler("health_check")
@managed
def health_check(data: Any, context: TaskContext) -> Json:
    """-> ``{status: healthy|degraded|unhealthy, worker, checks: {name: {is_ok, detail}}}``."""
    payload = read_payload(HealthCheck, data)
    return {"worker": context.worker, **health_of(payload.checks, context.group)}


def _summary(embedded: Embedded) -> Json:
    prepared = embedded.prepared
    return {"document_id": prepared.document_id, "file": prepared.file, "model": embedded.model,
            "dimension": int(embedded.vectors.shape[1]), "chunk_count": len(prepared.chunks)}


def _bounded(result: Json, name: str) -> Json:
    """``result`` with as many of the first items under ``name`` as a result may hold."""
    limit = min(INLINE_BYTES, place.settings().max_task_bytes // 2)
    shown: list[Any] = []
    for item in result[name]:
        limit -= len(json.dumps(item, ensure_ascii=False).encode("utf-8", "replace")) + 1
        if limit < 0:
            break
        shown.append(item)
    return {**result, name: shown, f"{name}_are_complete": len(shown) == result["chunk_count"]}
