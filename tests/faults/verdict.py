"""What a crash left is looked at, repaired twice, looked at again, and worked off to the end. Every broken promise is a
sentence; a sound queue yields none."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from faults.stage import LEASE_SECONDS, Scenario
from taskspool.engine.file_store import FileStore
from taskspool.engine.history import SELF
from taskspool.engine.layout import parse_claim
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask, Priority, Snapshot, State
from taskspool.errors import NotFound
from taskspool.settings import Settings

PUBLIC = ("scheduled", "tasks", "claimed/*", "done", "dead", "cancelled", "results", "keys", "cancelling", "batches",
          "meta")
ROUNDS, ROUND_SECONDS = 4, 43_200.0
"""How long the folder is worked off at the end: longer than anything in the stories waits."""
UNCOUNTED = ("locks", "meta", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm")
"""What two recoveries may leave differently: epochs, and a cache."""


def queue_on(root: Path, clock: FakeClock) -> Queue:
    return Queue(FileStore(Settings(root=root, lease_seconds=LEASE_SECONDS), clock), clock=clock,
                 lease_seconds=LEASE_SECONDS, backoff=lambda _: 30.0)


MAY_BE: Mapping[str, Collection[State]] = {
    "cancelled": (State.CANCELLED,), "wanted": (State.CANCELLED,), "later": (State.SCHEDULED, State.CANCELLED),
    "retrying": (State.DEAD, State.CANCELLED, State.READY), "promoting": (State.SCHEDULED, State.READY),
    "promoted": (State.READY,),
}


@dataclass
class Story:
    """What was reported, sorted by kind."""

    events: list[list[Any]]
    tried: set[int] = field(default_factory=set)
    put: dict[str, int] = field(default_factory=dict)
    runs: dict[str, set[str]] = field(default_factory=dict)
    fate: dict[str, tuple[str, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    planted: set[str] = field(default_factory=set)
    values: dict[str, list[Any]] = field(default_factory=dict)
    """What was set -> what it may be: the last value that was acknowledged, and the one that was under way."""

    def __post_init__(self) -> None:
        for kind, *rest in self.events:
            if kind == "try":
                self.tried.update(rest)
            elif kind == "put":
                self.put[rest[0]] = rest[1]
            elif kind in ("claimed", "local", "run"):
                self.runs.setdefault(rest[0], set()).add(rest[1] if kind == "claimed" else kind)
                self.fate[rest[0]] = (kind, rest[-1])
            elif kind in ("done", "dead", "waits", "pruned", "cancelled", "wanted", "later", "retrying",
                          "either", "promoting", "promoted"):
                self.fate[rest[0]] = (kind, rest[-1])
            elif kind == "setting":
                self.values.setdefault(rest[0], [None]).append(rest[1])
            elif kind == "set":
                self.values[rest[0]] = [rest[1]]
            elif kind == "pruning":
                self.gone.add(rest[0])
            elif kind == "planted":
                self.planted.add(rest[0])

    def of_kind(self, kind: str) -> list[list[Any]]:
        return [rest for name, *rest in self.events if name == kind]


class Verdict:
    """Judges one folder. ``broken`` are the promises that did not hold, ``tally`` counts in Jepsen's words."""

    def __init__(self, scenario: Scenario, root: Path, events: list[list[Any]], clock: FakeClock | None = None) -> None:
        self.broken: list[str] = []
        self.tally: Counter[str] = Counter()
        self._scenario = scenario
        self._root = root
        self._folder = root / "task_queue"
        self._story = Story(events)
        self._clock = clock or FakeClock()
        self._is_alive = False

    def judge(self) -> Verdict:
        self._see_no_torn_file()
        self._count_claims()
        once = self._recover()
        twice = self._recover()
        if once != twice:
            differing = sorted(set(once.items()) ^ set(twice.items()))
            self.broken.append(f"recovered twice is not recovered once: {differing}")
        queue = queue_on(self._root, self._clock)
        queue.start()
        try:
            queue.sweep()
            self._check(queue)
            self._work_off(queue)
        finally:
            queue.close()
        return self

    def judge_alive(self, queue: Queue) -> Verdict:
        """The same without any restart: ``queue`` met an error, and must be sound again after two sweeps."""
        self._is_alive = True
        self._see_no_torn_file()
        self._count_claims()
        queue.sweep()
        queue.sweep()
        self._check(queue)
        for snapshot, lease in queue.leases():
            if self._story.fate.get(lease.task_id, ("",))[0] == "local" and not lease.lease_seconds:
                queue.release(snapshot.task.id, lease.token)    # its holder knows of it and lives
        self._work_off(queue)
        return self

    def _see_no_torn_file(self) -> None:
        """Before any repair: whoever reads a public folder at this moment finds whole files only."""
        for pattern in PUBLIC:
            for path in self._folder.glob(f"{pattern}/*"):
                is_foreign = path.parent.name == "tasks" and path.name.startswith("0000000")
                if path.name in self._story.planted or is_foreign or path.is_dir():
                    continue
                try:
                    json.loads(path.read_text(encoding="utf-8"))
                except ValueError:
                    self.broken.append(f"torn: {path.relative_to(self._folder)} is visible and not whole")

    def _count_claims(self) -> None:
        """Runs nobody was told of: their claim stands there."""
        for path in self._folder.glob("claimed/*/*"):
            if (lease := parse_claim(path.parent.name, path.name)) is not None:
                self._story.runs.setdefault(lease.task_id, set()).add(lease.token)

    def _recover(self) -> dict[str, str]:
        """Start, sweep, stop; every file that counts, by its content."""
        queue = queue_on(self._root, self._clock)
        queue.start()
        queue.sweep()
        self.broken += [f"problem after recovery: {problem}" for problem in queue.store.problems()
                        if not any(name in problem for name in self._story.planted)]    # its minute is not over
        queue.close()
        return {
            str(path.relative_to(self._folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self._folder.rglob("*")
            if path.is_file() and path.relative_to(self._folder).parts[0] not in UNCOUNTED
        }

    def _check(self, queue: Queue) -> None:
        """Immediately after recovery, no time having passed: all that was acknowledged is there, nothing else is."""
        story = self._story
        found = [one for state in State for one in queue.listing(state, limit=1000)]
        numbers = Counter(one.task.data["n"] for one in found if "n" in one.task.data)
        self.tally.update(attempt=len(story.tried), acknowledged=len(story.put))
        for n, times in numbers.items():
            if n not in story.tried:
                self._count("unexpected", f"task {n} was never put")
            if times > 1:
                self._count("duplicated", f"task {n} is there {times} times")
        self.tally["recovered"] += len(set(numbers) - set(story.put.values()))
        for task_id, n in story.put.items():
            self._check_one(queue, task_id, n)
        self._check_batches(queue, numbers)
        self._check_owners(queue, found)
        self._check_values(queue)
        for key, task_id, n in story.of_kind("key"):
            again = queue.enqueue(NewTask("ping", {"n": n}), key=key)
            if (again.task_id, again.created) != (task_id, False):
                self._count("duplicated", f"key {key} does not stand for its task any more")

        for key, n in story.of_kind("asks"):
            queue.enqueue(NewTask("ping", {"n": n}), key=key)   # the client that got no answer asks again
            times = sum(one.task.data.get("n") == n for state in State for one in queue.listing(state, limit=1000))
            if times != 1:
                self._count("duplicated", f"key {key}, asked again, makes {times} tasks {n}")

    def _check_batches(self, queue: Queue, numbers: Counter[int]) -> None:
        for batch in self._story.of_kind("batch"):
            if len({n in numbers for n in batch}) != 1:
                self.broken.append(f"of the batch {batch} only {sorted(numbers)} came")
        named = [batch.record.task_ids for batch in queue.batches(1000)]
        known = [sorted(queue.task(task_id).task.data["n"] for task_id in ids) for ids in named]
        for batch in self._story.of_kind("record"):
            if known.count(sorted(batch)) != (batch[0] in numbers):
                self.broken.append(f"the batch {batch} is found as {known}, its tasks are {sorted(numbers)}")

    def _check_owners(self, queue: Queue, found: list[Snapshot]) -> None:
        """A unique key has one unfinished task, from the first acknowledgement on."""
        owners = Counter(one.task.options.unique_key for one in found if not one.state.is_final)
        for one in found:
            name = one.task.options.unique_key
            if name is None or one.state.is_final:
                continue
            again = queue.enqueue(NewTask("ping", one.task.data, options=Options(unique_key=name)))
            if owners[name] > 1 or again.created:
                self._count("duplicated", f"{one.task.id} is not the only one with the unique key {name}")
        for name, _ in self._story.of_kind("owns"):
            if not owners[name]:
                self._count("lost", f"no task has the unique key {name} any more")

    def _check_values(self, queue: Queue) -> None:
        for what, values in self._story.values.items():
            allowed = values
            kind, _, task_id = what.partition(" ")
            if kind == "paused":
                pauses = queue.paused()
                value: Any = [pauses.queue is not None, sorted(pauses.types)]
                allowed = [one or [False, []] for one in allowed]
            elif kind == "priority":
                value = int(queue.task(task_id).task.priority)
                allowed = [int(Priority.NORMAL) if one is None else one for one in allowed]
            else:
                value = queue.task(task_id).task.checkpoint
            if value not in allowed:
                self._count("lost", f"{what} is {value!r}, and was set to one of {allowed!r}")

    def _check_end(self, queue: Queue, ended: Collection[str]) -> None:
        """Nothing is left, nothing ended but what was worked off, given up in time, or to be cancelled."""
        for task_id, (kind, _) in self._story.fate.items():
            if kind == "wanted" and queue.task(task_id).state is not State.CANCELLED:
                self.broken.append(f"{task_id} was to be cancelled, and is {queue.task(task_id)}")
        for result in queue.latest_results(1000):
            if result.task_id not in ended and result.status != "cancelled" and result.worker != SELF:
                self._count("unexpected", f"nobody can have written {result}")
        for task_id in self._story.put.keys() - self._story.gone:
            snapshot = queue.store.find(task_id)
            if snapshot is not None and not snapshot.state.is_final:
                self._count("lost", f"nobody is ever given {snapshot}")
        counts = queue.counts()
        if counts.ready + counts.scheduled + counts.claimed:
            self._count("lost", f"nobody can finish what is left: {counts}")
        if counts.done + counts.dead + counts.cancelled != counts.results or counts.results < len(ended):
            self.broken.append(f"the counts do not add up: {counts}, finished {len(ended)}")

    def _count(self, word: str, sentence: str) -> None:
        self.tally[word] += 1
        self.broken.append(sentence)

    def _check_one(self, queue: Queue, task_id: str, n: int) -> None:
        kind, said = self._story.fate.get(task_id, ("put", None))
        try:
            snapshot = queue.task(task_id)
        except NotFound:
            if task_id in self._story.gone:
                self.tally["ok"] += 1
            else:
                self._count("lost", f"task {n} ({kind}) is lost")
            return
        if kind == "pruned":
            self.broken.append(f"task {n} was pruned and is back as {snapshot.state}")
        elif not self._is_as_told(queue, snapshot, kind, said):
            self._count("lost", f"task {n} was acknowledged as {kind} {said!r}, and is {snapshot}")
        else:
            self.tally["ok"] += 1

    def _is_as_told(self, queue: Queue, snapshot: Snapshot, kind: str, said: Any) -> bool:
        task = snapshot.task
        if kind in ("done", "dead"):
            return snapshot.state is State(kind) and queue.result(task.id).data == said
        if kind == "wanted" and snapshot.state is State.CLAIMED:
            return queue.cancel_request(task.id) is not None
        if kind in MAY_BE:
            return snapshot.state in MAY_BE[kind]
        if kind == "waits":
            return snapshot.state in (State.READY, State.SCHEDULED) and (task.attempts, task.crashes) == (said, 0)
        if kind == "local" and self._is_alive:
            return snapshot.state is State.CLAIMED
        if kind == "local":
            return snapshot.state is State.READY and (task.attempts, task.crashes) == (0, 1)
        if kind == "claimed" and self._scenario.keeps_claims:
            return snapshot.lease is not None and snapshot.lease.token == said
        return True

    def _work_off(self, queue: Queue) -> None:
        """Time passes, workers come: every unfinished task is handed out and finished once, no finished one again."""
        finished = {result.task_id: result for result in queue.latest_results(1000)}
        worked: Counter[str] = Counter()
        queue.resume()
        if paused := list(queue.paused().types):
            queue.resume(paused)
        for _ in range(ROUNDS):
            queue.sweep()
            self._clock.advance(ROUND_SECONDS)
            queue.sweep()
            for claim in queue.claim("drain", max_tasks=100):
                worked[claim.task.id] += 1
                runs = len(self._story.runs.get(claim.task.id, ()))
                if claim.task.attempts + claim.task.crashes > runs:
                    self.broken.append(f"{claim.task} counts more runs than the {runs} there were")
                queue.complete(claim.task.id, claim.lease.token, {"by": "drain"})
        for task_id in worked:
            if worked[task_id] > 1 or task_id in finished:
                self._count("duplicated", f"{task_id} was finished, and handed out again")
        for task_id, result in finished.items():
            if queue.store.result(task_id) != result:
                self._count("lost", f"the result of {task_id} changed from {result}")
        self._check_end(queue, finished.keys() | worked.keys())
        aside = {path.name.partition("-")[2] for path in (self._folder / "quarantine").iterdir()}
        self.broken += [f"{name} was not put aside" for name in self._story.planted - aside]
        self.broken += [f"problem at the end: {problem}" for problem in queue.store.problems()]
