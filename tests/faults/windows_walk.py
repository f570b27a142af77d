"""Clients of a queue that do one verb after the other, chosen by a seed, and believe what they are answered.

What is refused with 503 they repeat, as good clients do: submits under the same Idempotency-Key, ends with the same
token.
"""

from __future__ import annotations

import json
import os
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from faults.windows import WindowsOs
from taskspool.engine import files
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, Priority
from taskspool.errors import LeaseLost, NotRetryable, StoreUnavailable, TaskFinished, TaskNotClaimable, TaskNotFound

TRIES = 20
PAUSE_SECONDS = files.SHARING_PAUSE_SECONDS
"""What each refusal costs outside these tests."""
WORKERS = ("alpha", "Beta/worker", "CON", "trailing.", "gamma delta")


class Story:
    """What the clients were told. ``ended``: id -> what its result must hold; ``cancelled``: how it must have ended;
    ``retried``: neither is promised any more. ``ends``: the tokens under which somebody tried to end it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.attempted = 0
        self.put: dict[str, int] = {}
        self.tried: set[int] = set()
        self.ended: dict[str, Any] = {}
        self.cancelled: set[str] = set()
        self.retried: set[str] = set()
        self.ends: dict[str, set[str]] = {}
        self.verbs: Counter[str] = Counter()
        self.refusals = 0
        self.longest_stalls: dict[str, float] = {}

    def number(self) -> int:
        with self.lock:
            self.attempted += 1
            self.tried.add(self.attempted)
            return self.attempted


class Client:
    """One thread's share of the walk: ``step`` does one verb."""

    def __init__(self, queue: Queue, clock: FakeClock, folder: Path, story: Story, shim: WindowsOs, seed: int) -> None:
        self._queue = queue
        self._shim = shim
        self._clock = clock
        self._folder = folder
        self._story = story
        self._dice = random.Random(seed)
        self._verb = ""
        self._mine: list[tuple[str, str]] = []
        self._verbs: list[Callable[[], None]] = [
            self.submit, self.submit, self.submit_batch, self.drop, self.claim, self.claim, self.claim_many,
            self.complete, self.complete, self.complete, self.fail, self.release, self.extend, self.sweep, self.look,
            self.cancel, self.retry,
        ]

    def step(self) -> None:
        verb = self._dice.choice(self._verbs)
        self._verb = verb.__name__
        self._story.verbs[self._verb] += 1
        verb()

    def _insist(self, call: Callable[[], Any]) -> Any:
        """The answer to ``call``, asked again while it is 503; None when that does not end."""
        for _ in range(TRIES):
            before = self._shim.refused_here()
            try:
                return call()
            except StoreUnavailable:
                self._story.refusals += 1
            finally:
                stall = (self._shim.refused_here() - before) * PAUSE_SECONDS
                self._story.longest_stalls[self._verb] = max(self._story.longest_stalls.get(self._verb, 0.0), stall)
        return None

    def submit(self) -> None:
        n = self._story.number()
        new = NewTask("ping", {"n": n}, priority=self._dice.choice(list(Priority)), max_retries=1)
        if (answer := self._insist(lambda: self._queue.enqueue(new, key=f"key-{n}"))) is not None:
            self._story.put[answer.task_id] = n

    def submit_batch(self) -> None:
        numbers = [self._story.number() for _ in range(3)]
        news = [NewTask("ping", {"n": n}) for n in numbers]
        answers = self._insist(lambda: self._queue.enqueue_many(news, key=f"key-{numbers[0]}"))
        for answer, n in zip(answers or [], numbers, strict=False):
            self._story.put[answer.task_id] = n

    def drop(self) -> None:
        """A foreign program: under another name first, then renamed."""
        n, task_id = self._story.number(), str(uuid.UUID(int=self._dice.getrandbits(128), version=4))
        made = self._folder / "tasks" / f"{task_id}.part"
        made.write_text(json.dumps({"type": "ping", "data": {"n": n}}), encoding="utf-8")
        os.rename(made, made.with_suffix(".json"))
        self._story.put[task_id] = n

    def claim(self) -> None:
        self._claim(1)

    def claim_many(self) -> None:
        self._claim(self._dice.randint(2, 5))

    def _claim(self, limit: int) -> None:
        worker = self._dice.choice(WORKERS)
        for claim in self._insist(lambda: self._queue.claim(worker, max_tasks=limit)) or []:
            self._mine.append((claim.task.id, claim.lease.token))

    def cancel(self) -> None:
        """Waiting or running: from the answer on it can end in no other way, unless it has ended already."""
        if (task_id := self._known()) is not None:
            try:
                if self._insist(lambda: self._queue.cancel(task_id, by="a client")) is not None:
                    self._story.cancelled.add(task_id)
            except TaskFinished:
                pass    # too late: it keeps the end it has

    def retry(self) -> None:
        if (task_id := self._known()) is not None:
            self._story.retried.add(task_id)
            try:
                self._insist(lambda: self._queue.retry(task_id, by="a client"))
            except NotRetryable:
                pass    # it waits, runs, or is done

    def _known(self) -> str | None:
        known = list(self._story.put)
        return self._dice.choice(known) if known else None

    def _take_one(self) -> tuple[str, str] | None:
        return self._mine.pop(self._dice.randrange(len(self._mine))) if self._mine else None

    def complete(self) -> None:
        if (one := self._take_one()) is not None:
            self._end(*one, {"by": one[1]}, lambda data: self._queue.complete(*one, data))

    def fail(self) -> None:
        if (one := self._take_one()) is not None:
            failure = Failure("no", data={"by": one[1]}, retry_after_seconds=5)
            self._end(*one, {"by": one[1]}, lambda _: self._queue.fail(*one, failure))

    def _end(self, task_id: str, token: str, data: Any, call: Callable[[Any], Any]) -> None:
        self._story.ends.setdefault(task_id, set()).add(token)
        try:
            result = self._insist(lambda: call(data) or "not for good")
        except (LeaseLost, TaskNotFound):
            return
        is_for_good = result not in (None, "not for good") and result.status != "cancelled"
        if is_for_good and task_id not in self._story.retried:
            assert self._story.ended.setdefault(task_id, data) == data, f"{task_id} ended twice"

    def release(self) -> None:
        if (one := self._take_one()) is not None:
            delay = self._dice.choice((0.0, 3.0))
            try:
                self._insist(lambda: self._queue.release(*one, delay_seconds=delay))
            except (LeaseLost, TaskNotFound):
                pass    # an earlier try that was refused half-way has given it back

    def extend(self) -> None:
        if self._mine:
            try:
                self._insist(lambda: self._queue.extend(*self._dice.choice(self._mine)))
            except (LeaseLost, TaskNotFound):
                pass    # it ran out meanwhile

    def sweep(self) -> None:
        self._clock.advance(self._dice.choice((0.5, 5.0, 20.0)))
        self._insist(self._queue.sweep)

    def look(self) -> None:
        if (task_id := self._known()) is not None:
            self._insist(lambda: self._queue.task(task_id))     # TaskNotFound would go through: it is never lost


def work_off(queue: Queue, clock: FakeClock, story: Story) -> None:
    """Everything that waits or is held comes to its end."""
    for _ in range(12):
        clock.advance(400)
        queue.sweep()
        queue.sweep()
        for claim in queue.claim("last", max_tasks=10**6):
            try:
                queue.complete(claim.task.id, claim.lease.token, {"by": claim.lease.token})
                story.ends.setdefault(claim.task.id, set()).add(claim.lease.token)
            except (LeaseLost, TaskNotClaimable):
                continue
