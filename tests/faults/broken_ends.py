"""More of the protocol broken on purpose: cancel, retry, deadlines, unique keys, named batches, pauses, seals.

See ``broken``: each function changes the engine of the calling process, which is thrown away.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from faults.broken import changed, variant
from taskspool.engine import documents, endings, file_store, files, lifecycle, pauses, presence, rewriting, seal
from taskspool.engine.arrivals import Arrivals
from taskspool.engine.batches import Batches
from taskspool.engine.cancels import Cancels
from taskspool.engine.endings import Endings
from taskspool.engine.file_store import FileStore
from taskspool.engine.intake import Intake
from taskspool.engine.keys import Keys
from taskspool.engine.pauses import PauseFile
from taskspool.engine.place import Place
from taskspool.engine.schedule import Schedule
from taskspool.engine.store import IdempotencyKey
from taskspool.engine.taking import Taking
from taskspool.engine.task import State
from taskspool.engine.upkeep import Upkeep


# -- cancel ----------------------------------------------------------------------------------------------------------


@variant
def a_wanted_cancel_is_not_looked_at() -> None:
    """A worker that comes too late finishes what somebody wanted cancelled."""
    FileStore._refuse_cancelled = lambda *_: None  # type: ignore[method-assign]


@variant
def a_cancel_is_acknowledged_before_it_is_on_the_disk() -> None:
    """The name of the request is not fsynced."""
    _without_sync("cancelling")


@variant
def a_cancel_is_forgotten_before_the_end() -> None:
    """The request goes first, the result comes after: a crash between leaves neither."""
    real = FileStore.finish

    def finish(self: FileStore, lease: Any, task: Any, result: Any, **named: Any) -> Any:
        if result.state is State.CANCELLED:
            files.discard(self._cancels.path(lease.task_id))
        return real(self, lease, task, result, **named)

    FileStore.finish = finish  # type: ignore[method-assign]


@variant
def what_is_taken_to_be_ended_counts_as_a_run() -> None:
    """A crash in the middle of a cancel is taken for a worker that died."""
    endings.uncounted = lambda task, lease: 1


@variant
def what_is_put_back_is_due_at_once() -> None:
    """A task that waited for its time, and was held for a moment, is ready after a crash."""
    def put_back(self: Endings, expired: Any) -> State:
        task = replace(expired.claim.task, not_before=None, delay_seconds=None)
        self._store.requeue(expired.claim.lease, task, expired=expired)
        return State.READY

    Endings._put_back = put_back  # type: ignore[method-assign]


@variant
def what_cannot_be_ended_stays_held() -> None:
    """The disk refuses the result of a cancel: the task is left with a process that lives on."""
    Taking.put_back = lambda *_: None  # type: ignore[method-assign]


@variant
def what_cannot_be_given_back_is_forgotten() -> None:
    """The disk refuses that too, once: nobody tries again."""
    real = Taking.give_back_untold

    def give_back(self: Taking) -> None:
        real(self)
        self._untold.clear()

    Taking.give_back_untold = give_back  # type: ignore[method-assign]


# -- retry -----------------------------------------------------------------------------------------------------------


@variant
def a_retry_takes_the_result_first() -> None:
    """A crash between leaves a finished task without result, or none at all."""
    real = FileStore.renew

    def renew(self: FileStore, task: Any, result: Any) -> None:
        self._reading.result = lambda _: result  # type: ignore[method-assign]
        files.discard(self._place.result_path(task.id))
        real(self, task, result)
        del self._reading.result

    FileStore.renew = renew  # type: ignore[method-assign]


@variant
def a_retry_is_acknowledged_before_it_is_on_the_disk() -> None:
    """The name in tasks/ is not fsynced."""
    _without_sync("tasks")


@variant
def a_retry_keeps_the_old_request_to_cancel() -> None:
    """What somebody wanted before ends the task anew."""
    Cancels.forget_finished = lambda *_: None  # type: ignore[method-assign]
    Cancels.forget_for_good = lambda *_: None  # type: ignore[method-assign]


@variant
def a_retry_leaves_the_finished_file() -> None:
    """A crash between the two steps, and the task is in two places."""
    real = files.discard
    rewriting.files = changed(files, discard=lambda path, **named: "/dead/" in path or real(path, **named))


@variant
def a_retry_believes_what_it_saw() -> None:
    """The result is not looked at again under the lock."""
    real = FileStore.renew

    def renew(self: FileStore, task: Any, result: Any) -> None:
        self._reading.result = lambda _: result  # type: ignore[method-assign]
        self._reading.task_at = lambda *_: task  # type: ignore[method-assign]
        real(self, task, result)

    FileStore.renew = renew  # type: ignore[method-assign]


@variant
def a_retry_that_could_not_remove_the_result_is_acknowledged() -> None:
    """What cannot be unlinked is left for the sweep."""
    real = files.discard
    rewriting.files = changed(files, discard=lambda path, **_: real(path))


@variant
def a_sweep_believes_the_result_it_saw() -> None:
    """A task is moved on the word of a result that was read before its lock was taken."""
    real = Intake._finish_left

    def finish_left(self: Intake, task_id: str, path: str) -> bool:
        result = self._reading.result(task_id)
        self._reading.result = lambda _: result  # type: ignore[method-assign]
        try:
            return real(self, task_id, path)
        finally:
            del self._reading.result

    Intake._finish_left = finish_left  # type: ignore[method-assign]


@variant
def a_finished_task_is_written_anew() -> None:
    """A beat, or a repeated end, does not look whether there is a result."""
    real = files.exists
    file_store.files = changed(files, exists=lambda path: "/results/" not in path and real(path))


# -- unique keys -----------------------------------------------------------------------------------------------------


@variant
def a_unique_key_is_remembered_after_the_task() -> None:
    """A crash between leaves a task whose key nobody knows."""
    real = Keys.remember

    def put_owner(self: Arrivals, task: Any, key: Any, ids: list[str]) -> Any:
        answer = self.put([task], key)
        name = self._unique_name(task)
        real(self._keys, ids, IdempotencyKey(name, ""), name)
        return answer

    Arrivals._put_owner = put_owner  # type: ignore[method-assign]


@variant
def what_is_replaced_goes_first() -> None:
    """The old task is cancelled before the new one is there: a crash between, and there is none."""
    @contextmanager
    def replacing(self: Endings, old: Any, new_id: str) -> Any:
        self.cancel_waiting(old.task.id, lifecycle.CancelRequest("", None, self._clock.now()))
        yield True

    Endings.replacing = replacing  # type: ignore[method-assign]


@variant
def what_is_replaced_waits_again() -> None:
    """A crash after the new one came, and both of them wait."""
    FileStore.successor = lambda *_: None  # type: ignore[method-assign]


@variant
def a_unique_key_has_no_lock() -> None:
    """Two who ask at once both find that nobody has it."""
    real = Place.__init__

    def init(self: Place, *given: Any) -> None:
        real(self, *given)
        self.uniques.of = lambda _: nullcontext()  # type: ignore[method-assign, assignment, return-value]

    Place.__init__ = init  # type: ignore[method-assign]


# -- progress, time --------------------------------------------------------------------------------------------------


@variant
def a_failure_drops_the_checkpoint() -> None:
    """The next attempt begins anew."""
    real = lifecycle.ended
    lifecycle.ended = lambda task, *rest: replace(real(task, *rest), checkpoint=None)


@variant
def a_timeout_costs_nothing() -> None:
    """An attempt that took too long is not counted."""
    real = Endings._time_out

    def time_out(self: Endings, claim: Any) -> Any:
        real_uncounted, endings.uncounted = endings.uncounted, lambda task, lease: 0
        try:
            return real(self, claim)
        finally:
            endings.uncounted = real_uncounted

    Endings._time_out = time_out  # type: ignore[method-assign]


@variant
def the_time_of_what_is_scheduled_never_ends() -> None:
    """Deadlines are looked at in the line only."""
    Schedule.past_deadline = lambda *_: []  # type: ignore[method-assign]


@variant
def a_delay_ends_at_the_next_sweep() -> None:
    """What waits for its time is due whenever somebody looks."""
    def promote(self: Schedule, now: Any) -> int:
        due = self._waits.ids()
        for task_id in due:
            files.move(self._place.task_path(State.SCHEDULED, task_id), self._place.task_path(State.READY, task_id))
            self._forget(task_id)
        return len(due)

    Schedule.promote = promote  # type: ignore[method-assign]


@variant
def a_delay_is_forgotten_at_the_restart() -> None:
    """Only the process that scheduled it knows of it."""
    Schedule._adopt = lambda *_: None  # type: ignore[method-assign]


# -- batches, pauses -------------------------------------------------------------------------------------------------


@variant
def a_batch_is_named_before_it_is_there() -> None:
    """The record comes first: a crash between leaves a batch of tasks that never come."""
    real = Batches.put

    def put(self: Batches, tasks: Any, record: Any = None) -> None:
        self._write(record)
        real(self, tasks, record)

    Batches.put = put  # type: ignore[method-assign]


@variant
def a_delivered_batch_has_no_name() -> None:
    """Who delivers what a dead process had accepted does not write its record."""
    real = Batches._finish

    def finish(self: Batches, path: str) -> int:
        self._write = lambda _: None  # type: ignore[method-assign]
        return real(self, path)

    Batches._finish = finish  # type: ignore[method-assign]


@variant
def a_pause_is_acknowledged_before_it_is_on_the_disk() -> None:
    """Its name is not fsynced."""
    _without_sync("meta")


@variant
def a_pause_forgets_the_types() -> None:
    """Pausing the queue as a whole, or resuming it, drops what is paused by name."""
    real = PauseFile.now
    PauseFile.now = lambda self: replace(real(self), types={})  # type: ignore[method-assign]


@variant
def a_resume_that_was_refused_is_acknowledged() -> None:
    """The file cannot be unlinked, and stays."""
    real = files.discard
    pauses.files = changed(files, discard=lambda path, **_: real(path))


# -- seals, epochs, the index ----------------------------------------------------------------------------------------


@variant
def a_broken_seal_is_believed() -> None:
    """What stands above it is taken as it is."""
    real = seal.unseal

    def unseal(content: bytes) -> Any:
        try:
            return real(content)
        except seal.Broken:
            return content, b""

    documents.unseal = unseal
    presence.unseal = unseal


@variant
def a_damaged_epoch_starts_anew() -> None:
    """Epochs come again, and with them the names and the tokens of the dead."""
    def epoch_in(content: bytes) -> int:
        try:
            return int(seal.unseal(content)[0])
        except (seal.Broken, ValueError):
            return 0

    presence._epoch_in = epoch_in


@variant
def the_index_is_the_truth() -> None:
    """What it does not know is not looked for."""
    Intake._begin_looks = lambda self: None  # type: ignore[method-assign]
    Upkeep.begin = lambda self: None  # type: ignore[method-assign]


@variant
def a_paused_task_is_claimed_by_its_number() -> None:
    """The pause is looked at in the line only."""
    Taking._refuse_paused = lambda *_: None  # type: ignore[method-assign]


def _without_sync(folder: str) -> None:
    real = Place.sync

    def sync(self: Place, name: str) -> None:
        if name != folder:
            real(self, name)

    Place.sync = sync  # type: ignore[method-assign]
