"""A task as commands show it: the shape of the bridge, and what only the folder knows."""

from __future__ import annotations

from collections.abc import Iterable

from taskspool.cli.printing import task_json
from taskspool.engine.task import CancelRequest, Snapshot, Step
from taskspool.shapes import Shape, story_json


def told_json(snapshot: Snapshot, story: Iterable[Step], cancel: CancelRequest | None) -> Shape:
    """A task with everything that is known of it."""
    return task_json(snapshot) | story_json(snapshot, story, cancel)
