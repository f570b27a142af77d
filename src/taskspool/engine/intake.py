"""What comes in: our own tasks, and whatever others put into ``tasks/`` and ``results/``.

Foreign programs write slowly, pop tasks by rewriting them, delete them when done, leave links, pipes and rubbish. A
file is believed once it is a whole task; it is ignored while it may still be written; what stays unreadable for a
minute goes to ``quarantine/`` with the reason beside it. Nothing is ever deleted here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime

from taskspool.engine import files
from taskspool.engine.bell import Bell
from taskspool.engine.chores import Chores
from taskspool.engine.claims import Claims
from taskspool.engine.documents import Incomplete, Unreadable, foreign_holder, parse, task_of
from taskspool.engine.events import Change
from taskspool.engine.follower import Follower
from taskspool.engine.layout import id_of, owner_of
from taskspool.engine.place import QUARANTINE_AFTER_SECONDS, Place, Suspect
from taskspool.engine.popped import Popped, PoppedTasks
from taskspool.engine.presence import Presence
from taskspool.engine.reading import Reading
from taskspool.engine.ready import Entry, ReadyLine, entry_of
from taskspool.engine.recorder import Recorder
from taskspool.engine.refill import Refill
from taskspool.engine.results_watch import ResultsWatch, Sight
from taskspool.engine.schedule import Schedule
from taskspool.engine.store import Expired
from taskspool.engine.tasks_look import TasksLook
from taskspool.engine.task import Lease, Result, Snapshot, State, SweepReport, Task
from taskspool.errors import StoreFull, StoreUnavailable

LOOKS_PER_SWEEP = 50
"""So many waiting files are read again in every sweep, in turn."""
LOOK_SECONDS = 0.25
"""How long a claim that finds nothing, or a sweep, looks through the folder; a thread does the rest."""
_ENDS = {State.DONE: "complete", State.DEAD: "fail", State.CANCELLED: "cancel"}


class Intake:
    def __init__(self, place: Place, claims: Claims, reading: Reading, bell: Bell, recorder: Recorder) -> None:
        self.line = ReadyLine()
        self.results = ResultsWatch(place, reading, bell)
        self._place = place
        self._claims = claims
        self._reading = reading
        self._bell = bell
        self._recorder = recorder
        self._schedule = Schedule(place, reading, recorder, self.arrived)
        self._refill = Refill(recorder.index, self.line, self._schedule, reading.ledger, place.settings.aging_seconds)
        self._follower = Follower(place, reading, recorder.index, self.line, bell)
        self.chores = Chores(place.clock)
        self._adopted = 0
        self._finished = 0
        self._lock = threading.Lock()
        self._suspects: dict[str, Suspect] = {}
        self._popped = PoppedTasks(place)
        self._again: set[str] = set()
        self._turn: list[str] = []
        self._tasks_look = TasksLook(place, self.line, self._popped, self._suspects, self._meet)

    def open(self) -> None:
        """Begin with what the index tells, if there is one; the rest of it comes while the queue goes on."""
        if self._recorder.index.exists():
            self._follower.follow()
            self.chores.begin("fill", self._refill.slices)
            self.chores.work(LOOK_SECONDS, until=lambda: len(self.line) > 0)

    def close(self) -> None:
        self.chores.close()

    # -- what our own verbs tell ---------------------------------------------------------------------------------

    def arrived(self, task: Task) -> None:
        if task.not_before is not None:
            self._schedule.add(task)
        elif self._line_up(task):
            self._bell.ring_task(task.type)

    def _line_up(self, task: Task) -> bool:
        """False when it is in the line already."""
        return self.line.add(self.entry_of(task), task.deadline)

    def entry_of(self, task: Task) -> Entry:
        """Its place in the line, as ``aging_seconds`` wants it."""
        return entry_of(task, self._place.settings.aging_seconds)

    def came_back(self, task_id: str, state: State) -> None:
        """A claim was given up: the task is in ``tasks/`` or ``scheduled/`` again."""
        self._popped.discard(task_id)
        try:
            if state is State.READY:
                self._adopt(f"{task_id}.json")
            elif (task := self._reading.task_at(self._place.task_path(state, task_id), task_id)) is not None:
                self._schedule.add(task)
        except StoreUnavailable:
            return  # the move was made, whatever the disk says now: the next look at the folder finds it

    def rewritten(self, task: Task, state: State) -> None:
        """A task that waits has another content: its place in line, and when it is given up, follow."""
        if task.deadline is None:
            self.line.set_deadline(task.id, None)
            self._schedule.forget_deadline(task.id)
        self.came_back(task.id, state)

    def finished(self, result: Result) -> None:
        self._popped.discard(result.task_id)
        self.results.add(result)

    def renewed(self, task: Task) -> None:
        """A finished task waits again: its result is gone."""
        self._reading.ledger.forget(task.id)
        self.arrived(task)

    def past_deadline(self, now: datetime) -> list[Task]:
        """What waits, and whose time is over."""
        late = self._schedule.past_deadline(now)
        ready = (self._reading.find(task_id) for task_id in self.line.past_deadline(now.timestamp()))
        return late + [one.task for one in ready if one is not None and one.state is State.READY]

    def move_finished(self, path: str, result: Result) -> bool:
        """The task's file -> done/, dead/ or cancelled/, if it is still there. Tidying: its result has finished it."""
        try:
            files.move(path, self._place.task_path(result.state, result.task_id))
        except FileNotFoundError:
            return False
        return True

    # -- reading one waiting file --------------------------------------------------------------------------------

    def read_ready(self, task_id: str) -> tuple[Task, files.FileNumber] | None:
        """The waiting task and its file's number; None, and the right thing done about it, when it is not to be had:
        gone, not whole, not a task, popped by an old program, held already, or finished."""
        name = f"{task_id}.json"
        path = self._place.task_path(State.READY, task_id)
        now, since = self._place.clock.monotonic(), self._place.clock.now()  # before the look, as in _meet
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
            self._note_popped(Popped(task, holder, number, now), since)
            return None
        self._popped.discard(task_id)
        return task, number

    def _adopt(self, name: str) -> Task | None:
        """A name in ``tasks/`` -> the line of waiting tasks, if it is one. The task when it is new there."""
        task_id = id_of(name)
        if task_id is None:
            self._suspect(name, "its name is not <lower-case UUID>.json", self._place.clock.monotonic())
            return None
        found = self.read_ready(task_id)
        if found is None or not self._line_up(found[0]):
            return None
        self._bell.ring_task(found[0].type)
        return found[0]

    def _meet(self, name: str) -> None:
        """A name that this process did not put there."""
        since = self._place.clock.now()  # before the look: what others do to it from here on comes after
        task = self._adopt(name)
        if task is not None:
            self._adopted += 1
            self._recorder.found(Change("adopt", task.id, State.READY, since, task))

    def _suspect(self, name: str, reason: str, now: float) -> None:
        try:
            number = files.file_number(self._place.path("tasks", name))
        except FileNotFoundError:
            self._suspects.pop(name, None)
            return
        known = self._suspects.get(name)
        if known is None or known.number != number:
            self._suspects[name] = Suspect(number, self._place.clock.monotonic(), reason)  # not before the look
        elif now - known.since >= QUARANTINE_AFTER_SECONDS:
            self._quarantine(name, f"{reason}; unchanged for {QUARANTINE_AFTER_SECONDS:.0f} seconds")

    def _quarantine(self, name: str, reason: str) -> None:
        self._again.add(name)  # looked at once more, whatever comes of it
        try:
            self._place.quarantine("tasks", name, reason)
            self._suspects.pop(name, None)
        except StoreFull:
            pass  # no room to say why: it waits where it is, and holds nobody up

    def _finish_left(self, task_id: str, path: str) -> bool:
        """A task that has a result is finished, whoever wrote it: its file follows. False while the result is not
        whole."""
        with self._place.moves.of(task_id):  # a retry takes the result away, and the next end brings another
            since = self._place.clock.now()
            result = self._reading.result(task_id)
            if result is None:
                return False
            try:
                moved = self.move_finished(path, result)
            except StoreUnavailable as error:
                if error.details.get("errno") not in files.HELD_ELSEWHERE:
                    raise
                return False  # the others go on, and the next sweep tries this one again
        self.line.discard(task_id)
        self.finished(result)
        self._tell(Sight(result, since))
        return moved

    def _tell(self, sight: Sight) -> None:
        """A result that this process did not write."""
        result = sight.result
        self._recorder.found(Change(_ENDS[result.state], result.task_id, result.state, sight.since, None, result,
                                    result.worker, result.attempt, result.error_message))

    # -- tasks popped in place -----------------------------------------------------------------------------------

    def _note_popped(self, popped: Popped, since: datetime) -> None:
        task = popped.task
        if self._popped.note(popped):
            self._recorder.found(Change("claim", task.id, State.CLAIMED, since, task, None, popped.holder,
                                        task.next_attempt))
        self.line.discard(task.id)

    def foreign_lease(self, task_id: str) -> Lease | None:
        if task_id not in self._popped:
            self.read_ready(task_id)  # notes it, if it was popped since the last look
        return self._popped.lease_of(task_id)

    def popped(self) -> list[tuple[Snapshot, Lease]]:
        """What old programs hold, as far as this process has seen it."""
        return self._popped.all()

    def overdue_foreign(self) -> list[Expired]:
        return self._popped.overdue()

    # -- looking at the folders ----------------------------------------------------------------------------------

    def settle(self, now: datetime) -> SweepReport:
        """One look at everything others may have changed. See Store.settle."""
        with self._lock:
            quarantined = self._quarantined()
            self._look_again()
            self._follower.follow()
            self._begin_looks()
            self.chores.work(LOOK_SECONDS)
            self._revisit()
            self._revisit_results()
            finished = self.finish_claimed()
            promoted = self._schedule.promote(now)
            self.ring_for_waiting()
            finished, self._finished = finished + self._finished, 0
            adopted, self._adopted = self._adopted, 0
            return SweepReport(promoted=promoted, adopted=adopted, finished=finished,
                               quarantined=self._quarantined() - quarantined)

    def look_at_tasks(self, *, wait: bool = True, until: Callable[[], bool] = lambda: False) -> None:
        """Bring the line up to date, if anything may have changed, for a moment, or until ``until()`` holds.

        ``wait=False``: not if somebody is at it.
        """
        if (self._tasks_look.is_due() or self.chores.is_under_way("fill")) and self._lock.acquire(blocking=wait):
            try:
                self._begin_looks()
                self.chores.work(LOOK_SECONDS, until=until)
                self._revisit()
            finally:
                self._lock.release()

    def look_at_awaited(self) -> None:
        """The results somebody here waits for, if any may have come; not if a sweep is at it."""
        if self._lock.acquire(blocking=False):
            try:
                for sight in self.results.awaited():
                    self._follow(sight)
            finally:
                self._lock.release()

    def catch_up(self) -> None:
        """Know every result there is; of very many, those that can be known in a moment."""
        with self._lock:
            self._begin_looks()
            self.chores.work(LOOK_SECONDS, until=lambda: not self.chores.is_under_way("results"))
            self._revisit_results()

    def _revisit_results(self) -> None:
        for sight in self.results.revisit():
            self._follow(sight)

    def _follow(self, sight: Sight) -> None:
        """A result that somebody wrote: the task's file goes where the result says."""
        result = sight.result
        if result.token is None:
            self._tell(sight)
        for state in (State.READY, State.SCHEDULED):
            path = self._place.task_path(state, result.task_id)
            if files.exists(path):
                self._finished += self._finish_left(result.task_id, path)

    def _quarantined(self) -> int:
        return len(files.names(self._place.path("quarantine"))) // 2

    def _begin_looks(self) -> None:
        """Whatever is worth a look, after the line was filled from the index: else every file would be read."""
        if self.chores.is_under_way("fill"):
            return
        if self._tasks_look.is_due():
            self.chores.begin("tasks", self._look_through)
        if self._schedule.is_due():
            self.chores.begin("scheduled", self._schedule.look)
        if self.results.is_due():
            self.chores.begin("results", lambda: self.results.look(self._follow))

    def _look_through(self) -> Iterator[None]:
        read_after, self._refill.written_at = self._refill.written_at, 0.0
        return self._tasks_look.slices(read_after)

    def _revisit(self) -> None:
        """What could not be settled when it was seen: it may be whole, given back or gone by now."""
        again, self._again = self._again, set()
        for name in [*self._suspects, *(f"{task_id}.json" for task_id in self._popped.ids()), *again]:
            self._meet(name)

    def _look_again(self) -> None:
        """A few waiting files per sweep, in turn: who pops a task by rewriting it changes no name in the folder."""
        if not self._turn:
            self._turn = self.line.list_ids()
        for task_id in [self._turn.pop() for _ in self._turn[:LOOKS_PER_SWEEP]]:
            found = self.read_ready(task_id) if task_id in self.line else None
            if found is None:
                self.line.discard(task_id)
            else:
                self._line_up(found[0])  # another process may have given it another priority

    def finish_claimed(self) -> int:
        """Claims whose result stands: their finisher died between the two steps of a finish."""
        left = [lease for lease in self._claims.look() if files.exists(self._place.result_path(lease.task_id))]
        return sum(self._finish_left(lease.task_id, self._place.lease_path(lease)) for lease in left)

    def ring_for_waiting(self) -> None:
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
