"""Somebody was faster, or died half-way, at the end of a task, or with the records beside it."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.test_overtaken import clock, folder, held, meanwhile, queue, queues
from fake_clock import FakeClock
from taskspool.engine import files
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.options import Options
from taskspool.engine.store import IdempotencyKey
from taskspool.engine.task import NewTask, State
from taskspool.errors import StoreUnavailable, TaskNotClaimable, TaskNotFound

__all__ = ["clock", "folder", "queue", "queues"]


def test_an_overdue_task_that_was_retried_meanwhile_waits_on(queue: Queue, clock: FakeClock) -> None:
    """The sweep knew its old deadline; its new one has not come: it goes back, whole."""
    task_id = queue.enqueue(NewTask("ping", {}, options=Options(total_timeout_seconds=60))).task_id
    late = queue.task(task_id).task
    queue.cancel(task_id)
    clock.advance(61)
    queue.retry(task_id)
    assert queue._endings._give_up(late) is None
    assert queue.task(task_id).state is State.READY
    assert queue.task(task_id).task.crashes == 0


def test_a_timeout_whose_run_is_counted_already_is_not_counted_again(
        queue: Queue, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try to end it died half-way: its content says so."""
    lease = held(queue, max_retries=3, options=Options(timeout_seconds=5))
    path, target = queue.store._place.lease_path(lease), queue.store._place.task_path(State.SCHEDULED, lease.task_id)
    queue.sweep()
    clock.advance(5)
    real = files.move

    def move(source: str, goal: str) -> None:
        if goal == target:
            raise StoreUnavailable("the disk refused", errno=errno.EIO)
        real(source, goal)

    with monkeypatch.context() as patch:
        patch.setattr(files, "move", move)
        with pytest.raises(StoreUnavailable):
            queue.sweep()
    assert Path(path).exists()
    queue.sweep()
    task = queue.task(lease.task_id).task
    assert (task.attempts, [step.verb for step in task.history]) == (1, ["expire"])


def test_what_was_to_be_replaced_when_its_process_died_is_cancelled(queues: list[Queue]) -> None:
    """The new one had come: whoever finds the old one held by nobody ends it."""
    first, other = queues
    old = first.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    first.store.take_to_end(old, "somebody")
    new = replace(other.task(old).task, id="00000000-0000-7000-8000-000000000001")
    other.store._arrivals._put_owner(new, None, [new.id, old])
    first.close()
    other.sweep()
    assert other.result(old).error_message == f"cancelled by http-client: replaced by {new.id}"
    first.start()


def test_what_was_to_be_replaced_by_what_never_came_waits_again(queues: list[Queue]) -> None:
    """The process died after it wrote down whose the key was to be, and before that one was there."""
    first, other = queues
    old = first.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    first.store.take_to_end(old, "somebody")
    keys, name = other.store._arrivals._keys, other.store._arrivals._unique_name(other.task(old).task)
    keys.remember(["00000000-0000-7000-8000-000000000001", old], IdempotencyKey(name, ""), name)
    first.close()
    other.sweep()
    assert other.task(old).state is State.READY
    assert not other.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).created
    first.start()


def test_a_sweep_in_the_middle_of_a_replace_leaves_it_alone(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The old one is held: it is decided when the put is over."""
    old = queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"))).task_id
    meanwhile(monkeypatch, queue.store._arrivals, "_put_owner", queue.sweep, before=True)
    queue.enqueue(NewTask("ping", {}, options=Options(unique_key="u"), on_conflict="replace"))
    assert queue.task(old).state is State.CANCELLED


def test_a_retry_forgets_the_request_that_was_left(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that ended it died before it removed the request: it must not end the retried task."""
    lease = held(queue)
    queue.cancel(lease.task_id)
    with monkeypatch.context() as patch:
        patch.setattr(queue.store._cancels, "forget_finished", lambda _: None)
        queue.release(lease.task_id, lease.token)
    assert queue.cancel_request(lease.task_id) is not None
    queue.retry(lease.task_id)
    queue.sweep()
    assert queue.task(lease.task_id).state is State.READY


def test_a_request_that_was_left_is_removed_by_the_sweep(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its task has ended as it wished, or otherwise: it says nothing any more."""
    lease = held(queue)
    queue.cancel(lease.task_id)
    with monkeypatch.context() as patch:
        patch.setattr(queue.store._cancels, "forget_finished", lambda _: None)
        queue.release(lease.task_id, lease.token)
    queue.sweep()
    assert list((folder / "cancelling").iterdir()) == []


@pytest.mark.parametrize("look", [
    lambda queue: [one.task.id for one in queue.listing()],
    lambda queue: ["00000000-0000-4000-8000-000000000001"] * queue.counts().ready,
], ids=["listed", "counted"])
def test_what_others_dropped_is_seen_at_once(queue: Queue, folder: Path, look: Callable[[Queue], list[str]]) -> None:
    """No sweep has met it yet."""
    task_id = "00000000-0000-4000-8000-000000000001"
    (folder / "tasks" / f"{task_id}.json").write_text('{"type": "ping"}')
    assert look(queue) == [task_id]


def test_a_task_that_is_told_of_twice_waits_once(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep met it before the call that put it came to tell of it: nobody is woken twice."""
    task = queue.task(queue.enqueue(NewTask("ping", {})).task_id).task
    rung: list[str] = []
    monkeypatch.setattr(queue.bell, "ring_task", rung.append)
    queue.store._intake.arrived(task)
    assert rung == []
    assert len(queue.claim("w", max_tasks=9)) == 1


def test_what_the_index_lists_is_not_read_again(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a state that very many tasks are in it knows the first ones."""
    snapshot = queue.task(queue.enqueue(NewTask("ping", {})).task_id)
    monkeypatch.setattr(queue.store.index, "first_of", lambda *_, **__: [snapshot])
    monkeypatch.setattr(queue.store._intake, "look_at_tasks", None)
    assert queue.listing() == [snapshot]


# -- records ---------------------------------------------------------------------------------------------------------


def test_a_batch_that_others_delivered_is_done(queue: Queue, folder: Path) -> None:
    """Its manifest was there when the names were read."""
    assert queue.store._batches._finish(str(folder / "meta" / "batch-9-9-gone.json")) == 0


@pytest.mark.parametrize("record", [{"task_ids": []}, {"task_ids": ["../../etc"]}, {"task_ids": 5}, {}])
def test_a_key_that_names_no_tasks_is_none(queue: Queue, folder: Path, record: dict[str, Any]) -> None:
    """Whole JSON, and not what a key says: put aside."""
    queue.enqueue(NewTask("ping", {}), key="k")
    [path] = (folder / "keys").iterdir()
    path.write_text(json.dumps({"fingerprint": "", "created_at": "", **record}))
    assert queue.enqueue(NewTask("ping", {}), key="k").created
    assert queue.counts().quarantined == 1


def test_a_key_with_a_wrong_time_is_old(queue: Queue, clock: FakeClock, folder: Path) -> None:
    """It goes with its tasks, as any other."""
    lease = queue.claim_one(queue.enqueue(NewTask("ping", {}), key="k").task_id, "w").lease
    queue.fail(lease.task_id, lease.token, Failure("no"))
    [path] = (folder / "keys").iterdir()
    path.write_text(json.dumps({"fingerprint": "", "created_at": "yesterday", "task_ids": [lease.task_id]}))
    clock.advance(3600)
    assert queue.store.prune(clock.now() + timedelta(days=1)) == 1
    assert list((folder / "keys").iterdir()) == []


def test_a_paused_file_that_goes_meanwhile_pauses_nothing(
        queue: Queue, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process resumed it between the look at the name and the reading."""
    queue.pause()
    queue.store._pauses._known = (None, queue.paused())
    meanwhile(monkeypatch, files, "file_number", (folder / "meta" / "paused.json").unlink)
    assert queue.paused().queue is None


def test_nobody_is_refused_for_good_by_a_pause(queue: Queue) -> None:
    """A claim by number is refused while it is paused, and only so long."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    queue.pause(["ping"])
    with pytest.raises(TaskNotClaimable, match="paused"):
        queue.claim_one(task_id, "w")
    queue.resume(["ping"])
    assert queue.claim_one(task_id, "w").task.id == task_id


def test_a_request_that_was_over_when_its_task_was_retried_ends_nothing(queue: Queue) -> None:
    """A sweep had listed it; then the worker let go, and the task was retried: it waits on."""
    lease = held(queue)
    queue.cancel(lease.task_id, by="one")
    listed = queue.store.cancel_requests()
    queue.release(lease.task_id, lease.token)
    queue.retry(lease.task_id)
    assert [queue._endings._end_cancelled(*one) for one in listed] == [None]
    assert queue.task(lease.task_id).state is State.READY
    assert queue.claim("b")[0].lease.attempt == 1


def test_a_request_that_was_over_does_not_end_the_run_after_the_retry(queue: Queue) -> None:
    """The same, and another worker has the task by now, which somebody else wants cancelled: with its own grace."""
    lease = held(queue)
    queue.cancel(lease.task_id, by="one")
    listed = queue.store.cancel_requests()
    queue.release(lease.task_id, lease.token)
    queue.retry(lease.task_id)
    queue.claim("b")
    assert [queue._endings._end_cancelled(*one) for one in listed] == [None]
    queue.cancel(lease.task_id, by="two")
    assert [queue._endings._end_cancelled(*one) for one in listed] == [None]
    assert queue.task(lease.task_id).state is State.CLAIMED


def test_who_forgets_a_request_late_does_not_forget_the_next_one(queue: Queue) -> None:
    """The end it belonged to was taken back by a retry; the request that stands now is that of the next run."""
    lease = held(queue)
    queue.cancel(lease.task_id, by="one")
    queue.release(lease.task_id, lease.token)
    queue.retry(lease.task_id)
    queue.claim("b")
    queue.cancel(lease.task_id, by="two")
    queue.store.forget_cancel(lease.task_id)
    request = queue.store.cancel_request(lease.task_id)
    assert request is not None
    assert request.by == "two"


@pytest.mark.parametrize("verb", ["complete", "fail"])
def test_what_another_process_has_pruned_is_unknown(queues: list[Queue], clock: FakeClock, verb: str) -> None:
    """A holder that still believes in its claim is told that there is no such task any more."""
    first, other = queues
    lease = held(first)
    other.complete(lease.task_id, lease.token, 1)
    clock.advance(10)
    other.store.prune(clock.now())
    with pytest.raises(TaskNotFound):
        first.complete(lease.task_id, lease.token, 1) if verb == "complete" else \
            first.fail(lease.task_id, lease.token, Failure("no"))
