"""What payloads may be, and how one that may not be is refused."""

from __future__ import annotations

from typing import Any

import pytest

from taskspool.errors import InvalidRequest
from taskspool.jobs.payloads import check_payload
from taskspool.shapes_managed import BatchProcessing, DocumentProcessing

CHUNK = {"text": "a", "embedding": [1, 0.5]}


@pytest.mark.parametrize(("task_type", "payload"), [
    ("document_processing", {"file_path": "/a", "chunk_size": None, "chunk_overlap": None, "upload_id": None}),
    ("document_processing", {"file_path": "/a", "chunk_size": 1, "what": {"ever": [None]}}),
    ("document_processing", {"file_path": "/a", "chunk_size": 100_000, "chunk_overlap": 99_999}),
    ("embedding_generation", {"texts": ["a"], "chunks": None}),
    ("vector_storage", {"chunks": [CHUNK]}),
    ("batch_processing", {"tasks": [{"task_type": "health_check", "payload": {}, "priority": None}]}),
    ("health_check", {"checks": None}),
])
def test_what_clients_send_is_taken(task_type: str, payload: dict[str, Any]) -> None:
    """Nulls count as absent, unknown keys are let be, and the limits themselves are allowed."""
    check_payload(task_type, payload)
    assert task_type


@pytest.mark.parametrize(("task_type", "payload", "says"), [
    ("document_processing", {}, "must name a file: file_path, or upload_id"),
    ("document_processing", {"file_path": ""}, "file_path must have 1 or more characters"),
    ("document_processing", {"file_path": 5}, "file_path must be a string"),
    ("document_processing", {"file_path": "/a\x00b"}, "file_path must match"),
    ("document_processing", {"upload_id": "../x"}, "upload_id must match"),
    ("document_processing", {"upload_id": "0" * 33}, "upload_id must match"),
    ("document_processing", {"file_path": "/a", "chunk_size": 0}, "chunk_size must be at least 1"),
    ("document_processing", {"file_path": "/a", "chunk_size": 100_001}, "chunk_size must be at most 100000"),
    ("document_processing", {"file_path": "/a", "chunk_size": "9"}, "chunk_size must be a whole number"),
    ("document_processing", {"file_path": "/a", "chunk_size": 9, "chunk_overlap": 9},
     "chunk_overlap (9) must be less than chunk_size (9)"),
    ("embedding_generation", {}, "needs exactly one of texts, chunks, chunks_path, source_task_id: there is none"),
    ("embedding_generation", {"texts": ["a"], "chunks_path": "/a"}, "not texts and chunks_path together"),
    ("vector_storage", {"chunks": [{"text": "a"}]}, "chunks.0.embedding is missing"),
    ("vector_storage", {"chunks": [{"text": "a", "embedding": [1, 1e300]}]}, "chunks.0.embedding.1 must be at most"),
    ("vector_storage", {"chunks": [{"text": "a", "embedding": [float("nan")]}]}, "chunks.0.embedding.0 must be"),
    ("batch_processing", {"tasks": [{"task_type": "reboot"}]}, "tasks.0.task_type is not one of the words"),
    ("batch_processing", {"file_paths": []}, "file_paths must hold 1 or more"),
    ("health_check", {"checks": ["luck"]}, "checks.0 is not one of the words"),
    ("health_check", [], "payload must be an object"),
])
def test_a_wrong_payload_is_named(task_type: str, payload: Any, says: str) -> None:
    """The field and its rule are in the message."""
    with pytest.raises(InvalidRequest) as caught:
        check_payload(task_type, payload)
    assert says in caught.value.message


@pytest.mark.parametrize(("given", "overlap"), [({}, 200), ({"chunk_size": 100}, 50), ({"chunk_size": 1}, 0),
                                                ({"chunk_size": 100, "chunk_overlap": 7}, 7)])
def test_the_overlap_follows_a_small_chunk(given: dict[str, int], overlap: int) -> None:
    """Who asks for small chunks alone gets an overlap that fits."""
    assert DocumentProcessing(file_path="/a", **given).overlap == overlap


def test_file_paths_are_short_for_tasks() -> None:
    """A task for each file, each cut in the same way."""
    parts = BatchProcessing(file_paths=["/a", "/b"], chunk_size=50).parts
    assert [(part.task_type, part.payload["file_path"], part.payload["chunk_size"]) for part in parts] == [
        ("knowledge_indexing", "/a", 50), ("knowledge_indexing", "/b", 50)]
