"""What clients of managed tasks send: the shapes as read and documented. Source of the rules: seed 004."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, RootModel

from taskspool.engine.options import MAX_SECONDS
from taskspool.web.fields import WHOLE, Instant
from taskspool.web.shape import Shape

DOCUMENTED_TYPES = ("document_processing", "batch_processing", "knowledge_indexing", "embedding_generation",
                    "vector_storage", "health_check")
TASK_TYPES = (*DOCUMENTED_TYPES, "url_download_processing")
"""The last is in no document: the original service took it too, and a worker of one's own may do it."""
PRIORITIES = ("low", "normal", "high", "critical")
STATUSES = ("queued", "processing", "completed", "failed", "canceled", "retrying")
DEFAULT_PRIORITY = "normal"
DEFAULT_RETRIES = 3
DEFAULT_TIMEOUT_SECONDS = 300
MAX_RETRIES = 1000
MAX_KB_ID_CHARS = 36
MAX_BATCH = 100
MAX_MESSAGE_CHARS = 1000


def _default_if_unset(default: int) -> BeforeValidator:
    """0 and null are what clients send who did not set it."""
    return BeforeValidator(lambda value: default if value is None or (value == 0 and value is not False) else value)


def _no_retries_below_zero(value: Any) -> Any:
    """The original took negative numbers, and then never tried again."""
    return 0 if type(value) is int and value < 0 else value


Retries = Annotated[int, Field(le=MAX_RETRIES, description="tries after the first; 0: 3; below 0: none"),
                    BeforeValidator(_no_retries_below_zero), _default_if_unset(DEFAULT_RETRIES), WHOLE]
TimeoutSeconds = Annotated[int, Field(ge=0, le=int(MAX_SECONDS), description="seconds one try may take; 0: 300"),
                           _default_if_unset(DEFAULT_TIMEOUT_SECONDS), WHOLE]


class TaskRequest(Shape):
    """A task as it is asked for. Unknown keys are let be."""

    model_config = ConfigDict(json_schema_extra={"examples": [{
        "task_type": "document_processing", "kb_id": "kb_123456", "priority": "high", "max_retries": 3, "timeout": 300,
        "payload": {"file_path": "/tmp/uploads/document.pdf", "chunk_size": 1000,  # noqa: S108 - what a client says
                    "chunk_overlap": 200}}]})

    task_type: Annotated[str, Field(json_schema_extra={"enum": [*TASK_TYPES]})]
    kb_id: Annotated[str, Field(min_length=1, max_length=MAX_KB_ID_CHARS, description="the knowledge base it is for",
                                json_schema_extra={"format": "name"})]
    priority: Annotated[str | None, Field(json_schema_extra={"enum": [*PRIORITIES, "", None]})] = None
    payload: Annotated[dict[str, Any], Field(description="what the worker gets; see docs/knowledge.md")]
    max_retries: Annotated[Retries | None, Field(validate_default=True)] = None
    timeout: Annotated[TimeoutSeconds | None, Field(validate_default=True)] = None
    schedule_for: Annotated[Instant, Field(description="not before; left out: at once")] = None


class TaskRequests(RootModel[Annotated[list[TaskRequest], Field(min_length=1, max_length=MAX_BATCH)]]):
    """Tasks that are accepted together or not at all."""


class ProgressReport(Shape):
    """How far a task is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"progress": 75, "message": "Processing embeddings..."}]})

    progress: Annotated[int, Field(ge=0, le=100), WHOLE]
    message: str | None = None


PROGRESS_FORM = {
    "type": "object", "required": ["progress"],
    "properties": {"progress": {"type": "integer", "minimum": 0, "maximum": 100}, "message": {"type": "string"}},
}
"""The same, as the polling clients send it: application/x-www-form-urlencoded."""
Check = Literal["healthy", "unhealthy"]
