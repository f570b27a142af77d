"""What the runners of a worker do next.

One of them at a time asks for tasks, on behalf of all that are free, and leaves the others their share. So no more is
claimed than can run at once, and a single runner hands over to nobody.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

from taskspool.client_call import backoff_seconds
from taskspool.engine.task import Claim
from taskspool.errors import InvalidRequest, TaskspoolError
from taskspool.worker.limits import Limits
from taskspool.worker.source import WorkSource

SHORT_SECONDS = 0.5
"""How long a question waits that leaves types out: they may have room again at any moment."""

log = logging.getLogger("taskspool.worker")


class Intake:
    """``accept`` takes a claim in hand, ``give_back`` releases claims undone. ``budget``: so many tasks and no more.

    ``once``: a single look, for ``concurrency`` tasks; ``until_idle``: until a look finds nothing.
    """

    def __init__(self, source: WorkSource, limits: Limits, accept: Callable[[Claim], None],
                 give_back: Callable[[Iterable[Claim]], None], *, concurrency: int, wait_seconds: float,
                 budget: int | None = None) -> None:
        self._source = source
        self._limits = limits
        self._accept = accept
        self._give_back = give_back
        self._concurrency = concurrency
        self._wait_seconds = wait_seconds
        self._budget = budget
        self._shelf: deque[Claim] = deque()
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._changed = threading.Condition()
        self._free = 0
        self._stopping = threading.Event()
        self.once = self.until_idle = False
        self.is_quiet = False
        self.is_last_look = False
        """No further look is made: what is on the shelf is the last."""
        self.failure: TaskspoolError | None = None
        self.taken = 0
        """Tasks that were handed to runners."""

    def next(self) -> Claim | None:
        """The next task to run; None: there will be none."""
        with self._counting:
            self._free += 1
        try:
            with self._turn:  # one runner at a time asks; the others wait here for their share
                while not (self._shelf or self.is_last_look or self._stopping.is_set()):
                    self._shelf.extend(self._ask())
                if self._stopping.is_set():
                    self._give_back(self.emptied())
                return self._shelf.popleft() if self._shelf else None
        finally:
            with self._counting:
                self._free -= 1

    def put_down(self, claim: Claim) -> None:
        """Its handler has ended: there is room for another of its type."""
        if self._limits.put_down(claim.task.type):
            self._wake()

    def end(self) -> None:
        """Make no further look."""
        self.is_last_look = True
        self._wake()

    def stop(self) -> None:
        """As ``end``, at once: what is on the shelf is not begun."""
        self._stopping.set()
        self._wake()

    def quiet(self, is_quiet: bool) -> None:
        """Whether to ask for nothing until told otherwise. What a question in flight still brings is given back."""
        self.is_quiet = is_quiet
        self._wake()

    def emptied(self) -> list[Claim]:
        """What was claimed and not begun; nobody will begin it."""
        claims = []
        while self._shelf:
            claims.append(self._shelf.pop())
        return claims

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self) -> list[Claim]:
        """Tasks for as many runners as are free, all in hand from here on; may be none."""
        types, most = self._askable()
        if not types:
            self._wait_for_change()
            return []
        is_whole = len(types) == len(self._limits.types)
        claims = self._claim(types, most, is_whole)
        for claim in claims:
            self._limits.take(claim.task.type)
            self._accept(claim)
        if self.is_quiet and not self.once:
            for claim in claims:
                self._limits.put_down(claim.task.type)
            self._give_back(claims)
            return []
        self._count(claims, is_whole)
        if not claims and not is_whole and self.until_idle and not self.is_last_look:
            self._wait_for_change()
        return claims

    def _askable(self) -> tuple[list[str], int]:
        if self.is_quiet and not self.once:
            return [], 0
        wanted = self._concurrency if self.once else self._free
        types, most = self._limits.askable(wanted if self._budget is None else min(wanted, self._budget))
        return list(types), most

    def _count(self, claims: list[Claim], is_whole: bool) -> None:
        self.taken += len(claims)
        if self._budget is not None:
            self._budget -= len(claims)
        is_idle = self.until_idle and not claims and is_whole
        if self.once or self.failure is not None or is_idle or self._budget == 0:
            self.is_last_look = True

    def _claim(self, types: list[str], most: int, is_whole: bool) -> list[Claim]:
        """Asks until there is an answer, or no reason to go on."""
        wait_seconds = self._wait_seconds if is_whole else min(SHORT_SECONDS, self._wait_seconds)
        attempt = 0
        while True:
            try:
                return self._source.claim(types, most, 0.0 if self.until_idle else wait_seconds)
            except TaskspoolError as error:
                if self.until_idle or isinstance(error, InvalidRequest):  # asking again would be refused again
                    self.failure = error
                    return []
                log.log(logging.DEBUG if attempt else logging.WARNING, "cannot ask for tasks, trying again: %s", error)
            except Exception:  # a fault of ours must not end the runner: it is told, and tried again
                log.exception("cannot ask for tasks, trying again")
            if self._stopping.wait(backoff_seconds(attempt)):
                return []
            attempt += 1

    def _wait_for_change(self) -> None:
        """Until something was put down, or told; a moment at most."""
        with self._changed:
            if not (self._stopping.is_set() or self.is_last_look):
                self._changed.wait(SHORT_SECONDS)

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()
