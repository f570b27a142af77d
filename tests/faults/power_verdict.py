"""What a power cut left is looked at, recovered twice, asked again, and worked off to the end.

``broken`` are the promises that did not hold, a sentence each. ``tally`` counts in the words of Jepsen's total-queue.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from faults.power_story import new_task, queue_on_disk
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import Snapshot, State
from taskspool.errors import NotFound

Fate = tuple[str, Any]
NOWHERE: Fate = ("nowhere", None)
PUBLIC = ("scheduled", "tasks", "claimed/*", "done", "dead", "cancelled", "results", "keys")
WORDS = ("attempt", "acknowledged", "ok", "lost", "unexpected", "duplicated", "recovered")
UNCOUNTED = ("locks", "meta")


class Story:
    """Everything that was reported so far, over any number of power cuts."""

    def __init__(self) -> None:
        self.allowed: dict[int, set[Fate]] = defaultdict(lambda: {NOWHERE})
        """Number -> what may be true of it: what was acknowledged last, or what was being tried."""
        self.acknowledged: set[int] = set()
        self.batches: list[list[int]] = []
        self.keys: dict[int, tuple[str, str]] = {}
        self.named: dict[str, int] = {}
        self.doomed: set[int] = set()

    def hear(self, events: list[list[Any]]) -> None:
        for kind, *rest in events:
            if kind == "batch":
                self.batches.append(rest)
            elif kind == "named batch":
                self.named[rest[0]] = rest[1]
            elif kind == "doomed":
                self.doomed.add(rest[0])
            elif kind == "key":
                self.keys[rest[0]] = (rest[1], rest[2])
            elif kind == "try":
                self.doomed -= set(rest[0]) if rest[1][0] == "waits" else set()
                for n in rest[0]:
                    self.allowed[n].add(tuple(rest[1]))
            elif kind == "ack":
                self.acknowledged.update(rest[0])
                self.allowed.update({n: {tuple(rest[1])} for n in rest[0]})


class Verdict:
    def __init__(self, root: Path, story: Story) -> None:
        self.broken: list[str] = []
        self.tally: Counter[str] = Counter(dict.fromkeys(WORDS, 0))
        self._root = root
        self._folder = root / "task_queue"
        self._story = story
        self._clock = FakeClock()

    def judge(self) -> Verdict:
        """The story goes on from what is found; call ``work_off`` after the last cut."""
        self._see_no_torn_file()
        once = self._recover()
        if once != (twice := self._recover()):
            self.broken.append(f"recovered twice is not recovered once: {sorted(set(once) ^ set(twice))}")
        queue = queue_on_disk(self._root, self._clock)
        queue.start()
        try:
            self._check(queue)
        finally:
            queue.close()
        return self

    def _see_no_torn_file(self) -> None:
        for pattern in PUBLIC:
            for path in self._folder.glob(f"{pattern}/*"):
                try:
                    assert path.is_dir() or isinstance(json.loads(path.read_bytes()), dict)
                except (ValueError, AssertionError):
                    self.broken.append(f"torn: {path.relative_to(self._folder)} is visible and not whole")

    def _recover(self) -> list[tuple[str, str]]:
        """Start, sweep, stop; every file that counts, with its content."""
        queue = queue_on_disk(self._root, self._clock)
        queue.start()
        queue.sweep()
        self.broken += [f"problem after recovery: {problem}" for problem in queue.store.problems()]
        queue.close()
        return sorted((str(path.relative_to(self._folder)), hashlib.sha256(path.read_bytes()).hexdigest())
                      for path in self._folder.rglob("*")
                      if path.is_file() and path.relative_to(self._folder).parts[0] not in UNCOUNTED
                      and not path.name.startswith("index"))

    def _check(self, queue: Queue) -> None:
        found: dict[int, list[Snapshot]] = defaultdict(list)
        for state in State:
            for snapshot in queue.listing(state, limit=1_000_000):
                found[snapshot.task.data["n"]].append(snapshot)
        for n, snapshots in found.items():
            if n not in self._story.allowed:
                self._count("unexpected", f"task {n} was never put")
            if len(snapshots) > 1:
                self._count("duplicated", f"task {n} is there {len(snapshots)} times")
        self.tally.update(attempt=len(self._story.allowed), acknowledged=len(self._story.acknowledged),
                          recovered=len(found.keys() - self._story.acknowledged))
        for n, allowed in self._story.allowed.items():
            fate = fate_of(queue, found[n][0]) if n in found else NOWHERE
            if fate not in allowed:
                self._count("lost", f"task {n} may be {sorted(map(str, allowed))}, and is {fate}")
            elif n in self._story.acknowledged:
                self.tally["ok"] += 1
            self._story.allowed[n] = {fate}
        for batch in self._story.batches:
            if len({n in found for n in batch}) != 1:
                self.broken.append(f"of the batch {batch} only {sorted(found.keys() & set(batch))} came")

        for batch_id, size in self._story.named.items():
            try:
                counted = sum(queue.batch(batch_id).counts.values())
            except NotFound:
                counted = 0
            if counted != size:
                self._count("lost", f"the batch {batch_id} of {size} tasks has {counted}")

    def _count(self, word: str, sentence: str) -> None:
        self.tally[word] += 1
        self.broken.append(sentence)

    def work_off(self) -> Verdict:
        """Who got no answer asks again; workers come; every task is finished once, and no finished one again."""
        queue = queue_on_disk(self._root, self._clock)
        queue.start()
        try:
            self._ask_again(queue)
            self._finish(queue)
            self.broken += [f"problem at the end: {problem}" for problem in queue.store.problems()]
        finally:
            queue.close()
        return self

    def _ask_again(self, queue: Queue) -> None:
        for n, (key, kind) in self._story.keys.items():
            again = queue.enqueue(new_task(kind, n), key=key)
            if again.created and n in self._story.acknowledged:
                self._count("duplicated", f"{key}, asked again, makes task {n} anew")

    def _finish(self, queue: Queue) -> None:
        finished = Counter(result.task_id for result in queue.latest_results(1_000_000))
        numbers: Counter[int] = Counter()
        for _ in range(3):
            self._clock.advance(3600)
            queue.sweep()
            queue.sweep()
            for claim in queue.claim("drain", max_tasks=1_000_000):
                finished[claim.task.id] += 1
                numbers[claim.task.data["n"]] += 1
                queue.complete(claim.task.id, claim.lease.token, "drained")
                if claim.task.data["n"] in self._story.doomed:
                    self.broken.append(f"task {claim.task.data['n']} was cancelled, and is handed out")
        for name, times in [*finished.items(), *numbers.items()]:
            if times > 1:
                self._count("duplicated", f"{name} was handed out {times} times, or after it was finished")
        counts = queue.counts()
        if counts.ready + counts.scheduled + counts.claimed:
            self._count("lost", f"nobody can finish what is left: {counts}")


def fate_of(queue: Queue, snapshot: Snapshot) -> Fate:
    """What stands in the files, in the words of the story."""
    if snapshot.state in (State.DONE, State.DEAD):
        return snapshot.state.value, queue.result(snapshot.task.id).data
    if snapshot.state is State.CANCELLED:
        return "cancelled", None
    return "waits", snapshot.task.attempts
