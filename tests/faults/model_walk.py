"""Two real processes' worth of queue on one folder, the dictionary beside them, and dice."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from contract.candidates import Candidate
from contract.states import NOBODY
from faults.model import FINAL, GRACE_SECONDS, MAX_CRASHES, WAITING, Entry, Model
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import PLAIN, Options
from taskspool.engine.task import NewTask, Priority, State
from taskspool.errors import TaskspoolError
from waiting import eventually

TYPES = ("ping", "sum", "mail")
NEVER_A_TOKEN = "1-1-3c-1-00"


class Walk:
    """Two processes on one folder, and the dictionary beside them."""

    def __init__(self, candidate: Candidate, folder: Path, dice: random.Random) -> None:
        self.candidate, self.dice, self.clock = candidate, dice, candidate.clock
        self.folder = folder
        self.model = Model(candidate.clock)
        self.queues = [self._open(), self._open()]
        self.tokens: list[tuple[str, str]] = []
        self.story: list[str] = []
        self.process = 0
        self.foreign = 0

    def _open(self) -> Queue:
        return self.candidate.open(max_crashes=MAX_CRASHES, cancel_grace_seconds=GRACE_SECONDS)

    @property
    def queue(self) -> Queue:
        return self.queues[self.process]

    def step(self, name: str, verb: Callable[[Walk], None]) -> None:
        """One verb, asked of one of the processes. What disagrees is told with the steps before it."""
        self.process = self.dice.randrange(2)
        self.story.append(f"{name} by {self.process}")
        try:
            verb(self)
        except AssertionError as error:
            raise AssertionError("\n".join([*self.story[-40:], str(error)])) from error

    def same(self, told: object, expected: object, what: str = "") -> None:
        self.story[-1] += f" {what}: {told}"
        self.agree(told, expected)

    def agree(self, told: object, expected: object) -> None:
        assert told == expected, f"told {told!r}, the model says {expected!r}"

    def ask(self, act: Callable[[], Any]) -> Any:
        """The answer, or the name of the error."""
        try:
            return act()
        except TaskspoolError as error:
            return type(error).__name__

    def let_time_pass(self, seconds: float) -> None:
        """On the fake clock, and (a tick of it) on the file system's: seconds later a file never has the same time."""
        self.clock.advance(seconds)
        probe = self.folder.parent / "probe"
        probe.touch()
        before = probe.stat().st_mtime_ns
        while probe.stat().st_mtime_ns == before:   # 4 ms at most, often none
            probe.touch()

    def sweep(self) -> None:
        """Also, if need be, until this process has heard of what the other one has put there: looks go on behind."""
        before = {entry.id: entry.state for entry in self.model.tasks.values()}
        self.queue.sweep()
        self.model.sweep(self.process)
        for entry in self.model.tasks.values():
            if entry.state != before[entry.id]:
                self._await(entry)

    def _await(self, entry: Entry) -> None:
        def has_come() -> bool:
            found = self.queue.store.find(entry.id)
            is_there = found is not None and found.state.value == entry.state
            return is_there or self.queue.sweep() is None

        eventually(has_come, 3, why=f"the model says {entry}")

    def look(self) -> None:
        """Until this process has everything in its line that can be claimed, in its order: the look may go on behind
        its back, and what the other one revised is told by the index."""
        self.sweep()
        wanted = [entry.id for entry in self.model.claimable(None)]
        eventually(lambda: self._in_line(wanted) == wanted or self.queue.sweep() is None,
                   why=f"the model says {wanted}")

    def _in_line(self, ids: list[str]) -> list[str]:
        """Those of ``ids`` that this process knows, in the order of claiming."""
        places = {task_id: place for task_id in ids if (place := self.queue.store.position(task_id)) is not None}
        return sorted(places, key=lambda task_id: places[task_id])

    def tell(self) -> None:
        """The index knows all that was done until now. What two processes tell it is put in order by the clock, which
        stands still here, or jumps; so what changes a waiting task is told before anything else comes."""
        for queue in self.queues:
            queue.store.index.last_event_id()

    def restart(self) -> None:
        self.queue.close()
        self.queues[self.process] = self._open()
        self.queue.sweep()
        self.model.start(self.process)

    # -- choosing ------------------------------------------------------------------------------------------------

    def any_id(self) -> str:
        """A task in any state, the states being equally likely; rarely one there never was."""
        kinds = [found for state in State if (found := self.model.of(state.value))]
        if not kinds or self.dice.random() < 0.02:
            return NOBODY
        return self.dice.choice(self.dice.choice(kinds)[-20:]).id

    def any_lease(self) -> tuple[str, str]:
        """Mostly one that is held, else one that was."""
        held = self.model.of("claimed")
        if held and self.dice.random() < 0.7:
            entry = self.dice.choice(held)
            return entry.id, entry.token
        if self.tokens and self.dice.random() < 0.9:
            return self.dice.choice(self.tokens[-30:])
        return self.any_id(), NEVER_A_TOKEN

    def new(self) -> NewTask:
        dice, now = self.dice, self.clock.now()
        options = PLAIN if dice.random() < 0.5 else Options(
            start_before=dice.choice((None, None, now + timedelta(seconds=dice.choice((-5, 20, 90))))),
            timeout_seconds=dice.choice((None, 15.0, 70.0)), total_timeout_seconds=dice.choice((None, None, 200.0)),
            lease_seconds=dice.choice((None, 10)), unique_key=dice.choice((None, None, "u1", "u2")))
        return NewTask(dice.choice(TYPES), {"n": dice.randrange(100)}, priority=dice.choice(list(Priority)),
                       max_retries=dice.choice((0, 0, 1, 3)), delay_seconds=dice.choice((0.0, 0.0, 0.0, 5.0, 100.0)),
                       options=options, on_conflict=dice.choice(("existing", "reject", "replace")))

    # -- comparing -----------------------------------------------------------------------------------------------

    def compare(self, task_id: str) -> None:
        """The task is where the model has it, seen by one of the processes, and tells the same about itself."""
        queue, entry = self.dice.choice(self.queues), self.model.tasks.get(task_id)
        if entry is not None and entry.state in WAITING and entry.is_late(self.clock.now()):
            self.sweep()    # who asked for it last may have left it out of the line already
        found = queue.store.find(task_id)
        self.agree(found and found.state.value, entry and entry.state)
        self.agree(queue.lease_of(task_id) is not None, entry is not None and entry.state == "claimed")
        self.agree(queue.store.result(task_id) is not None, entry is not None and entry.state in FINAL)
        if entry is None or found is None:
            return
        task = found.task
        self.agree((task.attempts, task.crashes, task.checkpoint), (entry.attempts, entry.crashes, entry.checkpoint))
        self.agree(-int(task.priority), entry.rank[0])
        if entry.state not in FINAL:
            self.agree(task.progress and task.progress.percent, entry.percent)
        if entry.state in WAITING:
            self.agree(task.not_before if entry.state == "scheduled" else None, entry.not_before)
        if entry.result is not None:
            result = queue.result(task_id)
            self.agree((result.status, result.data), entry.result[:2])
            if entry.result[2] is not None:
                self.agree(result.completed_at, entry.result[3])

    def compare_all(self) -> None:
        """Every task; and the numbers, as a process tells them that has just come (the index is written behind)."""
        self.sweep()
        for task_id in list(self.model.tasks):
            self.compare(task_id)
        wanted = [len(self.model.of(state.value)) for state in State]
        eventually(lambda: self._numbers() == wanted, why=f"the model counts {wanted}, the queue {self._numbers()}")
        self.tell()
        fresh = self._open()
        for state in State:
            ids = sorted(snapshot.task.id for snapshot in fresh.listing(state, limit=10_000))
            self.agree(ids, sorted(entry.id for entry in self.model.of(state.value)))
        line = [snapshot.task.id for snapshot in fresh.listing(limit=10_000)]
        self.agree(line, [entry.id for entry in sorted(self.model.of("ready"), key=lambda entry: entry.rank)])
        self.agree(list(fresh.store.problems()), [])
        fresh.close()

    def _numbers(self) -> list[int]:
        fresh = self._open()
        counts = fresh.counts()
        fresh.close()
        return [counts.scheduled, counts.ready, counts.claimed, counts.done, counts.dead, counts.cancelled]
