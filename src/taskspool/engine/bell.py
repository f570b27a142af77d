"""Who waits for what, and waking exactly one of them.

A waiter says what it waits for *before* it looks, so that nothing can arrive unseen between the look and the wait.
A ring is a hint, never a fact: who was woken looks again, and every wait has an end.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass(eq=False, slots=True)
class Waiter:
    """One who waits. ``wake`` is called once, from any thread, and must return at once."""

    wake: Callable[[], None]
    types: frozenset[str] | None = None
    task_id: str | None = None
    worker: str | None = None
    is_rung: bool = False
    rung_for: str = ""


class Bell:
    """Rings for a new task of a type (one waiter) and for a finished task (all who wait for it)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._for_tasks: OrderedDict[Waiter, None] = OrderedDict()
        self._for_results: dict[str, list[Waiter]] = {}

    def wait_for_task(self, wake: Callable[[], None], types: Collection[str] | None = None,
                      worker: str | None = None) -> Waiter:
        """Join the line for a task of one of ``types`` (None: any), and for an order to ``worker``. End it with
        ``leave``."""
        waiter = Waiter(wake, types=None if types is None else frozenset(types), worker=worker)
        with self._lock:
            self._for_tasks[waiter] = None
        return waiter

    def wait_for_result(self, wake: Callable[[], None], task_id: str) -> Waiter:
        waiter = Waiter(wake, task_id=task_id)
        with self._lock:
            self._for_results.setdefault(task_id, []).append(waiter)
        return waiter

    def leave(self, waiter: Waiter, *, took: bool = True) -> None:
        """Leave the line. One that was rung and did not look (``took=False``) passes the ring on."""
        with self._lock:
            self._for_tasks.pop(waiter, None)
            if waiter.task_id is not None:
                others = self._for_results.get(waiter.task_id, [])
                if waiter in others:
                    others.remove(waiter)
                if not others:
                    self._for_results.pop(waiter.task_id, None)
        if waiter.is_rung and not took and waiter.rung_for:
            self.ring_task(waiter.rung_for)

    def ring_task(self, task_type: str) -> None:
        """A task of this type is ready: wake the one who has waited longest for it."""
        if not self._for_tasks:
            return
        with self._lock:
            for waiter in self._for_tasks:
                if waiter.types is None or task_type in waiter.types:
                    del self._for_tasks[waiter]
                    waiter.is_rung, waiter.rung_for = True, task_type
                    break
            else:
                return
        waiter.wake()

    def ring_worker(self, worker: str) -> None:
        """This worker is told something: wake all that wait for tasks under its name."""
        if not self._for_tasks:
            return
        with self._lock:
            waiters = [waiter for waiter in self._for_tasks if waiter.worker == worker]
            for waiter in waiters:
                del self._for_tasks[waiter]
        for waiter in waiters:
            waiter.is_rung = True
            waiter.wake()

    def ring_result(self, task_id: str) -> None:
        """This task has its result: wake all who wait for it."""
        if not self._for_results:
            return
        with self._lock:
            waiters = self._for_results.pop(task_id, [])
        for waiter in waiters:
            waiter.is_rung = True
            waiter.wake()

    def ring_all(self) -> None:
        """Wake everybody: the server stops."""
        with self._lock:
            waiters = [*self._for_tasks, *(w for line in self._for_results.values() for w in line)]
            self._for_tasks.clear()
            self._for_results.clear()
        for waiter in waiters:
            waiter.wake()

    @property
    def has_waiters(self) -> bool:
        """Whether anybody waits for a task or for a result."""
        return bool(self._for_tasks or self._for_results)

    @property
    def waiting_types(self) -> list[frozenset[str] | None]:
        """What those in line for a task ask for, longest waiting first."""
        with self._lock:
            return [waiter.types for waiter in self._for_tasks]

    @property
    def waiting_workers(self) -> set[str]:
        """Those in line for a task who said their name."""
        with self._lock:
            return {waiter.worker for waiter in self._for_tasks if waiter.worker is not None}

    @property
    def awaited_results(self) -> list[str]:
        with self._lock:
            return list(self._for_results)
