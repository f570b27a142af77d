"""Handlers in a process of their own: one process for each runner, replaced when it died or has done enough."""

from __future__ import annotations

import logging
import threading
import time
from queue import Empty

from taskspool.engine.lifecycle import Failure
from taskspool.worker.calling import Outcome, Putoff
from taskspool.worker.child_process import GONE, STOP, ChildProcess
from taskspool.worker.child_wire import outcome_from
from taskspool.worker.contact import Contact
from taskspool.worker.context import TaskContext
from taskspool.worker.handlers import Origin
from taskspool.worker.patience import KILL_SECONDS, TOLD_SECONDS
from taskspool.worker.recycling import Recycling

UNBEGUN_SECONDS = 1.0
"""How long a task waits whose process died before it began: nothing was done, no attempt is counted."""

log = logging.getLogger("taskspool.worker")


class ProcessExecutor:
    """See ``executors.Executor``. ``grace_seconds``: how long a handler may go on that is to be cancelled."""

    def __init__(self, origin: Origin, recycling: Recycling, grace_seconds: float) -> None:
        self._origin = origin
        self._recycling = recycling
        self._grace_seconds = grace_seconds
        self._child: ChildProcess | None = None
        self._tasks = 0
        self._is_busy = False
        self._is_closed = False
        self._changing = threading.Lock()

    def prepare(self) -> bool:
        child = self._child
        if child is not None and not child.is_gone.is_set():
            return True
        child = self._started()
        if child is None:
            return False
        if child.is_ready():
            return True
        log.error("the process for handlers does not begin: %s", child.refusal)
        self._drop(child)
        return False

    def _started(self) -> ChildProcess | None:
        with self._changing:
            if self._child is not None:
                self._child.end(KILL_SECONDS)
                self._child = None
            if self._is_closed:
                return None
            try:
                self._child, self._tasks = ChildProcess(self._origin), 0
            except OSError as error:
                log.error("no process for handlers could be started: %s", error)
            return self._child

    def call(self, context: TaskContext, data: object) -> Outcome:
        child = self._child
        if child is None:
            return Putoff(UNBEGUN_SECONDS, "the handler's process has ended")
        self._is_busy = True
        try:
            with context.contact.calling_at_end(lambda: child.inbox.put(STOP)):
                child.begin(context, data)
                outcome = self._outcome(child, context.contact)
        finally:
            self._is_busy = False
        self._recycle(child)
        return outcome

    def _outcome(self, child: ChildProcess, contact: Contact) -> Outcome:
        """How the run ended. Once it is to stop, what does not is ended."""
        kill_at: float | None = None
        while True:
            try:
                news = child.inbox.get(timeout=None if kill_at is None else max(0.0, kill_at - time.monotonic()))
            except Empty:
                self._drop(child)
                return Failure("the handler did not stop; its process was ended")
            if news is STOP:
                child.tell({"stop": contact.stop_reason})
                patience = self._grace_seconds if contact.stop_reason == "cancelled" else TOLD_SECONDS
                kill_at = time.monotonic() + patience
            elif news is GONE:
                return self._death(child)
            else:
                child.finish()
                return outcome_from(news["done"])

    def _death(self, child: ChildProcess) -> Outcome:
        how = self._drop(child)
        if not child.has_begun:
            return Putoff(UNBEGUN_SECONDS, f"the handler's process died before it began ({how})")
        return Failure(f"the handler's process died ({how})")

    def _recycle(self, child: ChildProcess) -> None:
        self._tasks += 1
        reason = self._recycling.reason(self._tasks, child.pid)
        if reason is not None and self._child is child:
            log.info("handler process %d is replaced: %s", child.pid, reason)
            with self._changing:
                self._child = None
            child.quit()

    def _drop(self, child: ChildProcess) -> str:
        """End it with all it has started; how it ended."""
        with self._changing:
            if self._child is child:
                self._child = None
        return child.end(KILL_SECONDS)

    def close(self) -> None:
        with self._changing:
            self._is_closed = True
            child, self._child = self._child, None
        if child is not None and self._is_busy:
            child.end(KILL_SECONDS)
        elif child is not None:
            child.quit()
