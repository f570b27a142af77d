"""When a process has done enough and is replaced by a fresh one: after so many tasks, or grown over so much memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil

RECYCLED = 5
"""Exit code of a worker that ended to be started anew by whatever watches over it."""


@dataclass(frozen=True, slots=True)
class Recycling:
    """None: without end. ``max_memory_bytes`` is of the resident set of one process, looked at between two tasks."""

    max_tasks: int | None = None
    max_memory_bytes: int | None = None

    def reason(self, tasks: int, pid: int | None = None) -> str | None:
        """Why the process ``pid`` (None: this one), which has run ``tasks``, is to end; None: it may go on."""
        if self.max_tasks is not None and tasks >= self.max_tasks:
            return f"it has run {tasks} tasks (--max-tasks)"
        if self.max_memory_bytes is None:
            return None
        size = _memory_of(os.getpid() if pid is None else pid)
        if size > self.max_memory_bytes:
            return f"it has grown to {size >> 20} MiB (--max-memory {self.max_memory_bytes >> 20} MiB)"
        return None


def _memory_of(pid: int) -> int:
    """Bytes in memory; 0 when there is no such process any more."""
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
