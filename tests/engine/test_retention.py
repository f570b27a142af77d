"""Forgetting what is finished: by hand and in the sweep, per state; and everything that is never touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from engine.foreign import ID, drop, reply
from fake_clock import FakeClock
from taskspool.engine import retention
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import BatchNotFound, InvalidRequest
from taskspool.settings import from_environment

DAY = 86_400
STATES = (State.DONE, State.DEAD, State.CANCELLED)


def finished(queue: Queue, state: State) -> str:
    """A task that ended in ``state`` now."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    if state is State.CANCELLED:
        queue.cancel(task_id)
        return task_id
    token = queue.claim_one(task_id, "w").lease.token
    if state is State.DONE:
        queue.complete(task_id, token, {})
    else:
        queue.fail(task_id, token, Failure("no"))
    return task_id


def one_of_each(queue: Queue) -> dict[State, str]:
    return {state: finished(queue, state) for state in STATES}


def standing(queue: Queue, tasks: dict[State, str]) -> set[State]:
    return {state for state, task_id in tasks.items() if queue.store.find(task_id) is not None}


def sweep_on(queue: Queue, clock: FakeClock, seconds: float) -> int:
    """Time passes, and enough sweeps for a whole round come; how many tasks went."""
    clock.advance(seconds)
    return sum(queue.sweep().pruned for _ in range(3))


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_own_time(opener: Callable[..., Queue], folder: Path, clock: FakeClock,
                                     state: State) -> None:
    """A sweep removes what is older than the setting of its state, files and all, and keeps the other states."""
    queue = opener(**{f"keep_{state.value}_seconds": DAY})
    tasks = one_of_each(queue)
    assert sweep_on(queue, clock, DAY - 700) == 0
    assert sweep_on(queue, clock, 701) == 1
    assert standing(queue, tasks) == set(STATES) - {state}
    assert not [path for path in folder.rglob(f"*{tasks[state]}*") if not path.name.startswith("index")]
    assert list(queue.store.findings()) == []


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("text", ["-1", "315360001", "a week"])
def test_a_time_to_keep_is_checked(state: State, text: str) -> None:
    """Whole seconds, from none to ten years; the variable or the field is named."""
    with pytest.raises(InvalidRequest) as caught:
        from_environment({f"TASKSPOOL_KEEP_{state.name}_SECONDS": text})
    assert f"keep_{state.value}_seconds" in caught.value.details["field"].lower()


def test_without_settings_everything_is_kept(queue: Queue, clock: FakeClock) -> None:
    """Zero is for ever, and zero is what nobody asked for."""
    tasks = one_of_each(queue)
    assert sweep_on(queue, clock, 3650 * DAY) == 0
    assert standing(queue, tasks) == set(STATES)


def test_what_is_not_finished_is_never_touched(opener: Callable[..., Queue], clock: FakeClock) -> None:
    """Waiting, scheduled and claimed tasks outlast any limit."""
    queue = opener(keep_done_seconds=1, keep_dead_seconds=1, keep_cancelled_seconds=1)
    ids = [queue.enqueue(NewTask("ping", {}, delay_seconds=delay)).task_id for delay in (0, 0, 30 * DAY)]
    queue.claim_one(ids[0], "w", lease_seconds=86_400)
    assert sweep_on(queue, clock, DAY - 1) == 0
    assert [queue.task(task_id).state for task_id in ids] == [State.CLAIMED, State.READY, State.SCHEDULED]


def test_one_sweep_does_a_bounded_share(opener: Callable[..., Queue], clock: FakeClock,
                                        monkeypatch: pytest.MonkeyPatch) -> None:
    """So many looks and so many removals a sweep, and after some sweeps all are gone, the oldest first."""
    monkeypatch.setattr(retention, "PRUNED_PER_SWEEP", 2)
    monkeypatch.setattr(retention, "LOOKS_PER_SWEEP", 3)
    queue = opener(keep_done_seconds=DAY)
    ids = [finished(queue, State.DONE) for _ in range(5)]
    clock.advance(DAY + 1)
    shares = []
    while len(shares) < 4:
        shares.append(queue.sweep().pruned)
        left = [task_id for task_id in ids if queue.store.find(task_id) is not None]
        assert left == ids[len(ids) - len(left):]
    assert shares == [2, 2, 1, 0]


def test_the_names_are_not_read_again_at_once(opener: Callable[..., Queue], clock: FakeClock,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """A round over all results begins only a tenth of the time kept after the last."""
    queue = opener(keep_done_seconds=1000)
    finished(queue, State.DONE)
    rounds: list[int] = []
    real = retention.Retention._all
    monkeypatch.setattr(retention.Retention, "_all", lambda self: (rounds.append(1), real(self))[1])
    for _ in range(20):
        queue.sweep()
        clock.advance(10)
    assert len(rounds) == 2


def test_the_time_of_another_programs_result_is_not_taken_on_trust(opener: Callable[..., Queue], folder: Path,
                                                                   clock: FakeClock) -> None:
    """A result that says it is from 2001 is kept as long as any other, from when its file was written."""
    queue = opener(keep_done_seconds=DAY)
    clock.advance(60)
    task_id = drop(folder, 1)
    reply(folder, task_id, completed_at="2001-01-01T00:00:00Z")
    assert sweep_on(queue, clock, DAY - 700) == 0
    assert queue.store.prune(clock.now() - timedelta(days=1)) == 0
    assert sweep_on(queue, clock, 1400) == 1


def test_a_file_from_the_future_is_judged_by_what_it_says(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """The clock was set back since: what the result says is the better word."""
    task_id = finished(queue, State.DONE)
    later = clock.now().timestamp() + DAY
    os.utime(folder / "results" / f"{task_id}.json", (later, later))
    clock.advance(60)
    assert queue.store.prune(clock.now()) == 1


def test_a_result_whose_task_has_yet_to_follow_is_kept(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """Waiting, scheduled, claimed: the file goes where its result says before either is forgotten."""
    ids = [queue.enqueue(NewTask("ping", {}, delay_seconds=delay)).task_id for delay in (0, 0, 5)]
    queue.claim_one(ids[0], "w")
    for task_id in ids:
        reply(folder, task_id, completed_at="2001-01-01T00:00:00Z")
    clock.advance(60)
    store = queue.store
    assert store._retention.prune(clock.now()) == 0
    queue.sweep()
    assert store.prune(clock.now()) == 3
    assert list(store.findings()) == []


def test_a_result_that_somebody_deletes_meanwhile_is_no_error(opener: Callable[..., Queue], folder: Path,
                                                              clock: FakeClock,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the round's look at the names and the look at the file."""
    monkeypatch.setattr(retention, "LOOKS_PER_SWEEP", 1)
    queue = opener(keep_done_seconds=DAY)
    first, second = (finished(queue, State.DONE) for _ in range(2))
    clock.advance(DAY + 1)
    assert queue.sweep().pruned == 1
    (folder / "results" / f"{second}.json").unlink()
    assert queue.sweep().pruned == 0
    assert queue.store.find(first) is None


def test_a_foreign_result_alone_is_pruned_like_any_other(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """Its task was deleted by the one who did it."""
    (folder / "results" / f"{ID.format(1)}.json").write_text(json.dumps({"status": "success"}))
    clock.advance(60)
    assert queue.store.prune(clock.now()) == 1


def test_states_can_be_named(queue: Queue, clock: FakeClock) -> None:
    """By hand too: only the states that were asked for."""
    tasks = one_of_each(queue)
    clock.advance(60)
    assert queue.store.prune(clock.now(), [State.DEAD]) == 1
    assert standing(queue, tasks) == {State.DONE, State.CANCELLED}
    assert queue.store.prune(clock.now()) == 2


def test_a_retried_task_is_not_pruned_for_its_old_end(queue: Queue, clock: FakeClock) -> None:
    """A dead task that waits again has no end any more."""
    task_id = finished(queue, State.DEAD)
    clock.advance(60)
    queue.retry(task_id)
    assert queue.store.prune(clock.now()) == 0
    assert queue.task(task_id).state is State.READY


def test_keys_and_batches_go_with_their_tasks(opener: Callable[..., Queue], folder: Path, clock: FakeClock) -> None:
    """In the round after the last of their tasks went; not before."""
    queue = opener(keep_done_seconds=DAY)
    batch = queue.enqueue_batch([NewTask("ping", {}), NewTask("ping", {})], key="k")
    first, second = (queue.claim_one(task_id, "w", lease_seconds=86_400) for task_id in batch.record.task_ids)
    queue.complete(first.task.id, first.lease.token, {})
    clock.advance(DAY / 2)
    assert sweep_on(queue, clock, DAY / 2 - 700) == 0
    queue.complete(second.task.id, second.lease.token, {})
    assert sweep_on(queue, clock, 800) == 1
    assert sweep_on(queue, clock, DAY / 2) == 0
    assert queue.batch(batch.record.id).missing == 1
    assert sweep_on(queue, clock, DAY / 2) == 1
    sweep_on(queue, clock, DAY)
    assert [*(folder / "batches").iterdir(), *(folder / "keys").iterdir()] == []
    with pytest.raises(BatchNotFound):
        queue.batch(batch.record.id)
