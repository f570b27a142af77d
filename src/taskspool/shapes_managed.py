"""The payloads of the six managed task types, as models: what the workers take, and the managed door documents.

Keys that are null count as absent, and keys nobody knows are let be: clients in the field send both (contract 8084).
The knowledge base is not part of a payload: it is the task's ``kb_id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_CHUNK_CHARS = 100_000
DEFAULT_CHUNK_CHARS = 1_000
DEFAULT_OVERLAP_CHARS = 200
MAX_TEXTS = 100_000
MAX_PARTS = 1_000
MAX_DIMENSION = 8_192

VECTOR_LIMIT = 1e15
"""Squares of larger numbers do not fit: such a vector would have no length, and no search would find it."""

VectorNumber = Annotated[float, Field(ge=-VECTOR_LIMIT, le=VECTOR_LIMIT, allow_inf_nan=False)]
TaskType = Literal["document_processing", "embedding_generation", "vector_storage", "knowledge_indexing",
                   "batch_processing", "health_check"]
Path = Annotated[str, Field(min_length=1, max_length=4_096, pattern=r"^[^\x00]+$")]
TaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
UploadId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""As POST /api/v1/uploads/* gives them: no dashes."""
Name = Annotated[str, Field(min_length=1, max_length=1_024)]


class Payload(BaseModel):
    """Exact types (no "3" for 3); what is null is absent; unknown keys are let be."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        return {key: each for key, each in value.items() if each is not None} if isinstance(value, Mapping) else value


AnyPayload = TypeVar("AnyPayload", bound=Payload)


class DocumentPayload(Payload):
    """A file, and how it is cut. One of ``file_path`` and ``upload_id`` names it; the path wins."""

    file_path: Annotated[Path | None, Field(description="absolute path of the file, as the worker sees it")] = None
    upload_id: Annotated[UploadId | None, Field(description="id of an upload, instead of a path")] = None
    file_name: Annotated[Name | None, Field(description="the name to show; else the last part of the path")] = None
    document_id: Annotated[Name | None, Field(
        description="what the document is stored under in its knowledge base: a later one with the same id takes its "
                    "place; else the path")] = None
    chunk_size: Annotated[int, Field(ge=1, le=MAX_CHUNK_CHARS, description="longest chunk, in characters")] = (
        DEFAULT_CHUNK_CHARS)
    chunk_overlap: Annotated[int | None, Field(
        ge=0, lt=MAX_CHUNK_CHARS, description="characters that a chunk repeats of the one before, less than "
        f"chunk_size; else {DEFAULT_OVERLAP_CHARS}, or half of chunk_size if that is less")] = None

    @model_validator(mode="after")
    def _is_possible(self) -> DocumentPayload:
        if self.file_path is None and self.upload_id is None:
            raise ValueError("must name a file: file_path, or upload_id")
        if self.chunk_overlap is not None and self.chunk_overlap >= self.chunk_size:
            raise ValueError(f"chunk_overlap ({self.chunk_overlap}) must be less than chunk_size ({self.chunk_size})")
        return self

    @property
    def overlap(self) -> int:
        """Characters that a chunk repeats of the one before it. Of a small chunk half: with less than that left to
        add, who asks for small chunks alone would get one for nearly every character."""
        return min(DEFAULT_OVERLAP_CHARS, self.chunk_size // 2) if self.chunk_overlap is None else self.chunk_overlap


class DocumentProcessing(DocumentPayload):
    """Read a text, Markdown, HTML, PDF or DOCX file and cut it into chunks."""


class KnowledgeIndexing(DocumentPayload):
    """Read a file, cut it, embed the chunks and store them in the knowledge base of the task."""


class TextChunk(Payload):
    """A piece of text; ``start`` and ``end`` say where it stands in its document, in characters."""

    text: Annotated[str, Field(max_length=MAX_CHUNK_CHARS)]
    index: Annotated[int | None, Field(ge=0, description="its number in the document; else its place here")] = None
    start: Annotated[int, Field(ge=0)] = 0
    end: Annotated[int | None, Field(ge=0, description="else start plus its length")] = None


class VectorChunk(TextChunk):
    """A piece of text with its vector."""

    embedding: Annotated[list[VectorNumber], Field(min_length=1, max_length=MAX_DIMENSION, strict=False)]


class EmbeddingGeneration(Payload):
    """Make vectors of texts. Exactly one of ``texts``, ``chunks``, ``chunks_path`` and ``source_task_id`` says of
    which."""

    texts: Annotated[list[Annotated[str, Field(max_length=MAX_CHUNK_CHARS)]] | None,
                     Field(min_length=1, max_length=MAX_TEXTS)] = None
    chunks: Annotated[list[TextChunk] | None, Field(min_length=1, max_length=MAX_TEXTS)] = None
    chunks_path: Annotated[Path | None, Field(description="what document_processing gave under this name")] = None
    source_task_id: Annotated[TaskId | None, Field(description="the document_processing task that made the chunks")] = (
        None)

    @model_validator(mode="after")
    def _has_one_source(self) -> EmbeddingGeneration:
        return _with_one(self, "texts", "chunks", "chunks_path", "source_task_id")


class VectorStorage(Payload):
    """Keep vectors in the knowledge base of the task. Exactly one of ``chunks``, ``embeddings_path`` and
    ``source_task_id`` says which."""

    chunks: Annotated[list[VectorChunk] | None, Field(min_length=1, max_length=MAX_TEXTS)] = None
    embeddings_path: Annotated[Path | None, Field(description="what embedding_generation gave under this name")] = None
    source_task_id: Annotated[TaskId | None, Field(description="the embedding_generation task that made them")] = None
    document_id: Annotated[Name | None, Field(description="what they are stored under; else the document they come "
                                                          "from, else the task")] = None
    file_name: Annotated[Name | None, Field(description="the name a search shows")] = None
    model: Annotated[Name | None, Field(description="what made the vectors in chunks, if it was not our model")] = None

    @model_validator(mode="after")
    def _has_one_source(self) -> VectorStorage:
        return _with_one(self, "chunks", "embeddings_path", "source_task_id")


class Part(Payload):
    """One task of a batch."""

    task_type: TaskType
    payload: dict[str, Any] = {}
    priority: Literal["low", "normal", "high", "critical"] | None = None
    max_retries: Annotated[int, Field(ge=0, le=100)] = 3
    timeout: Annotated[int, Field(ge=1, le=86_400, description="seconds one attempt may take")] = 300


class BatchProcessing(Payload):
    """Do many tasks as one: ``tasks`` says each, ``file_paths`` is short for a task of ``task_type`` for each file."""

    tasks: Annotated[list[Part] | None, Field(min_length=1, max_length=MAX_PARTS)] = None
    file_paths: Annotated[list[Path] | None, Field(min_length=1, max_length=MAX_PARTS)] = None
    task_type: Annotated[Literal["document_processing", "knowledge_indexing"], Field(
        description="what is done with each of file_paths")] = "knowledge_indexing"
    chunk_size: Annotated[int | None, Field(ge=1, le=MAX_CHUNK_CHARS)] = None
    chunk_overlap: Annotated[int | None, Field(ge=0, lt=MAX_CHUNK_CHARS)] = None

    @model_validator(mode="after")
    def _has_one_source(self) -> BatchProcessing:
        return _with_one(self, "tasks", "file_paths")

    @property
    def parts(self) -> list[Part]:
        """The tasks, however they were said."""
        cut = {"chunk_size": self.chunk_size, "chunk_overlap": self.chunk_overlap}
        return list(self.tasks or ()) or [Part(task_type=self.task_type, payload={"file_path": path, **cut})
                                          for path in self.file_paths or ()]


class HealthCheck(Payload):
    """Look whether a worker of this place can do its work."""

    checks: Annotated[list[Literal["folder", "disk", "index", "documents", "model", "vectors"]] | None, Field(
        min_length=1, description="only these; else all")] = None


PAYLOADS: Mapping[str, type[Payload]] = {
    "document_processing": DocumentProcessing, "embedding_generation": EmbeddingGeneration,
    "vector_storage": VectorStorage, "knowledge_indexing": KnowledgeIndexing, "batch_processing": BatchProcessing,
    "health_check": HealthCheck,
}
"""Task type -> the model of its payload."""


def _with_one(payload: AnyPayload, *names: str) -> AnyPayload:
    """``payload``, if it has exactly one of ``names``."""
    given = [name for name in names if getattr(payload, name) is not None]
    if len(given) != 1:
        said = f"not {' and '.join(given)} together" if given else "there is none"
        raise ValueError(f"needs exactly one of {', '.join(names)}: {said}")
    return payload
