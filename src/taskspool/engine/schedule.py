"""What waits in ``scheduled/`` for its time, as far as this process has seen it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from taskspool.engine import files
from taskspool.engine.events import Change
from taskspool.engine.layout import id_of
from taskspool.engine.place import Due, Place
from taskspool.engine.reading import Reading
from taskspool.engine.recorder import Recorder
from taskspool.engine.task import State, Task
from taskspool.engine.times import Times
from taskspool.engine.waits import Wait, Waits, wait_of
from taskspool.errors import StoreUnavailable, TaskspoolError

READ_SLICE = 100


class Schedule:
    """``arrived`` is told of each task that is promoted by this process."""

    def __init__(self, place: Place, reading: Reading, recorder: Recorder, arrived: Callable[[Task], None]) -> None:
        self._place = place
        self._reading = reading
        self._recorder = recorder
        self._arrived = arrived
        self._waits = Waits(place.clock)
        self._deadlines = Times()
        self._due = Due(place.path("scheduled"), place.clock)

    def add(self, task: Task) -> None:
        self._waits.put(task.id, wait_of(task))
        if task.deadline is not None:
            self._deadlines.put(task.id, task.deadline.timestamp())

    def add_unknown(self, waiting: Iterable[tuple[str, Wait, float | None]]) -> None:
        """(id, what it waits for, deadline) as the index tells them."""
        for task_id, wait, deadline in waiting:
            if task_id not in self._waits:
                self._waits.put(task_id, wait)
                if deadline is not None:
                    self._deadlines.put(task_id, deadline)

    def is_due(self) -> bool:
        """Whether the folder is worth a look."""
        return self._due.is_due()

    def look(self) -> Iterator[None]:
        """The folder's names against what is known, in slices."""
        gone, fresh = self._waits.ids(), list[str]()
        for names in self._due.slices():
            ids = [task_id for task_id in map(id_of, names) if task_id is not None]
            fresh += [task_id for task_id in ids if task_id not in gone]
            gone.difference_update(ids)
            yield
        for task_id in gone:
            if not files.exists(self._place.task_path(State.SCHEDULED, task_id)):
                self._forget(task_id)
        for number, task_id in enumerate(sorted(fresh), 1):
            self._adopt(task_id)
            if number % READ_SLICE == 0:
                yield
        self._due.confirm()

    def _adopt(self, task_id: str) -> None:
        if task_id not in self._waits:
            path, since = self._place.task_path(State.SCHEDULED, task_id), self._place.clock.now()
            task = self._reading.task_at(path, task_id)
            if task is not None:
                self.add(task)
                self._recorder.found(Change("adopt", task_id, State.SCHEDULED, since, task))
            elif files.exists(path):
                self._set_aside(task_id, path)

    def _set_aside(self, task_id: str, path: str) -> None:
        """Only we write here, and whole files: what cannot be read is damaged."""
        with self._place.moves.of(task_id):
            if files.exists(path) and self._reading.task_at(path, task_id) is None:
                self._place.quarantine("scheduled", f"{task_id}.json", "it cannot be read: it was damaged")

    def _forget(self, task_id: str) -> None:
        self._waits.discard(task_id)
        self._deadlines.discard(task_id)

    def forget_deadline(self, task_id: str) -> None:
        """It is not given up any more, however long it waits."""
        self._deadlines.discard(task_id)

    def promote(self, now: datetime) -> int:
        """Scheduled -> ready for what is due. How many. One file that cannot be moved does not hold up the others."""
        promoted, due = 0, self._waits.due()[::-1]
        while due:
            try:
                promoted += self._promote_one(*due[-1], now)
            except TaskspoolError as error:
                is_one_file = error.details.get("errno") in files.HELD_ELSEWHERE
                for task_id, measured in due[-1:] if is_one_file else due:
                    self._waits.put_back(task_id, measured)
                if not is_one_file:
                    raise
            due.pop()
        return promoted

    def _promote_one(self, task_id: str, measured: Wait | None, now: datetime) -> bool:
        """False when somebody was faster, or the task has been away since and waits for another time now, which is not
        the one that was ``measured``."""
        path = self._place.task_path(State.SCHEDULED, task_id)
        with self._place.moves.of(task_id):  # who puts it back there meanwhile waits: what is read is what is moved
            task = self._task_at(path, task_id)
            if task is not None and _is_early(task, measured, now):
                self.add(task)
                return False
            try:
                files.move(path, self._place.task_path(State.READY, task_id))  # the instant: it can be claimed
            except FileNotFoundError:
                self._forget(task_id)
                return False
        self._forget(task_id)
        self._place.sync("tasks")
        self._recorder.note(Change("promote", task_id, State.READY, now, task))
        if task is not None:
            self._arrived(replace(task, not_before=None, delay_seconds=None))
        return True

    def _task_at(self, path: str, task_id: str) -> Task | None:
        """The task; None also when its file alone is unreadable: it goes on to ``tasks/``, which deals with such."""
        try:
            return self._reading.task_at(path, task_id)
        except StoreUnavailable as error:
            if error.details.get("errno") not in files.DAMAGED:
                raise
            return None

    def past_deadline(self, now: datetime) -> list[Task]:
        """What waits here, and whose time is over; told until it is gone."""
        due = self._deadlines.due(now.timestamp())
        for task_id in due:
            self._deadlines.put(task_id, now.timestamp())
        late: list[Task] = []
        for task_id in due:
            task = self._task_at(self._place.task_path(State.SCHEDULED, task_id), task_id)
            if task is not None:
                late.append(task)
            else:
                self._deadlines.discard(task_id)
        return late


def _is_early(task: Task, measured: Wait | None, now: datetime) -> bool:
    if task.delay_seconds is not None and wait_of(task) == measured:
        return False
    return task.not_before is not None and task.not_before > now
