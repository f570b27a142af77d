"""More than clients of seed 002 ask for, as JSON: the shapes of ``shapes``, with the bridge's words for states."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from taskspool import shapes
from taskspool.doors.bridge.wire import STATUS, snapshot_json
from taskspool.engine.events import Event
from taskspool.engine.explain import Explanation
from taskspool.engine.task import CancelRequest, Snapshot, Step


def told_json(snapshot: Snapshot, story: Iterable[Step], cancel: CancelRequest | None) -> dict[str, Any]:
    """A task with everything that is known of it."""
    return listed_json(snapshot) | shapes.story_json(snapshot, story, cancel)


def listed_json(snapshot: Snapshot) -> dict[str, Any]:
    """A task as lists show it."""
    return snapshot_json(snapshot) | shapes.belonging_json(snapshot)


def explanation_json(told: Explanation) -> dict[str, Any]:
    return shapes.explanation_json(told) | {"status": STATUS[told.state]}


def event_json(event: Event) -> dict[str, Any]:
    """What happened; ``state`` and ``status`` null: the task is gone."""
    return shapes.event_json(event) | {"status": None if event.state is None else STATUS[event.state]}
