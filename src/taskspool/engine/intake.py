"""What comes in: our own tasks, and whatever others put into ``tasks/`` and ``results/``.

Foreign programs write slowly, pop tasks by rewriting them, delete them when done, leave links, pipes and rubbish. A
file is believed once it is a whole task; it is ignored while it may still be written; what stays unreadable for a
minute goes to ``quarantine/`` with the reason beside it. Nothing is ever deleted here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import datetime

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Incomplete, Unreadable, foreign_holder, parse, task_of
from taskspool.engine.layout import id_of, is_temporary, owner_of
from taskspool.engine.place import QUARANTINE_AFTER_SECONDS, Due, Place, Suspect
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.results_watch import ResultsWatch
from taskspool.engine.ready import ReadyLine, entry_of
from taskspool.engine.store import Expired
from taskspool.engine.task import Claim, Lease, Result, Snapshot, State, SweepReport, Task
from taskspool.errors import StoreUnavailable

LOOKS_PER_SWEEP = 50
"""So many waiting files are read again in every sweep, in turn."""


@dataclass(frozen=True, slots=True)
class Popped:
    """A task an old program took by rewriting its file in place; the file's changes are its signs of life."""

    task: Task
    holder: str
    number: files.FileNumber
    since: float


class Intake:
    def __init__(self, place: Place, claims: Claims, reading: Reading, bell: Bell) -> None:
        self.line = ReadyLine()
        self.results = ResultsWatch(place, reading, bell)
        self._place = place
        self._claims = claims
        self._reading = reading
        self._bell = bell
        self._lock = threading.Lock()
        self._suspects: dict[str, Suspect] = {}
        self._popped: dict[str, Popped] = {}
        self._scheduled: dict[str, Task] = {}
        self._again: set[str] = set()
        self._turn: list[str] = []
        self._tasks_due = Due(place.path("tasks"), place.clock)
        self._scheduled_due = Due(place.path("scheduled"), place.clock)

    # -- what our own verbs tell ---------------------------------------------------------------------------------

    def arrived(self, task: Task) -> None:
        if task.not_before is not None:
            self._scheduled[task.id] = task
        elif self.line.add(entry_of(task)):
            self._bell.ring_task(task.type)

    def came_back(self, task_id: str, state: State) -> None:
        """A claim was given up: the task is in ``tasks/`` or ``scheduled/`` again."""
        self._popped.pop(task_id, None)
        if state is State.READY:
            self._adopt(f"{task_id}.json")
        elif (task := self._reading.task_at(self._place.task_path(state, task_id), task_id)) is not None:
            self._scheduled[task_id] = task

    def finished(self, result: Result) -> None:
        self._popped.pop(result.task_id, None)
        self.results.add(result)

    def move_finished(self, path: str, result: Result) -> bool:
        """The task's file -> done/ or dead/, if it is still there. Tidying: the result has made it finished."""
        try:
            files.move(path, self._place.task_path(State.DONE if result.is_success else State.DEAD, result.task_id))
        except FileNotFoundError:
            return False
        return True

    # -- reading one waiting file --------------------------------------------------------------------------------

    def read_ready(self, task_id: str) -> tuple[Task, files.FileNumber] | None:
        """The waiting task and its file's number; None, and the right thing done about it, when it is not to be had:
        gone, not whole, not a task, popped by an old program, held already, or finished."""
        name = f"{task_id}.json"
        path = self._place.task_path(State.READY, task_id)
        now = self._place.clock.monotonic()
        try:
            content, number = files.read(path, self._place.max_file_bytes, only_link=True)
            document = parse(content)
            task = task_of(document, task_id, self._place.clock.now())
        except FileNotFoundError:
            self._suspects.pop(name, None)
            return None
        except (Incomplete, files.SecondName, StoreUnavailable) as error:
            if isinstance(error, StoreUnavailable) and error.details.get("errno") not in files.DAMAGED:
                raise
            self._suspect(name, str(error), now)
            return None
        except (Unreadable, files.NotRegular) as error:
            self._quarantine(name, str(error))
            return None
        self._suspects.pop(name, None)
        if files.exists(self._place.result_path(task_id)):
            if not self._finish_left(task_id, path):
                self._again.add(name)
            return None
        if task_id in self._claims and self._claims.of(task_id) is not None:
            self._again.add(name)
            return None
        holder = foreign_holder(document)
        if holder is not None:
            self._note_popped(Popped(task, holder, number, now))
            return None
        self._popped.pop(task_id, None)
        return task, number

    def _adopt(self, name: str) -> bool:
        """A name in ``tasks/`` -> the line of waiting tasks, if it is one. True when it is new there."""
        task_id = id_of(name)
        if task_id is None:
            if not is_temporary(name):
                self._suspect(name, "its name is not <lower-case UUID>.json", self._place.clock.monotonic())
            return False
        found = self.read_ready(task_id)
        if found is None:
            return False
        is_new = self.line.add(entry_of(found[0]))
        if is_new:
            self._bell.ring_task(found[0].type)
        return is_new

    def _suspect(self, name: str, reason: str, now: float) -> None:
        try:
            number = files.file_number(self._place.path("tasks", name))
        except FileNotFoundError:
            self._suspects.pop(name, None)
            return
        known = self._suspects.get(name)
        if known is None or known.number != number:
            self._suspects[name] = Suspect(number, now, reason)
        elif now - known.since >= QUARANTINE_AFTER_SECONDS:
            self._quarantine(name, f"{reason}; unchanged for {QUARANTINE_AFTER_SECONDS:.0f} seconds")

    def _quarantine(self, name: str, reason: str) -> None:
        self._suspects.pop(name, None)
        self._place.quarantine("tasks", name, reason)

    def _finish_left(self, task_id: str, path: str) -> bool:
        """A task that has a result is finished, whoever wrote it: its file follows. False while the result is not
        whole."""
        result = self._reading.result(task_id)
        if result is None:
            return False
        with self._place.moves.of(task_id):
            moved = self.move_finished(path, result)
        self.line.discard(task_id)
        self.finished(result)
        return moved

    # -- tasks popped in place -----------------------------------------------------------------------------------

    def _note_popped(self, popped: Popped) -> None:
        known = self._popped.get(popped.task.id)
        if known is None or known.number != popped.number:
            self._popped[popped.task.id] = popped
        self.line.discard(popped.task.id)

    def foreign_lease(self, task_id: str) -> Lease | None:
        if task_id not in self._popped:
            self.read_ready(task_id)  # notes it, if it was popped since the last look
        popped = self._popped.get(task_id)
        return None if popped is None else self._lease_of(popped)

    def _lease_of(self, popped: Popped) -> Lease:
        return Lease(popped.task.id, popped.holder, popped.task.next_attempt, "", self._place.settings.lease_seconds,
                     datetime.fromtimestamp(popped.number[1] / 1e9, self._place.clock.now().tzinfo))

    def popped(self) -> list[tuple[Snapshot, Lease]]:
        """What old programs hold, as far as this process has seen it."""
        held = ((popped.task, self._lease_of(popped)) for popped in list(self._popped.values()))
        return [(Snapshot(task, State.CLAIMED, lease.claimed_at, lease.worker), lease) for task, lease in held]

    def overdue_foreign(self) -> list[Expired]:
        now = self._place.clock.monotonic()
        return [Expired(Claim(popped.task, self._lease_of(popped)), popped.number[1])
                for popped in list(self._popped.values()) if now - popped.since >= self._place.settings.lease_seconds]

    # -- looking at the folders ----------------------------------------------------------------------------------

    def settle(self, now: datetime) -> SweepReport:
        """One look at everything others may have changed. See Store.settle."""
        with self._lock:
            quarantined = self._quarantined()
            self._look_again()
            adopted = self._adopt_new()
            finished = sum(map(self._follow, self.results.settle())) + self.finish_claimed()
            promoted = self._promote(now)
            self._ring_for_waiting()
            return SweepReport(promoted=promoted, adopted=adopted, finished=finished,
                               quarantined=self._quarantined() - quarantined)

    def look_at_tasks(self, *, wait: bool = True) -> None:
        """Bring the line up to date, if anything may have changed. ``wait=False``: not if somebody is at it."""
        if self._tasks_due.is_due() and self._lock.acquire(blocking=wait):
            try:
                self._adopt_new()
            finally:
                self._lock.release()

    def look_at_awaited(self) -> None:
        """The results somebody here waits for, if any may have come; not if a sweep is at it."""
        if self._lock.acquire(blocking=False):
            try:
                for result in self.results.awaited():
                    self._follow(result)
            finally:
                self._lock.release()

    def catch_up(self) -> None:
        """Know every result there is."""
        with self._lock:
            for result in self.results.catch_up():
                self._follow(result)

    def _follow(self, result: Result) -> int:
        """A result that somebody wrote: the task's file goes where the result says."""
        paths = (self._place.task_path(state, result.task_id) for state in (State.READY, State.SCHEDULED))
        return sum(self._finish_left(result.task_id, path) for path in paths if files.exists(path))

    def _quarantined(self) -> int:
        return len(files.names(self._place.path("quarantine"))) // 2

    def _adopt_new(self) -> int:
        adopted = 0
        if self._tasks_due.is_due():
            known = self.line.ids()
            names = set(self._tasks_due.look())
            for task_id in known:
                if f"{task_id}.json" not in names:
                    self.line.discard(task_id)
            for task_id in self._popped.keys() - {name[:36] for name in names}:
                self._popped.pop(task_id, None)
            fresh = [name for name in names if name[:36] not in known and name not in self._suspects]
            adopted += sum(self._adopt(name) for name in fresh if name[:36] not in self._popped)
        again, self._again = self._again, set()
        for name in [*self._suspects, *(f"{task_id}.json" for task_id in self._popped), *again]:
            adopted += self._adopt(name)
        return adopted

    def _look_again(self) -> None:
        """A few waiting files per sweep, in turn: who pops a task by rewriting it changes no name in the folder."""
        if not self._turn:
            self._turn = list(self.line.ids())
        for task_id in [self._turn.pop() for _ in self._turn[:LOOKS_PER_SWEEP]]:
            if task_id in self.line and self.read_ready(task_id) is None:
                self.line.discard(task_id)

    def finish_claimed(self) -> int:
        """Claims whose result stands: their finisher died between the two steps of a finish."""
        left = [lease for lease in self._claims.look() if files.exists(self._place.result_path(lease.task_id))]
        return sum(self._finish_left(lease.task_id, self._place.lease_path(lease)) for lease in left)

    def _promote(self, now: datetime) -> int:
        """Scheduled -> ready for what is due. The instant is the rename."""
        if self._scheduled_due.is_due():
            names = set(filter(None, map(id_of, self._scheduled_due.look())))
            for task_id in self._scheduled.keys() - names:
                self._scheduled.pop(task_id, None)
            for task_id in names - self._scheduled.keys():
                task = self._reading.task_at(self._place.task_path(State.SCHEDULED, task_id), task_id)
                if task is not None:
                    self._scheduled[task_id] = task
        due = [task for task in self._scheduled.values() if task.not_before is None or task.not_before <= now]
        return sum(self._promote_one(task) for task in due)

    def _promote_one(self, task: Task) -> bool:
        try:
            files.move(self._place.task_path(State.SCHEDULED, task.id), self._place.task_path(State.READY, task.id))
        except FileNotFoundError:
            self._scheduled.pop(task.id, None)
            return False
        self._scheduled.pop(task.id, None)
        self.arrived(replace(task, not_before=None))
        self._place.sync("tasks")
        return True

    def _ring_for_waiting(self) -> None:
        """Nobody sleeps beside a waiting task, even if a ring was lost."""
        for types in self._bell.waiting_types[: len(self.line)]:
            waiting = self.line.head(types)
            if waiting is not None:
                self._bell.ring_task(waiting.type)

    def remove_temporary(self, presence: Presence) -> int:
        """Unlink what processes that died left in ``tmp/``. How many."""
        removed = 0
        alive: dict[tuple[int, int], bool] = {}
        for name in files.names(self._place.path("tmp")):
            owner = owner_of(name)
            if owner == (0, 0):
                continue
            if owner not in alive:
                alive[owner] = presence.is_alive(*owner)
            removed += not alive[owner] and files.discard(self._place.path("tmp", name))
        return removed
