"""The loop of every worker: claim, run beside a heartbeat, complete or fail; release on stop.

N threads do the work ("runners"), each with an executor of its own.

    runner:  Intake.next ── Execution.run ── Intake.next ...
    beside:  Heartbeat (one beat for everything in hand), Patience (time that is over, handlers that do not stop), and
             the thread that called ``run``, waiting for the end
    quiet:   no new claims; what runs goes on; the worker lives
    stop:    no new claims; running handlers get ``grace_seconds`` to finish; then they are told to stop; what still
             runs then is released, its result dropped
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypedDict, Unpack

from taskspool.client import Client
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import Claim, check_name
from taskspool.errors import TaskspoolError
from taskspool.settings import Settings
from taskspool.worker.calling import seconds_of
from taskspool.worker.contact import Contact
from taskspool.worker.execution import Execution, Fate, Run
from taskspool.worker.executors import Executor, make_executor
from taskspool.worker.hand import Hand
from taskspool.worker.handlers import Handlers
from taskspool.worker.heartbeat import Heartbeat
from taskspool.worker.intake import Intake
from taskspool.worker.limits import Limits
from taskspool.worker.patience import Patience
from taskspool.worker.recycling import RECYCLED, Recycling
from taskspool.worker.remote import RemoteSource
from taskspool.worker.registration import Registration
from taskspool.worker.source import FolderSource, WorkSource
from taskspool.worker.task_log import TaskLog
from taskspool.worker.wakeup import Wakeup

GRACE_SECONDS = 2.5
"""How long running handlers may go on after a stop. With what follows, a stop ends within 5 s."""
STOP_SECONDS: Mapping[str, float] = {"thread": 0.25, "process": 0.75}
"""How long they may take then to stop, when they are told that there is no more time; processes are ended by then."""
RELEASE_SECONDS = 1.0
"""How long giving back may take; what is not given back by then comes back when its lease runs out."""
UNREADY_SECONDS = 1.0
"""When no handler can be run just now (its process does not start), it is tried again so often."""
REMOTE_TIMEOUT_SECONDS = 5.0
FOLDER_WAIT_SECONDS = 1.0

log = logging.getLogger("taskspool.worker")


class WorkerOptions(TypedDict, total=False):
    """How a Worker works; what is left out has the default of its ``__init__``."""

    concurrency: int
    grace_seconds: float
    executor: str
    limits: Mapping[str, int]
    max_tasks: int | None
    max_memory_bytes: int | None


def run_folder_worker(settings: Settings, *, handlers: Handlers, name: str | None = None, once: bool = False,
                      until_idle: bool = False, **options: Unpack[WorkerOptions]) -> int:
    """Work in the folder of ``settings`` until SIGINT or SIGTERM (Windows: Ctrl-C, Ctrl-Break); the exit code: 0, or
    RECYCLED when the worker has ended because it had done enough.

    ``once``: one look, run what it gave (at most ``concurrency`` tasks), stop. ``until_idle``: stop when nothing is
    left. The process sweeps the folder too, so it needs no bridge. Raises RefusedToStart, InvalidRequest.
    """
    queue = open_queue(settings)
    sweeper = Sweeper(queue)
    wakeup = Wakeup({settings.folder / "tasks": lambda: bool(queue.bell.waiting_types)}, sweeper.hint)
    source = FolderSource(queue, name or default_worker_name(), look=sweeper.hint)
    try:
        sweeper.start()
        wakeup.start()
        worker = Worker(source, handlers, wait_seconds=FOLDER_WAIT_SECONDS, **options)
        worker.register()
        with _stopped_by_signals(worker):
            worker.run(once=once, until_idle=until_idle)
    finally:
        wakeup.stop()
        sweeper.stop()
        queue.close()
    return RECYCLED if worker.is_recycled else 0


def run_http_worker(url: str, *, handlers: Handlers, name: str | None = None, wait_seconds: float = 25,
                    lease_seconds: int | None = None, once: bool = False, until_idle: bool = False,
                    **options: Unpack[WorkerOptions]) -> int:
    """Work for the bridge at ``url`` until SIGINT or SIGTERM (Windows: Ctrl-C, Ctrl-Break); the exit code, as above.

    While the bridge cannot be reached it is tried again, for ever; with ``once`` or ``until_idle`` that raises
    ServerUnreachable. ``wait_seconds`` (0..25): how long one poll stays open. ``lease_seconds`` None: the bridge's own.
    """
    worker_id = check_name("worker_id", name or default_worker_name())
    with Client(url, timeout=REMOTE_TIMEOUT_SECONDS, retries=0) as client:
        source = RemoteSource(client, worker_id, lease_seconds)
        worker = Worker(source, handlers, wait_seconds=wait_seconds, **options)
        worker.register()
        with _stopped_by_signals(worker):
            worker.run(once=once, until_idle=until_idle)
    return RECYCLED if worker.is_recycled else 0


def default_worker_name() -> str:
    """Machine and process, e.g. ``office-4711``."""
    return f"{socket.gethostname()[:100] or 'worker'}-{os.getpid()}"


class Worker:
    """Takes tasks from ``source`` and runs them, up to ``concurrency`` at once, from ``run`` until ``stop``.

    ``wait_seconds``: how long one look for tasks may wait for the first. ``grace_seconds``: how long a handler may go
    on after a stop, or after a cancel, before it is ended. ``executor``: thread, or process. ``limits``: type -> how
    many of it at once. ``max_tasks``, ``max_memory_bytes``: see Recycling; with threads the whole worker ends, with
    processes the one that has done enough is replaced. Raises RefusedToStart, InvalidRequest.
    """

    def __init__(self, source: WorkSource, handlers: Handlers, *, concurrency: int = 1, wait_seconds: float = 1.0,
                 grace_seconds: float = GRACE_SECONDS, executor: str = "thread",
                 limits: Mapping[str, int] | None = None, max_tasks: int | None = None,
                 max_memory_bytes: int | None = None) -> None:
        self._source = source
        self._handlers = handlers
        self._grace_seconds = grace_seconds
        self._hand = Hand()
        self._concurrency = self._alive = max(1, concurrency)
        recycling = Recycling(max_tasks, max_memory_bytes)
        self._stop_seconds = STOP_SECONDS[executor]
        is_threaded = executor == "thread"
        self._recycling = recycling if is_threaded else Recycling()
        self._executors = [make_executor(executor, handlers, recycling, grace_seconds)
                           for _ in range(self._concurrency)]
        self._intake = Intake(source, Limits(handlers.types, limits), self._take, self._give_back,
                              concurrency=self._concurrency, wait_seconds=wait_seconds,
                              budget=self._recycling.max_tasks)
        self._execution = Execution(source, self._hand, handlers.hooks, self._pause_delivery)
        self._patience = Patience(self._hand, grace_seconds, self._take_away if is_threaded else None)
        self._registration: Registration | None = None
        self._counting = threading.Lock()
        self._stuck: set[str] = set()
        """Tokens of tasks that were taken from handlers that still run."""
        self._stops: SimpleQueue[None] = SimpleQueue()
        self._stopping = threading.Event()
        self._out_of_time = threading.Event()
        self.finished = 0
        """Runs handed in so far."""
        self.is_recycled = False
        """Whether it ends, or has ended, because it has done enough."""

    def register(self) -> None:
        """Show this worker in the registry while it runs, and obey what is ordered there. Before ``run``."""
        handlers = [self._handlers.get(type_name) for type_name in self._handlers.types]
        is_program = any(getattr(one.made_of, "stops_itself", False) for one in handlers if one is not None)
        self._registration = Registration(self._source, self, self._handlers.types, concurrency=self._concurrency,
                                          kind="exec" if is_program else None)

    @property
    def is_quiet(self) -> bool:
        return self._intake.is_quiet

    def run(self, *, once: bool = False, until_idle: bool = False) -> int:
        """Work until stopped; how many runs were handed in. Call it once.

        ``once``: one look at the queue, run what it gave. ``until_idle``: until a look finds nothing. Both raise what
        the source raises; otherwise the source is asked again until it answers (but InvalidRequest is raised).
        """
        self._intake.once, self._intake.until_idle = once, once or until_idle
        log.info("working, %d at once, on: %s", self._concurrency, ", ".join(self._handlers.types))
        heartbeat = Heartbeat(self._source, self._hand, self._registration)
        heartbeat.start()
        self._patience.start()
        for number, executor in enumerate(self._executors, 1):
            threading.Thread(target=self._work, args=[executor], name=f"runner-{number}", daemon=True).start()
        while not self._is_told_to_stop(0.5):  # in slices: Windows notices Ctrl-C only between them
            pass
        self._end()
        heartbeat.stop()
        if self._registration is not None:
            self._registration.leave()
        self._patience.stop()
        if self._intake.failure is not None:
            raise self._intake.failure
        return self.finished

    def stop(self) -> None:
        """End soon; a second call ends the grace. From any thread, and from a signal handler: a SimpleQueue may be
        put to in the middle of a get."""
        self._stops.put(None)

    def quiet(self) -> None:
        """Claim nothing more until ``resume``; what runs goes on, and the worker lives. From any thread."""
        log.info("quiet: no new tasks until told otherwise")
        self._intake.quiet(True)

    def resume(self) -> None:
        """Claim again."""
        log.info("no longer quiet")
        self._intake.quiet(False)

    # -- a runner ------------------------------------------------------------------------------------------------

    def _work(self, executor: Executor) -> None:
        while self._is_ready(executor) and (claim := self._intake.next()) is not None:
            try:
                self._count(self._execution.run(claim, executor))
            except Exception:  # a fault of ours: the task must go back, and the runner live on
                log.exception("task %s could not be handled", claim.task.id)
                self._release(claim)
            finally:
                with self._counting:
                    self._stuck.discard(claim.lease.token)
                self._hand.put_down(claim)
                self._intake.put_down(claim)
            self._recycle()
        executor.close()
        with self._counting:
            self._alive -= 1
        self._end_if_idle()

    def _is_ready(self, executor: Executor) -> bool:
        """Waits until ``executor`` can run something; False: the worker ends."""
        while not self._stopping.is_set():
            if executor.prepare():
                return True
            self._stopping.wait(UNREADY_SECONDS)
        return False

    def _take(self, claim: Claim) -> None:
        """In hand from here on, and its time runs."""
        contact = Contact(partial(self._source.tell, claim), submit=self._source.submit, seconds=seconds_of(claim),
                          look=self._source.look, cancel=self._source.cancel,
                          open_log=lambda: TaskLog(partial(self._source.append_log, claim)),
                          at_end=self._patience.notice)
        self._hand.take(claim, contact)
        if contact.ends_at is not None:
            self._patience.notice()

    def _take_away(self, claim: Claim) -> None:
        """In a thread of its own: the queue may not be within reach."""
        if not self._stops_itself(claim) and self._hand.take_away(claim):
            with self._counting:
                self._stuck.add(claim.lease.token)
            threading.Thread(target=self._end_without_handler, args=[claim], name="taken-away", daemon=True).start()

    def _stops_itself(self, claim: Claim) -> bool:
        """Whether its handler says so: a program's, which ends what it has started, is waited for."""
        handler = self._handlers.get(claim.task.type)
        return handler is not None and bool(getattr(handler.made_of, "stops_itself", False))

    def _end_without_handler(self, claim: Claim) -> None:
        try:
            self._count(self._execution.end_taken_away(claim))
        except Exception:  # a fault of ours: the task must go back
            log.exception("task %s could not be handled", claim.task.id)
            self._release(claim)
        finally:
            self._hand.put_down(claim, is_taken_away=True)
        self._recycle()
        self._end_if_idle()

    def _count(self, run: Run) -> None:
        with self._counting:
            self.finished += run.is_finished
            if self._registration is not None and run.is_finished and run.fate is not Fate.SNOOZE:
                self._registration.count(is_done=run.fate is Fate.SUCCESS)

    def _recycle(self) -> None:
        """With threads: end the whole worker when it has done enough."""
        if self._recycling == Recycling() or self._intake.once or self.is_recycled:
            return
        reason = self._recycling.reason(self._intake.taken)
        if reason is not None:
            self.is_recycled = True
            log.warning("this worker ends, to be started anew: %s", reason)
            self._intake.end()

    def _end_if_idle(self) -> None:
        """When no runner is left; those that are stuck with a handler nobody waits for do not count."""
        with self._counting:
            is_idle = self._alive == 0 or (self._intake.is_last_look and self._alive == len(self._stuck))
        if is_idle and not self._hand.has_taken_away():
            self._stops.put(None)

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Let running handlers finish in the time they are given, then stop them; release what was not begun, and what
        still runs."""
        self._stopping.set()
        self._intake.stop()
        log.info("stopping; %d in hand", len(self._hand.held()))
        self._source.interrupt()
        self._give_back(self._intake.emptied())
        self._wait_for_runs(self._grace_seconds)
        for _, contact in self._hand.runs():
            contact.end("shutdown")
        self._wait_for_runs(self._stop_seconds)
        if any(self._stops_itself(claim) for claim, _ in self._hand.runs()):
            self._wait_for_runs(self._grace_seconds + self._stop_seconds)
        self._give_back(claim for claim, _ in self._hand.runs())
        self._wait_for_runs(RELEASE_SECONDS / 2)
        self._out_of_time.set()
        for executor in self._executors:
            executor.close()

    def _wait_for_runs(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while self._hand.held() and time.monotonic() < ends_at and not self._is_told_to_stop(0.02):
            pass

    def _give_back(self, claims: Iterable[Claim]) -> None:
        """Release ``claims``: each at most once, and only if its result was not handed in meanwhile."""
        ends_at = time.monotonic() + RELEASE_SECONDS
        for claim in self._hand.lose([claim.lease.token for claim in claims], "shutdown"):
            if time.monotonic() > ends_at:
                log.warning("task %s not given back in time; its lease will run out", claim.task.id)
            else:
                self._release(claim)
            self._hand.put_down(claim)

    def _release(self, claim: Claim) -> None:
        try:
            self._source.release(claim, reason="the worker stops", is_urgent=True)
            log.info("task %s given back undone", claim.task.id)
        except TaskspoolError as error:
            log.warning("task %s could not be given back: %s", claim.task.id, error)
        except Exception:  # a fault of ours: the others must still be given back
            log.exception("task %s could not be given back", claim.task.id)

    def _pause_delivery(self, seconds: float) -> bool:
        return not self._out_of_time.wait(seconds)

    def _is_told_to_stop(self, seconds: float) -> bool:
        try:
            self._stops.get(timeout=seconds)
        except Empty:
            return False
        return True


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    """SIGINT, SIGTERM and Ctrl-Break stop ``worker``. Only the main thread may receive signals; others go without."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    previous = {number: signal.signal(number, lambda *_: worker.stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
