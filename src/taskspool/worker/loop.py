"""The loop of every worker: claim, run beside a heartbeat, complete or fail; release on stop.

N threads do the work ("runners"). One of them at a time asks the source for tasks, on behalf of all that are free, and
leaves the others their share: so no more is claimed than can run at once, and a single runner hands over to nobody.

    runner:  _next ── execute ── deliver ── _next ...
    beside:  Heartbeat (one beat for everything in hand), and the thread that called ``run``, waiting for the end
    stop:    no new claims; running handlers get ``grace_seconds``; what still runs then is released, its result dropped
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from queue import Empty, SimpleQueue

from taskspool.client import Client
from taskspool.client_call import backoff_seconds
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import Claim, check_name
from taskspool.errors import InvalidRequest, TaskspoolError
from taskspool.settings import Settings
from taskspool.worker.contact import Contact
from taskspool.worker.delivery import deliver
from taskspool.worker.execution import Putoff, execute
from taskspool.worker.hand import Hand
from taskspool.worker.handlers import Handlers
from taskspool.worker.heartbeat import Heartbeat
from taskspool.worker.remote import RemoteSource
from taskspool.worker.source import FolderSource, WorkSource
from taskspool.worker.wakeup import Wakeup

GRACE_SECONDS = 2.5
"""How long running handlers may go on after a stop. With what follows, a stop ends within 5 s."""
RELEASE_SECONDS = 1.0
"""How long giving back may take; what is not given back by then comes back when its lease runs out."""
REMOTE_TIMEOUT_SECONDS = 5.0
FOLDER_WAIT_SECONDS = 1.0

log = logging.getLogger("taskspool.worker")


def run_folder_worker(settings: Settings, *, handlers: Handlers, name: str | None = None, concurrency: int = 1,
                      once: bool = False, until_idle: bool = False) -> int:
    """Work in the folder of ``settings`` until SIGINT or SIGTERM (Windows: Ctrl-C, Ctrl-Break); the exit code, 0.

    ``once``: one look, run what it gave (at most ``concurrency`` tasks), stop. ``until_idle``: stop when nothing is
    left. The process sweeps the folder too, so it needs no bridge. Raises RefusedToStart.
    """
    queue = open_queue(settings)
    sweeper = Sweeper(queue)
    wakeup = Wakeup({settings.folder / "tasks": lambda: bool(queue.bell.waiting_types)}, sweeper.hint)
    source = FolderSource(queue, name or default_worker_name(), look=sweeper.hint)
    worker = Worker(source, handlers, concurrency=concurrency, wait_seconds=FOLDER_WAIT_SECONDS)
    try:
        sweeper.start()
        wakeup.start()
        with _stopped_by_signals(worker):
            worker.run(once=once, until_idle=until_idle)
    finally:
        wakeup.stop()
        sweeper.stop()
        queue.close()
    return 0


def run_http_worker(url: str, *, handlers: Handlers, name: str | None = None, concurrency: int = 1,
                    wait_seconds: float = 25, lease_seconds: int | None = None, once: bool = False,
                    until_idle: bool = False) -> int:
    """Work for the bridge at ``url`` until SIGINT or SIGTERM (Windows: Ctrl-C, Ctrl-Break); the exit code, 0.

    While the bridge cannot be reached it is tried again, for ever; with ``once`` or ``until_idle`` that raises
    ServerUnreachable. ``wait_seconds`` (0..25): how long one poll stays open. ``lease_seconds`` None: the bridge's own.
    """
    worker_id = check_name("worker_id", name or default_worker_name())
    with Client(url, timeout=REMOTE_TIMEOUT_SECONDS, retries=0) as client:
        source = RemoteSource(client, worker_id, lease_seconds)
        worker = Worker(source, handlers, concurrency=concurrency, wait_seconds=wait_seconds)
        with _stopped_by_signals(worker):
            worker.run(once=once, until_idle=until_idle)
    return 0


def default_worker_name() -> str:
    """Machine and process, e.g. ``office-4711``."""
    return f"{socket.gethostname()[:100] or 'worker'}-{os.getpid()}"


class Worker:
    """Takes tasks from ``source`` and runs them, up to ``concurrency`` at once, from ``run`` until ``stop``.

    ``wait_seconds``: how long one look for tasks may wait for the first. ``finished``: runs handed in so far.
    """

    def __init__(self, source: WorkSource, handlers: Handlers, *, concurrency: int = 1, wait_seconds: float = 1.0,
                 grace_seconds: float = GRACE_SECONDS) -> None:
        self._source = source
        self._handlers = handlers
        self._wait_seconds = wait_seconds
        self._grace_seconds = grace_seconds
        self._hand = Hand()
        self._shelf: deque[Claim] = deque()
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._concurrency = self._alive = max(1, concurrency)
        self._free = 0
        self._once = self._until_idle = self._is_last_look = False
        self._failure: TaskspoolError | None = None
        self._stops: SimpleQueue[None] = SimpleQueue()
        self._stopping = threading.Event()
        self._out_of_time = threading.Event()
        self.finished = 0

    def run(self, *, once: bool = False, until_idle: bool = False) -> int:
        """Work until stopped; how many runs were handed in. Call it once.

        ``once``: one look at the queue, run what it gave. ``until_idle``: until a look finds nothing. Both raise what
        the source raises; otherwise the source is asked again until it answers (but InvalidRequest is raised).
        """
        self._once, self._until_idle = once, once or until_idle
        log.info("working, %d at once, on: %s", self._concurrency, ", ".join(self._handlers.types))
        heartbeat = Heartbeat(self._source, self._hand)
        heartbeat.start()
        for number in range(1, self._concurrency + 1):
            threading.Thread(target=self._work, name=f"runner-{number}", daemon=True).start()
        while not self._is_told_to_stop(0.5):  # in slices: Windows notices Ctrl-C only between them
            pass
        self._end()
        heartbeat.stop()
        if self._failure is not None:
            raise self._failure
        return self.finished

    def stop(self) -> None:
        """End soon; a second call ends the grace. From any thread, and from a signal handler: a SimpleQueue may be
        put to in the middle of a get."""
        self._stops.put(None)

    # -- a runner ------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while (claim := self._next()) is not None:
            try:
                self._run_one(claim)
            except Exception:  # a fault of ours: the task must go back, and the runner live on
                log.exception("task %s could not be handled", claim.task.id)
                self._release(claim)
            finally:
                self._hand.put_down(claim)
        with self._counting:
            self._alive -= 1
        if not self._alive:
            self._stops.put(None)

    def _run_one(self, claim: Claim) -> None:
        began = time.monotonic()
        contact = self._hand.contact(claim)
        outcome = execute(claim, self._handlers, contact)
        if not self._hand.begin_finish(claim):
            log.info("result of task %s dropped: it is not this worker's any more", claim.task.id)
        elif contact is not None and contact.is_ended:
            self._let_go(claim)
        elif deliver(self._source, claim, outcome, self._pause_delivery, contact):
            with self._counting:
                self.finished += 1
            log.debug("task %s: %s in %.3f s", claim.task.id, type(outcome).__name__, time.monotonic() - began)

    def _let_go(self, claim: Claim) -> None:
        """The handler of a task that is to be cancelled has ended: whatever it gave, the task ends as cancelled."""
        if deliver(self._source, claim, Putoff(0.0, "cancelled"), self._pause_delivery):
            log.info("task %s was cancelled; its handler has stopped", claim.task.id)

    def _next(self) -> Claim | None:
        """The next task to run; None: this runner ends."""
        with self._counting:
            self._free += 1
        try:
            with self._turn:  # one runner at a time asks; the others wait here for their share
                while not (self._shelf or self._is_last_look or self._stopping.is_set()):
                    self._shelf.extend(self._ask())
                if self._stopping.is_set():
                    self._give_back(self._emptied_shelf())
                return self._shelf.popleft() if self._shelf else None
        finally:
            with self._counting:
                self._free -= 1

    def _ask(self) -> list[Claim]:
        """Tasks for as many runners as are free, all in hand from here on; may be none."""
        claims = self._claim(self._concurrency if self._once else self._free)
        for claim in claims:
            self._hand.take(claim, Contact(partial(self._source.tell, claim)))
        self._is_last_look = self._once or self._failure is not None or (self._until_idle and not claims)
        return claims

    def _claim(self, max_tasks: int) -> list[Claim]:
        """Asks until there is an answer, or no reason to go on."""
        wait_seconds = 0.0 if self._until_idle else self._wait_seconds
        attempt = 0
        while True:
            try:
                return self._source.claim(self._handlers.types, max_tasks, wait_seconds)
            except TaskspoolError as error:
                if self._until_idle or isinstance(error, InvalidRequest):  # asking again would be refused again
                    self._failure = error
                    return []
                log.log(logging.DEBUG if attempt else logging.WARNING, "cannot ask for tasks, trying again: %s", error)
            except Exception:  # a fault of ours must not end the runner: it is told, and tried again
                log.exception("cannot ask for tasks, trying again")
            if self._stopping.wait(backoff_seconds(attempt)):
                return []
            attempt += 1

    # -- the end -------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """Let running handlers finish in the time they are given; release what was not begun, and what still runs."""
        self._stopping.set()
        log.info("stopping; %d in hand", len(self._hand.held()))
        self._source.interrupt()
        self._give_back(self._emptied_shelf())
        self._wait_for_runs(self._grace_seconds)
        self._give_back(self._hand.running())
        self._wait_for_runs(RELEASE_SECONDS / 2)
        self._out_of_time.set()

    def _wait_for_runs(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        while self._hand.held() and time.monotonic() < ends_at and not self._is_told_to_stop(0.02):
            pass

    def _give_back(self, claims: Iterable[Claim]) -> None:
        """Release ``claims``: each at most once, and only if its result was not handed in meanwhile."""
        ends_at = time.monotonic() + RELEASE_SECONDS
        for claim in self._hand.lose([claim.lease.token for claim in claims]):
            if time.monotonic() > ends_at:
                log.warning("task %s not given back in time; its lease will run out", claim.task.id)
            else:
                self._release(claim)

    def _release(self, claim: Claim) -> None:
        try:
            self._source.release(claim, reason="the worker stops", is_urgent=True)
            log.info("task %s given back undone", claim.task.id)
        except TaskspoolError as error:
            log.warning("task %s could not be given back: %s", claim.task.id, error)
        except Exception:  # a fault of ours: the others must still be given back
            log.exception("task %s could not be given back", claim.task.id)

    def _emptied_shelf(self) -> list[Claim]:
        claims = []
        while self._shelf:
            claims.append(self._shelf.pop())
        return claims

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
