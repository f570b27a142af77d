"""Where the workers of the managed queue keep what they make: ``<root>/managed_data``.

    tasks/<task id>/chunks.json         what document_processing cut: {"file", "kind", ..., "chunks": [...]}
    tasks/<task id>/embeddings.json     the chunks of embedding_generation, and what made their vectors ...
    tasks/<task id>/embeddings.f16      ... which are here, one after the other, as little-endian half floats
    knowledge/<name>-<hash>.sqlite      a knowledge base: its chunks with their vectors

A file appears whole or not at all: it is written beside, and renamed. The folder of a task may be deleted once nobody
will ask for it; a knowledge base stands alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from taskspool.engine import files
from taskspool.engine.task import is_task_id
from taskspool.settings import Settings, from_environment

FOLDER = "managed_data"


def settings() -> Settings:
    """Those of the worker this runs in: ``taskspool work`` puts them into the environment."""
    return from_environment()


def data_folder() -> Path:
    return settings().root.absolute() / FOLDER


def task_folder(task_id: str) -> Path:
    """Where the files of one task lie; it need not exist."""
    if not is_task_id(task_id):
        raise ValueError(f"{task_id!r} is no id of a task")
    return data_folder() / "tasks" / task_id


def knowledge_path(root: Path, kb_id: str) -> Path:
    """The file of a knowledge base. Any id is possible: the hash tells apart what looks the same in a name."""
    readable = re.sub(r"[^a-z0-9_-]+", "-", kb_id.lower())[:40].strip("-") or "kb"
    digest = hashlib.sha256(kb_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return root.absolute() / FOLDER / "knowledge" / f"{readable}-{digest}.sqlite"


def write_json(path: Path, value: Mapping[str, Any]) -> Path:
    """``path`` with ``value``: whole, or as it was before. Its folder is made. ``path`` again.

    Raises StoreUnavailable, StoreFull.
    """
    content = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    files.make_folder(str(path.parent))
    beside = str(path.with_name(f".{path.name}.{uuid.uuid4().hex}"))
    is_durable = settings().durability == "strict"
    files.write_new(beside, content, sync=is_durable)
    files.move(beside, str(path))  # from here on it is there
    if is_durable:
        settle(path.parent)
    return path


def settle(folder: Path) -> None:
    """The names in ``folder`` are on the disk when this returns; Windows has no call for it."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            files.flush(descriptor)
        finally:
            os.close(descriptor)
