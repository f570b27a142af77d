"""Whether each part works, tried rather than believed.

The original stood on a database and on Redis; scripts look at both names. Here they stand for what does their work:
``database`` for the index, which lists and counts; ``redis`` for the folder that holds the line of waiting tasks;
``queue`` for what a submit needs: a file can be written, and the disk has room.
No path of this machine is told.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

from taskspool.doors.managed.models import Check
from taskspool.engine.disk import room_of
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from taskspool.errors import TaskspoolError
from taskspool.settings import Settings

HEALTHY: Check = "healthy"
UNHEALTHY: Check = "unhealthy"
PROBE = b"taskspool\n"


class Checks:
    def __init__(self, queue: Queue, settings: Settings) -> None:
        self._queue = queue
        self._settings = settings

    def all(self) -> dict[str, dict[str, Any]]:
        """Part -> status, ``error`` if it does not work, and ``size``: how many tasks are queued, if that is known."""
        database, size = _checked("the index cannot be asked", self._count)
        redis, _ = _checked("the folder of waiting tasks cannot be read", self._list)
        queue, _ = _checked("new tasks cannot be written", self._write)
        told = {} if size is None else {"size": size}
        return {"database": database, "redis": redis | told, "queue": queue | told}

    def _count(self) -> int:
        figures = self._queue.figures()
        return figures.by_state.get(State.READY, 0) + figures.by_state.get(State.SCHEDULED, 0) - figures.retrying

    def _list(self) -> None:
        with os.scandir(self._settings.folder / "tasks") as entries:
            next(entries, None)

    def _write(self) -> None:
        """What is written has no name, or only for the moment: nothing is left of it."""
        folder = self._settings.folder / "tmp"
        room = room_of(str(self._settings.folder), self._settings.min_free_bytes)
        if room.is_low:
            raise OSError(None, "the disk is nearly full")
        with tempfile.TemporaryFile(dir=folder, buffering=0) as probe:
            probe.write(PROBE)


def _checked(what: str, check: Callable[[], Any]) -> tuple[dict[str, Any], Any]:
    """(what is told of the part, what the check found). A failure is what a check is for."""
    try:
        return {"status": HEALTHY}, check()
    except OSError as error:
        return {"status": UNHEALTHY, "error": f"{what}: {error.strerror or 'input/output error'}"}, None
    except TaskspoolError:
        return {"status": UNHEALTHY, "error": what}, None
