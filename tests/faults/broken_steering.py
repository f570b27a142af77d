"""More of the protocol broken on purpose: revise, promote, cancel at once, the place of a retried task in line.

See ``broken``: each function changes the engine of the calling process, which is thrown away.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from faults.broken import variant
from taskspool.engine import files
from taskspool.engine.documents import task_document
from taskspool.engine.endings import Endings
from taskspool.engine.file_store import FileStore
from taskspool.engine.taking import Taking
from taskspool.engine.task import Task


@variant
def a_revision_is_written_over_what_waits() -> None:
    """It is not taken first: who claims it in that moment leaves the name free for a second copy."""
    def rewrite(self: FileStore, seen: Any, task: Task, state: Any) -> None:
        path = self._place.task_path(seen.state, task.id)
        self._taking.lease_to_end(task.id)
        with self._place.beside(task_document(task, self._place.max_file_bytes)) as (document,):
            files.move(document, path)
            files.move(path, self._place.task_path(state, task.id))

    FileStore._rewrite = rewrite  # type: ignore[method-assign]


@variant
def a_revision_that_dies_half_way_counts_as_a_run() -> None:
    """The task is taken as if it were to be run."""
    real = Taking.lease_to_end
    Taking.lease_to_end = lambda *given: replace(real(*given), attempt=1)  # type: ignore[method-assign]


@variant
def a_revision_believes_what_it_saw() -> None:
    """Whatever was written meanwhile is written over."""
    FileStore._check_seen = lambda *_: None  # type: ignore[method-assign]


@variant
def a_revision_that_fails_half_way_stays_held() -> None:
    """What was taken is not given back when the disk refuses the rest."""
    Taking.give_back_untold = lambda *_: None  # type: ignore[method-assign]


@variant
def a_promotion_is_acknowledged_before_it_is_on_the_disk() -> None:
    """The new name is not fsynced."""
    real = FileStore.rewrite

    def rewrite(self: FileStore, *given: Any) -> None:
        sync, self._place.sync = self._place.sync, lambda _: None  # type: ignore[method-assign]
        try:
            real(self, *given)
        finally:
            self._place.sync = sync  # type: ignore[method-assign]

    FileStore.rewrite = rewrite  # type: ignore[method-assign]


@variant
def a_cancel_at_once_only_asks() -> None:
    """The holder is told, and the task is not ended."""
    real = Endings.cancel_running

    def cancel_running(self: Endings, task_id: str, request: Any, *, at_once: bool) -> bool:
        return real(self, task_id, request, at_once=False)

    Endings.cancel_running = cancel_running  # type: ignore[method-assign]


@variant
def a_cancel_at_once_takes_any_end_for_its_own() -> None:
    """The holder was faster, and the task is done: who cancels it is not told."""
    def cancel_running(self: Endings, task_id: str, request: Any, *, at_once: bool) -> bool:
        lease = self._store.lease_of(task_id)
        return lease is not None and self.finish_cancelled(lease, request) is not None

    Endings.cancel_running = cancel_running  # type: ignore[method-assign]


@variant
def a_retried_task_jumps_the_line() -> None:
    """Its place is still that of its creation."""
    Task.lined_up_at = property(lambda self: self.created_at)  # type: ignore[assignment, method-assign]
