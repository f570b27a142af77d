"""The half of a FileStore that gives a waiting or finished task another content: retry, promote by hand, revise.

A task that waits is claimed for the moment, as one that is to be ended without being run: the rename has one winner,
and who finds it after a crash puts it back. All of it happens holding the task's lock.
"""

from __future__ import annotations

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.engine.cancels import Cancels
from taskspool.engine.disk import Disk, in_need
from taskspool.engine.documents import task_document
from taskspool.engine.events import Change
from taskspool.engine.housekeeping import Housekeeping
from taskspool.engine.layout import FOLDER_OF
from taskspool.engine.taking import Taking
from taskspool.engine.task import Result, Snapshot, State, Step, Task
from taskspool.errors import NotRetryable, TaskNotClaimable


class Rewriting(Housekeeping):
    disk: Disk
    _clock: Clock
    _cancels: Cancels
    _taking: Taking

    # -- scheduled, ready -> the same; scheduled -> ready --------------------------------------------------------

    def rewrite(self, seen: Snapshot, task: Task, step: Step) -> None:
        self._rewrite(seen, task, step.state)
        self._place.sync(FOLDER_OF[step.state])
        self._intake.rewritten(task, step.state)
        self._recorder.note(Change(step.verb, task.id, step.state, self._clock.now(), task, None, step.worker, None,
                                   step.reason))

    @in_need
    def _rewrite(self, seen: Snapshot, task: Task, state: State) -> None:
        content = task_document(task, self._place.max_file_bytes)
        lease = self._taking.lease_to_end(task.id)
        path = self._place.lease_path(lease)
        with self._taking.giving_back(lease, seen.state), self._place.beside(content) as (document,), \
                self._place.moves.of(task.id):
            is_there = not files.exists(self._place.result_path(task.id)) and self._taking.hold(lease, seen.state)
            if not is_there or self._reading.waiting_at(path, task.id) != seen.task:
                raise TaskNotClaimable(f"task {task.id} has moved on, or was changed", task_id=task.id,
                                       state=seen.state.value)
            files.move(document, path)
            files.move(path, self._place.task_path(state, task.id))  # the instant: it waits with its new content

    # -- dead, cancelled -> ready --------------------------------------------------------------------------------

    def renew(self, task: Task, result: Result) -> None:
        old, new = self._place.task_path(result.state, task.id), self._place.task_path(State.READY, task.id)
        reply = self._place.result_path(task.id)
        content = task_document(task, self._place.max_file_bytes)
        with self._arrivals.unique_again(task), self._place.beside(content) as (document,), \
                self._place.moves.of(task.id):
            stands = self._reading.result(task.id) == result
            if stands:
                self._follow_result(task.id, old)
            if not stands or self._reading.task_at(old, task.id) is None:
                raise NotRetryable(f"task {task.id} cannot be retried: its own file is gone or damaged, or it was "
                                   "retried already", task_id=task.id)
            self._cancels.forget_for_good(task.id)  # an old request must not end it anew
            files.move(document, new)  # still finished: its result stands
            self._place.sync("tasks")
            files.discard(old, must=True)
            self._place.sync(FOLDER_OF[result.state])
            files.discard(reply, must=True)  # the instant: it waits again
        self._place.sync("results")
        self._intake.renewed(task)
        self._recorder.note(Change("retry", task.id, State.READY, self._clock.now(), task, None,
                                   task.history[-1].worker, None, task.history[-1].reason))

    def _follow_result(self, task_id: str, target: str) -> None:
        """Holding the task's lock: a finished task whose finisher has not moved its file yet is where it belongs."""
        lease = None if files.exists(target) else self._claims.of(task_id)
        if lease is not None:
            try:
                files.move(self._place.lease_path(lease), target)
            except FileNotFoundError:
                return  # its finisher was faster
