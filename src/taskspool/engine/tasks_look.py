"""A look through ``tasks/``, in slices: what is unknown is read, what is gone leaves the line.

Where a million names are unknown, a part of them is kept in memory at once, and those who wait are served from the
first that are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from taskspool.engine import files
from taskspool.engine.layout import is_temporary
from taskspool.engine.place import Due, Place
from taskspool.engine.popped import PoppedTasks
from taskspool.engine.ready import ReadyLine
from taskspool.engine.task import State

READ_SLICE = 100
"""So many unknown files are read before others may go on."""
MANY = 10_000
"""Of more unknown files than so many some are read before all their names are known, oldest first or not."""
MOST = 100_000
"""So many unknown names are kept in memory; the next look, which follows at once, finds the others."""
NAME_CHARS = 41


class TasksLook:
    """``meet`` is told of every name that is to be read; ``ignored`` are names that are looked at otherwise."""

    def __init__(self, place: Place, line: ReadyLine, popped: PoppedTasks, ignored: Collection[str],
                 meet: Callable[[str], None]) -> None:
        self._place = place
        self._line = line
        self._popped = popped
        self._ignored = ignored
        self._meet = meet
        self._due = Due(place.path("tasks"), place.clock)

    def is_due(self) -> bool:
        """Whether the folder is worth a look."""
        return self._due.is_due()

    def slices(self, read_after: float) -> Iterator[None]:
        """Known files that were changed after ``read_after`` (seconds since 1970; 0: none) are read again: they may
        not be what the index says."""
        gone, fresh = self._line.ids(), list[str]()
        is_whole = False
        for names in self._due.slices():
            fresh += [name for name in names if self._is_fresh(name, gone, read_after)]
            if len(fresh) > MANY and not len(self._line):
                for name in sorted(names)[:READ_SLICE]:  # who waits need not wait for the whole folder
                    self._meet(name)
            yield
            if len(fresh) >= MOST:
                break
        else:
            is_whole = True
            self._drop_gone([*gone, *self._popped.ids()])
        del gone
        fresh.sort(reverse=True)
        while fresh:
            self._meet(fresh.pop())
            if len(fresh) % READ_SLICE == 0:
                yield
        if is_whole:
            self._due.confirm()

    def _is_fresh(self, name: str, gone: set[str], read_after: float) -> bool:
        """Whether the file is to be read; a known one is taken out of ``gone``."""
        if len(name) == NAME_CHARS and name[:36] in gone:
            gone.discard(name[:36])
            return read_after > 0 and self._was_changed(name, read_after)
        return name not in self._ignored and name[:36] not in self._popped and not is_temporary(name)

    def _was_changed(self, name: str, after: float) -> bool:
        try:
            return files.file_number(self._place.path("tasks", name))[1] / 1e9 > after
        except FileNotFoundError:
            return False

    def _drop_gone(self, ids: Iterable[str]) -> None:
        for task_id in ids:
            if not files.exists(self._place.task_path(State.READY, task_id)):
                self._line.discard(task_id)
                self._popped.discard(task_id)
