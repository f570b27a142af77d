"""What is answered about uploads."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class UploadedTask(BaseModel):
    """The task that reads the file, as POST /api/v1/tasks answers it, and what was kept of the file."""

    id: str
    task_type: str
    status: str
    upload_id: str
    file_name: str
    file_size: int
    kind: str


class UploadedTasks(BaseModel):
    """A task for each file, in the order they came in."""

    tasks: list[dict[str, Any]]
    count: int


class UploadStatistics(BaseModel):
    """Files that were uploaded and are there; sizes in bytes. ``max_file_size``: of one upload."""

    total_files: int
    total_size: int
    max_total_size: int
    max_file_size: int
