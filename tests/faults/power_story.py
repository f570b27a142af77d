"""What a process was doing when the power went: every verb, from several threads, each with tasks of its own.

Tasks are known by their number ``data["n"]``. Reports, for the verdict:

    ("try", numbers, fate)        before a verb
    ("ack", numbers, fate)        it was acknowledged
    ("key", number, key, type)    before a submit with an idempotency key
    ("batch", numbers)            these come together or not at all
    ("named batch", id, numbers)  acknowledged: they are a batch of this id
    ("doomed", number)            acknowledged: it will end as cancelled, unless it is retried

A fate is a list:

    ["waits", attempts]   ready, scheduled or claimed: a power cut may take a claim back, and nothing else
    ["done", data]   ["dead", data]   ["cancelled", null]
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faults.forks import Report
from taskspool.clock import SystemClock
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.task import Claim, NewTask
from taskspool.errors import RefusedToStart, StoreUnavailable, TaskCancelled
from taskspool.settings import Settings

THREADS = 4
"""More than ``group_commit.FROM_WRITERS``: both ways of flushing are used."""


class Teller:
    """One thread: its tasks have a type of their own, so that what it was told last is what must be true."""

    def __init__(self, queue: Queue, report: Report, name: str, first: int, seed: int) -> None:
        self._queue = queue
        self._report = report
        self._type = name
        self._next = first
        self._dice = random.Random(seed)
        self._held: list[Claim] = []
        self._waiting: dict[int, str] = {}
        """Number -> id of tasks that nobody holds."""
        self._ended: dict[int, str] = {}
        """Number -> id of tasks that are dead or cancelled."""

    def tell(self) -> None:
        """Until the disk refuses."""
        try:
            while True:
                self._dice.choice(VERBS)(self)
        except StoreUnavailable:
            return

    def put(self) -> None:
        n = self._number()
        key = f"key {n}" if self._dice.random() < 0.3 else None
        if key:
            self._report("key", n, key, self._type)
        new = new_task(self._type, n)
        told = self._told([n], ["waits", 0], lambda: self._queue.enqueue(new, key=key))
        self._waiting[n] = told.task_id

    def put_many(self) -> None:
        numbers = [self._number() for _ in range(self._dice.randrange(2, 5))]
        self._report("batch", *numbers)
        news = [NewTask(self._type, {"n": n}) for n in numbers]
        told = self._told(numbers, ["waits", 0], lambda: self._queue.enqueue_many(news))
        self._waiting.update({n: one.task_id for n, one in zip(numbers, told, strict=True)})

    def put_batch(self) -> None:
        numbers = [self._number() for _ in range(self._dice.randrange(2, 5))]
        self._report("batch", *numbers)
        news = [NewTask(self._type, {"n": n}) for n in numbers]
        record = self._told(numbers, ["waits", 0], lambda: self._queue.enqueue_batch(news)).record
        self._report("named batch", record.id, len(numbers))
        self._waiting.update(zip(numbers, record.task_ids, strict=True))

    def claim(self) -> None:
        claims = self._queue.claim(self._type, types=[self._type], max_tasks=self._dice.randrange(1, 4))
        for claim in claims:
            self._waiting.pop(claim.task.data["n"], None)
        self._held += claims

    def extend(self) -> None:
        if self._held:
            lease = self._dice.choice(self._held).lease
            self._queue.extend(lease.task_id, lease.token)

    def progress(self) -> None:
        if self._held:
            lease = self._dice.choice(self._held).lease
            self._queue.extend(lease.task_id, lease.token, percent=self._dice.random() * 100, checkpoint={"page": 1})

    def complete(self) -> None:
        if (claim := self._drop()) is not None:
            n, lease = claim.task.data["n"], claim.lease
            self._told([n], ["done", n], lambda: self._queue.complete(lease.task_id, lease.token, n))

    def fail(self) -> None:
        if (claim := self._drop()) is not None:
            n, lease, attempts = claim.task.data["n"], claim.lease, claim.task.attempts + 1
            is_last = attempts > claim.task.max_retries
            failure = Failure("no", data=-n, retry_after_seconds=0)
            self._report("try", [n], ["waits", attempts])  # counted in the claim before it is given up or finished
            self._told([n], ["dead", -n] if is_last else ["waits", attempts],
                       lambda: self._queue.fail(lease.task_id, lease.token, failure))
            if is_last:
                self._ended[n] = lease.task_id
            else:
                self._waiting[n] = lease.task_id

    def release(self) -> None:
        if (claim := self._drop()) is not None:
            n, lease, delay = claim.task.data["n"], claim.lease, self._dice.choice((0.0, 5.0))
            self._told([n], ["waits", claim.task.attempts],
                       lambda: self._queue.release(lease.task_id, lease.token, delay_seconds=delay))
            self._waiting[n] = lease.task_id

    def cancel(self) -> None:
        if self._waiting:
            n = self._dice.choice(list(self._waiting))
            task_id = self._waiting.pop(n)
            self._told([n], ["cancelled", None], lambda: self._queue.cancel(task_id, by="tests"))
            self._ended[n] = task_id

    def cancel_running(self) -> None:
        """It is doomed; its worker does not know yet and comes with a result, which is refused."""
        if (claim := self._drop()) is not None:
            n, lease = claim.task.data["n"], claim.lease
            self._report("try", [n], ["cancelled", None])
            self._queue.cancel(lease.task_id, by="tests")
            self._report("doomed", n)
            try:
                self._queue.complete(lease.task_id, lease.token, "too late")
            except TaskCancelled:
                self._report("ack", [n], ["cancelled", None])
                self._ended[n] = lease.task_id

    def retry(self) -> None:
        if self._ended:
            n = self._dice.choice(list(self._ended))
            task_id = self._ended.pop(n)
            self._told([n], ["waits", 0], lambda: self._queue.retry(task_id, by="tests"))
            self._waiting[n] = task_id

    def _told(self, numbers: list[int], fate: list[Any], verb: Callable[[], Any]) -> Any:
        self._report("try", numbers, fate)
        answer = verb()
        self._report("ack", numbers, fate)
        return answer

    def _drop(self) -> Claim | None:
        return self._held.pop(self._dice.randrange(len(self._held))) if self._held else None

    def _number(self) -> int:
        self._next += 1
        return self._next


VERBS = (Teller.put, Teller.put, Teller.put, Teller.put_many, Teller.put_batch, Teller.claim, Teller.claim,
         Teller.extend, Teller.progress, Teller.complete, Teller.complete, Teller.fail, Teller.fail, Teller.release,
         Teller.cancel, Teller.cancel_running, Teller.retry)


def new_task(kind: str, n: int) -> NewTask:
    """The same again for the same number; every fifth has a unique key."""
    return NewTask(kind, {"n": n}, max_retries=n % 3, options=Options(unique_key=None if n % 5 else f"unique {n}"))


def queue_on_disk(root: Path, clock: Any = None) -> Queue:
    clock = clock or SystemClock()
    return Queue(FileStore(Settings(root=root), clock), clock=clock)


def tell_all(root: Path, report: Report, chapter: int, seed: int) -> None:
    """The life of the process: several threads and a sweep, until the disk refuses all of them."""
    queue = queue_on_disk(root)
    try:
        queue.start()
    except (StoreUnavailable, RefusedToStart):  # the power went so soon
        return
    tellers = [Teller(queue, report, f"type {chapter} {each}", chapter * 1_000_000 + each * 100_000, seed + each)
               for each in range(THREADS)]
    threads = [threading.Thread(target=teller.tell) for teller in tellers]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        try:
            queue.sweep()
        except StoreUnavailable:
            break
        threads[0].join(0.01)
    for thread in threads:
        thread.join()
