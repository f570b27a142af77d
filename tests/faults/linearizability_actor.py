"""A process that calls the queue at random and writes down, before and after each call, what it asked and was told."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from taskspool.clock import IdMaker
from taskspool.engine.file_store import FileStore
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, Priority, Result
from taskspool.errors import TaskspoolError
from taskspool.settings import Settings

RATE = 20.0
"""So many seconds of the queue pass in one of ours: a lease of a second ends after a twentieth."""
LEASES = (0, 1, 1, 4)
MAX_CRASHES, GRACE_SECONDS = 3, 1.0
RECORD_BYTES = 160
Answer = Sequence[Any]


class SwiftClock:
    """The same in every process that was forked from the one that made it."""

    def __init__(self) -> None:
        self._wall, self._began = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=(time.monotonic() - self._began) * RATE)

    def monotonic(self) -> float:
        return time.monotonic() * RATE

    def boottime(self) -> float:
        return self.monotonic()


class Known:
    """The tasks and tokens all actors have heard of; each may meddle with those of the others."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, task_id: str, token: str) -> None:
        os.write(self._file, f"{task_id} {token}".ljust(RECORD_BYTES).encode())

    def any_of(self, dice: random.Random, latest: int) -> tuple[str, str]:
        """One of the ``latest`` that were added."""
        count = os.fstat(self._file).st_size // RECORD_BYTES
        number = count - 1 - dice.randrange(min(latest, count)) if count else -1
        if number < 0:
            return "", ""
        task_id, token = os.pread(self._file, RECORD_BYTES, number * RECORD_BYTES).decode().rstrip(" ").split(" ")
        return task_id, token


class Actor:
    """``name`` is unique in its history, also over restarts."""

    def __init__(self, name: str, root: Path, known: Known, log: Path, seed: str, clock: SwiftClock) -> None:
        self._name = name
        self._dice = random.Random(seed)
        self._known = known
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._ids, self._next_id = IdMaker(), ""
        self._held: list[tuple[str, str]] = []
        self._calls = 0
        self.queue = Queue(FileStore(Settings(root=root, durability="fast", max_crashes=MAX_CRASHES), clock),
                           clock=clock, ids=lambda: self._next_id, max_crashes=MAX_CRASHES, backoff=lambda _: 1.0,
                           cancel_grace_seconds=GRACE_SECONDS)
        self.queue.start()

    def act(self, calls: int) -> None:
        verbs = list(VERBS)
        weights = [VERBS[verb][1] for verb in verbs]
        for verb in self._dice.choices(verbs, weights, k=calls):
            VERBS[verb][0](self)

    def leave(self) -> None:
        self._write("left", time.monotonic())
        self.queue.close()

    # -- writing down --------------------------------------------------------------------------------------------

    def _write(self, *event: Any) -> None:
        os.write(self._log, (json.dumps([self._name, *event]) + "\n").encode())

    def call(self, verb: str, task_id: str, act: Callable[[], Answer], **asked: Any) -> Answer:
        """One call, written down. A refusal is an answer: the name of the error."""
        self._calls += 1
        self._write("began", self._calls, time.monotonic(), verb, task_id, asked)
        try:
            answer = act()
        except TaskspoolError as error:
            answer = [type(error).__name__]
        self._write("ended", self._calls, time.monotonic(), answer)
        return answer

    # -- the verbs -----------------------------------------------------------------------------------------------

    def put(self) -> None:
        self._next_id = task_id = self._ids()
        retries = self._dice.randrange(3)
        new = NewTask("ping", {}, priority=self._dice.choice(list(Priority)), max_retries=retries)
        self.call("put", task_id, lambda: [self.queue.enqueue(new).task_id], max_retries=retries)
        self._known.add(task_id, "-")

    def claim(self) -> bool:
        seconds = self._dice.choice(LEASES)

        def act() -> Answer:
            claims = self.queue.claim(self._name, lease_seconds=seconds)
            return ["claimed", claims[0].lease.token, claims[0].lease.attempt, claims[0].task.id] if claims else [""]

        return self._hold(self.call("claim", "", act, lease_seconds=seconds))

    def claim_one(self) -> None:
        seconds = self._dice.choice(LEASES)
        task_id, _ = self._known.any_of(self._dice, 30)

        def act() -> Answer:
            lease = self.queue.claim_one(task_id, self._name, lease_seconds=seconds).lease
            return ["claimed", lease.token, lease.attempt, task_id]

        if task_id:
            self._hold(self.call("claim_one", task_id, act, lease_seconds=seconds))

    def _hold(self, answer: Answer) -> bool:
        if answer[0] == "claimed":
            self._held.append((answer[3], answer[1]))
            self._known.add(answer[3], answer[1])
        return answer[0] == "claimed"

    def _lease(self, keep: bool) -> tuple[str, str]:
        """Mostly a lease of its own, the last ones before the old; at times one of somebody else."""
        if self._held and self._dice.random() < 0.9:
            number = len(self._held) - 1 - min(int(self._dice.expovariate(0.7)), len(self._held) - 1)
            return self._held[number] if keep else self._held.pop(number)
        return self._known.any_of(self._dice, 20)

    def extend(self) -> None:
        task_id, token = self._lease(keep=True)
        if task_id:
            self.call("extend", task_id, lambda: ["ok"] if self.queue.extend(task_id, token) else [], token=token)

    def complete(self) -> None:
        self._complete(*self._lease(keep=self._dice.random() < 0.2))

    def _complete(self, task_id: str, token: str) -> None:
        data = f"{self._name} {self._calls}"

        def act() -> Answer:
            return _told(self.queue.complete(task_id, token, {"by": data}))

        if task_id:
            self.call("complete", task_id, act, token=token, data=data)

    def fail(self) -> None:
        task_id, token = self._lease(keep=self._dice.random() < 0.2)
        data, retryable = f"{self._name} {self._calls}", self._dice.random() < 0.9
        wait = self._dice.choice((0.0, 0.5, 1.0))

        def act() -> Answer:
            result = self.queue.fail(task_id, token, Failure("no", {"by": data}, retryable, wait))
            return ["waits"] if result is None else _told(result)

        if task_id:
            self.call("fail", task_id, act, token=token, data=data, retryable=retryable, wait=wait)

    def release(self) -> None:
        task_id, token = self._lease(keep=self._dice.random() < 0.2)
        wait = self._dice.choice((0.0, 0.0, 1.0))

        def act() -> Answer:
            self.queue.release(task_id, token, delay_seconds=wait)
            return ["ok"]

        if task_id:
            self.call("release", task_id, act, token=token, wait=wait)

    def cancel(self) -> None:
        task_id, _ = self._known.any_of(self._dice, 20)
        if task_id:
            self.call("cancel", task_id, lambda: [self.queue.cancel(task_id, by=self._name).state.value])

    def retry(self) -> None:
        task_id, _ = self._known.any_of(self._dice, 60)
        if task_id:
            self.call("retry", task_id, lambda: [self.queue.retry(task_id, by=self._name).state.value])

    def find(self) -> None:
        self.find_one(self._known.any_of(self._dice, 40)[0])

    def find_one(self, task_id: str) -> None:
        def act() -> Answer:
            found = self.queue.task(task_id)
            return [found.state.value, *([found.lease.token] if found.lease else [])]

        if task_id:
            self.call("find", task_id, act)

    def result(self) -> None:
        self.result_of(self._known.any_of(self._dice, 40)[0])

    def result_of(self, task_id: str) -> None:
        if task_id:
            self.call("result", task_id, lambda: _told(self.queue.result(task_id)))

    def sweep(self) -> None:
        self.queue.sweep()

    def work_off(self) -> bool:
        """Claim and complete whatever is ready. True when nothing waits and nobody works."""
        self.queue.sweep()
        while self.claim():
            self._complete(*self._held.pop())
        counts = self.queue.counts()
        return not counts.ready + counts.scheduled + counts.claimed


def _told(result: Result) -> Answer:
    """Its status, and who wrote it; None when it was the queue itself."""
    return [result.status, result.data["by"] if result.data else None]


VERBS: dict[str, tuple[Callable[[Actor], object], int]] = {
    "put": (Actor.put, 18), "claim": (Actor.claim, 26), "claim_one": (Actor.claim_one, 6),
    "complete": (Actor.complete, 14), "fail": (Actor.fail, 12), "extend": (Actor.extend, 8),
    "release": (Actor.release, 8), "cancel": (Actor.cancel, 5), "retry": (Actor.retry, 6),
    "find": (Actor.find, 8), "result": (Actor.result, 5), "sweep": (Actor.sweep, 12),
}
"""What an actor may do, and how often beside the others."""
