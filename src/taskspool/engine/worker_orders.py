"""What workers are told from outside: ``workers/<name>,order.json``, there until the run it was given to is over."""

from __future__ import annotations

import logging

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.documents import Unreadable, parse, sealed
from taskspool.engine.layout import worker_folder
from taskspool.engine.place import Place
from taskspool.engine.worker_record import RUN, GivenOrder, order_document, order_of

MAX_ORDER_BYTES = 65_536
LOOK_SECONDS = 0.5
"""How soon a parked poll is told what another process ordered."""
MOMENT_SECONDS = 0.2
"""So long an order of another process may not be seen by one that has just looked."""
MAX_ABSENT = 20_000
TICK_SECONDS = 2.5
"""The coarsest clock of a file system: so long a folder that looks unchanged may have changed."""

log = logging.getLogger("taskspool.workers")


class Orders:
    def __init__(self, place: Place, bell: Bell) -> None:
        self._place = place
        self._bell = bell
        self._known: dict[str, tuple[files.FileNumber, GivenOrder | None]] = {}
        self._absent: dict[str, float] = {}
        self._looked_at = self._changed_at = place.clock.monotonic()
        self._folder_seen = 0

    def give(self, worker: str, order: str, by: str, reason: str | None, run: str) -> None:
        """To this run of it. ``run`` takes back what was told before. Raises StoreUnavailable."""
        if order == RUN:
            files.discard(self._path(worker), must=True)
        else:
            given = GivenOrder(order, by, reason, self._place.clock.now(), run)
            content = sealed(order_document(given), MAX_ORDER_BYTES, "reason")
            self._place.install(content, self._path(worker))  # the instant: it is told with its next question
        self._wake(worker)

    def _wake(self, worker: str) -> None:
        self._absent.pop(worker, None)
        self._bell.ring_worker(worker)

    def asked(self, worker: str, run: str) -> GivenOrder | None:
        """As ``to``, for the worker itself, who asks all the time. Mostly there is no file, and that is believed for a
        moment: it is not to pay for it."""
        now = self._place.clock.monotonic()
        if now - self._absent.get(worker, -MOMENT_SECONDS) < MOMENT_SECONDS:
            return None
        return self.to(worker, run)

    def to(self, worker: str, run: str) -> GivenOrder | None:
        """What this run of the worker is told; None: nothing."""
        path = self._path(worker)
        try:
            number = files.file_number(path)
        except FileNotFoundError:
            self._known.pop(worker, None)
            if len(self._absent) >= MAX_ABSENT:
                self._absent.clear()
            self._absent[worker] = self._place.clock.monotonic()
            return None
        known = self._known.get(worker)
        if known is None or known[0] != number:
            known = self._known[worker] = (number, self._read(path))
        return known[1] if known[1] is not None and known[1].run == run else None

    def forget(self, worker: str) -> None:
        files.discard(self._path(worker))

    def look(self) -> None:
        """Wake the polls of workers whom another process told something. Cheap; called while somebody waits."""
        now = self._place.clock.monotonic()
        if now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        seen = files.changed_at(self._place.path("workers"))
        if seen != self._folder_seen:
            self._folder_seen, self._changed_at = seen, now
        if now - self._changed_at > TICK_SECONDS:
            return
        for worker in self._bell.waiting_workers:
            if self._is_news(worker):
                self._wake(worker)

    def _is_news(self, worker: str) -> bool:
        """Whether the file is another than the one that was read last; it is read by who is woken."""
        known = self._known.get(worker)
        try:
            return files.file_number(self._path(worker)) != (None if known is None else known[0])
        except FileNotFoundError:
            return known is not None

    def _read(self, path: str) -> GivenOrder | None:
        try:
            return order_of(parse(files.read(path, MAX_ORDER_BYTES)[0]))
        except FileNotFoundError:
            return None
        except (files.NotRegular, Unreadable, LookupError, TypeError, ValueError) as error:
            log.warning("an order to a worker cannot be read, it is removed: %s", error)
            files.discard(path)
            return None

    def _path(self, worker: str) -> str:
        return self._place.path("workers", f"{worker_folder(worker)},order.json")
