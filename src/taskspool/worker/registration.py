"""A worker in the registry: what it tells of itself from time to time, and how it obeys what it is told from outside.

Called by the thread of the heartbeat, and once more, for a goodbye, by the one that ends the worker.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from taskspool.engine.worker_record import (
    GONE, MAX_TYPES, QUIET, RUN, STOPPING, TERMINATE, WorkerReport,
)
from taskspool.errors import TaskspoolError
from taskspool.web.version import installed_version
from taskspool.worker.source import WorkSource

REPORT_SECONDS = 1.0
"""So often the source is told; whether that reaches anybody is its own business."""

log = logging.getLogger("taskspool.worker")


class Obedient(Protocol):
    """What is asked of a worker; all from any thread."""

    @property
    def is_quiet(self) -> bool: ...

    def quiet(self) -> None: ...

    def resume(self) -> None: ...

    def stop(self) -> None: ...


class Registration:
    """From the first ``tell`` to ``leave``. ``kind`` None: that of the source."""

    def __init__(self, source: WorkSource, worker: Obedient, types: Sequence[str], *, concurrency: int = 1,
                 kind: str | None = None) -> None:
        self._source = source
        self._worker = worker
        self._types = tuple(types)[:MAX_TYPES]
        self._kind = kind or source.kind
        self._concurrency = concurrency
        self._version = installed_version()
        self._telling = threading.Lock()
        self._told_at = -REPORT_SECONDS
        self._order = RUN
        self._has_left = self._is_failing = False
        self._done = self._failed = 0

    def count(self, *, is_done: bool) -> None:
        """A run was handed in. One thread at a time."""
        if is_done:
            self._done += 1
        else:
            self._failed += 1

    def tell(self) -> None:
        """Report, if it is time to, and do what is asked for. Raises nothing."""
        now = time.monotonic()
        if now - self._told_at < REPORT_SECONDS:
            return
        self._told_at = now
        with self._telling:
            if self._has_left:
                return
            try:
                order = self._source.report(self._report(self._state()))
            except TaskspoolError as error:
                log.log(logging.DEBUG if self._is_failing else logging.INFO, "the registry is told later: %s", error)
                self._is_failing = True
                return
            except Exception:  # a heart that stops would cost every task in hand
                log.exception("the registry could not be told")
                return
            self._is_failing = False
        if self._obey(order):
            self._told_at = -REPORT_SECONDS  # what has come of it is told at once

    def leave(self) -> None:
        """Say goodbye. Raises nothing: who cannot is missed by itself."""
        with self._telling:
            self._has_left = True
            try:
                self._source.report(self._report(GONE))
            except TaskspoolError as error:
                log.info("the registry will miss this worker by itself: %s", error)
            except Exception:  # it ends all the same
                log.exception("the registry could not be told of the end")

    def _state(self) -> str:
        if self._order == TERMINATE:
            return STOPPING
        return QUIET if self._worker.is_quiet else "running"

    def _report(self, state: str) -> WorkerReport:
        return WorkerReport(
            self._source.worker, self._kind, socket.gethostname()[:128] or None, os.getpid(), self._version,
            self._types, self._concurrency, state, self._source.started_at, self._done, self._failed)

    def _obey(self, order: str) -> bool:
        """Only what is new: a worker that its own program made quiet stays so. Whether it was."""
        before, self._order = self._order, order
        if order == before:
            return False
        log.info("told from outside: %s", order)
        if order == TERMINATE:
            self._worker.stop()
        elif order == QUIET:
            self._worker.quiet()
        elif before == QUIET:
            self._worker.resume()
        return True
