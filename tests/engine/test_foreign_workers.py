"""The folder is a door too: workers that write a result and delete, the old library, and nobody sure who has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.foreign import drop, pop, reply, rewrite
from fake_clock import FakeClock
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, State
from taskspool.errors import LeaseLost, TaskNotFound

# -- 2: a worker that writes the result, then deletes the task ----------------------------------------------------

@pytest.mark.parametrize("looks_between", [False, True])
@pytest.mark.parametrize("status", ["success", "error"])
def test_a_foreign_worker_that_deletes_the_task_has_finished_it(queue: Queue, folder: Path, looks_between: bool,
                                                                status: str) -> None:
    """Result first, then the task file goes: the task counts as finished, is never handed out again, and rings."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    woken: list[str] = []
    queue.bell.wait_for_result(lambda: woken.append(task_id), task_id)
    reply(folder, task_id, status=status, error_message="no" if status == "error" else None)
    if looks_between:
        queue.sweep()
    (folder / "tasks" / f"{task_id}.json").unlink(missing_ok=True)
    queue.sweep()
    assert woken == [task_id]
    assert queue.claim("w") == []
    assert queue.task(task_id).state is (State.DONE if status == "success" else State.DEAD)
    assert (queue.result(task_id).worker, queue.result(task_id).data) == ("old", {"by": "old"})
    counts = queue.counts()
    assert (counts.ready, counts.results, counts.done + counts.dead) == (0, 1, 1)
    assert list(queue.store.problems()) == []


def test_a_result_written_slowly_counts_when_it_is_whole(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """Half a result is none: the task stays where it is; whole, it finishes the task, though no name has changed."""
    task_id = drop(folder, 1)
    queue.sweep()
    path = folder / "results" / f"{task_id}.json"
    text = json.dumps({"task_id": task_id, "worker": "old", "status": "success", "data": {}})
    with path.open("w") as file:
        for position in range(0, len(text) - 1, 7):
            file.write(text[position:min(position + 7, len(text) - 1)])
            file.flush()
            queue.sweep()
            clock.advance(1)
            assert queue.task(task_id).state is State.READY
            assert queue.counts().results == 0
        for _ in range(5):
            queue.sweep()
        file.write(text[-1])
    queue.sweep()
    assert queue.task(task_id).state is State.DONE
    assert not (folder / "tasks" / f"{task_id}.json").exists()
    assert queue.counts().results == 1
    assert [result.worker for result in queue.latest_results()] == ["old"]


def test_a_result_that_stays_half_is_put_aside(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """After a minute it goes to quarantine, and the task is still there for somebody else."""
    task_id = drop(folder, 1)
    (folder / "results" / f"{task_id}.json").write_text('{"task_id":')
    queue.sweep()
    clock.advance(59)
    assert queue.sweep().quarantined == 0
    clock.advance(1)
    assert queue.sweep().quarantined == 1
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_a_foreign_result_for_a_task_of_ours_fences_our_worker_off(queue: Queue, folder: Path) -> None:
    """A result exists = finished: our worker's complete is refused, and the file follows."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    lease = queue.claim("w")[0].lease
    reply(folder, task_id)
    with pytest.raises(LeaseLost):
        queue.complete(task_id, lease.token, {"by": "us"})
    queue.sweep()
    assert queue.result(task_id).data == {"by": "old"}
    assert list(queue.store.problems()) == []


def test_a_deleted_task_without_result_is_gone(queue: Queue, folder: Path) -> None:
    """Somebody deleted it by hand: it is not counted, not listed, not handed out."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    (folder / "tasks" / f"{task_id}.json").unlink()
    assert queue.claim("w") == []
    assert queue.counts().ready == 0
    with pytest.raises(TaskNotFound):
        queue.task(task_id)


# -- 3: the old library -------------------------------------------------------------------------------------------

def test_a_task_popped_in_place_is_not_handed_out_again(
        queue: Queue, folder: Path, opener: Callable[..., Queue]) -> None:
    """It counts as claimed by the one who popped it, at once, in every process, before any sweep."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    other = opener()
    other.sweep()
    pop(folder, task_id)
    for one in (queue, other):
        assert one.claim("w") == []
        assert one.task(task_id).state is State.CLAIMED
        assert one.task(task_id).worker == "comet"
        one.sweep()
        assert one.claim("w") == []
        assert one.counts().ready == 0


def test_a_popped_task_is_finished_by_its_result(queue: Queue, folder: Path) -> None:
    """push_result writes the result, then rewrites the task: both orders of our looking end in done."""
    for look in (False, True):
        task_id = queue.enqueue(NewTask("ping", {})).task_id
        pop(folder, task_id)
        queue.sweep()
        reply(folder, task_id)
        if look:
            queue.sweep()
        if (folder / "tasks" / f"{task_id}.json").exists():
            rewrite(folder, task_id, status="completed")
        else:   # it was moved on already: the old library opens the name anew
            (folder / "tasks" / f"{task_id}.json").write_text(json.dumps({"id": task_id, "type": "ping",
                                                                          "status": "completed"}))
        queue.sweep()
        queue.sweep()
        assert queue.task(task_id).state is State.DONE
        assert not (folder / "tasks" / f"{task_id}.json").exists()
    assert queue.counts().results == 2
    assert list(queue.store.problems()) == []


def test_a_popped_task_whose_worker_is_silent_is_given_back(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """Its lease runs out like any other: not before, counted as a crash, and then it is handed out."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    pop(folder, task_id)
    queue.sweep()
    clock.advance(59)
    assert queue.sweep().expired == 0
    clock.advance(1)
    assert queue.sweep().expired == 1
    claim = queue.claim("w")[0]
    assert (claim.task.id, claim.task.crashes, claim.lease.attempt) == (task_id, 1, 2)
    document = json.loads(next((folder / "claimed").rglob("*.json")).read_text())
    assert (document["status"], document["assigned_to"]) == ("pending", None)


def test_a_popped_task_rewritten_has_its_lease_anew(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """A change of the file is the sign of life of those who know no heartbeat."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    for beat in range(3):
        pop(folder, task_id, f"comet{beat}")
        queue.sweep()
        clock.advance(50)
        assert queue.sweep().expired == 0
    clock.advance(10)
    assert queue.sweep().expired == 1


def test_who_popped_may_finish_over_http(queue: Queue, folder: Path) -> None:
    """The holder is known by its name: without token, by the door of the clients that know none."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    pop(folder, task_id)
    queue.sweep()
    with pytest.raises(LeaseLost):
        queue.finish_without_token(task_id, "somebody else", {})
    result = queue.finish_without_token(task_id, "comet", {"n": 1})
    assert result is not None
    assert (result.worker, result.data) == ("comet", {"n": 1})
    assert queue.task(task_id).state is State.DONE


def test_a_task_put_back_in_place_is_waiting_again(queue: Queue, folder: Path) -> None:
    """An old worker that changes its mind writes ``pending`` again."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    pop(folder, task_id)
    queue.sweep()
    rewrite(folder, task_id, status="pending", assigned_to=None)
    queue.sweep()
    assert [claim.task.id for claim in queue.claim("w")] == [task_id]


def test_twins_of_one_id_are_one_task(queue: Queue, folder: Path, clock: FakeClock) -> None:
    """A second file of an id that is claimed already waits, is not handed out, and goes with the finish."""
    task_id = drop(folder, 1)
    queue.sweep()
    lease = queue.claim("w")[0].lease
    drop(folder, 1)
    queue.sweep()
    assert queue.claim("w2", max_tasks=9) == []
    queue.complete(task_id, lease.token, {})
    queue.sweep()
    assert queue.claim("w2") == []
    assert queue.task(task_id).state is State.DONE
    assert list(queue.store.problems()) == []


def test_a_finished_id_dropped_again_is_not_run_again(queue: Queue, folder: Path) -> None:
    """A client that writes its file once more, after the result is there, gets no second run."""
    task_id = drop(folder, 1)
    queue.sweep()
    queue.complete(task_id, queue.claim("w")[0].lease.token, {"n": 1})
    drop(folder, 1)
    queue.sweep()
    assert queue.claim("w") == []
    assert queue.result(task_id).data == {"n": 1}
    assert list(queue.store.problems()) == []


def test_who_popped_and_failed_over_http_is_retried(queue: Queue, folder: Path) -> None:
    """A failure without token of the one who popped counts as an attempt, and the file waits for its time."""
    task_id = queue.enqueue(NewTask("ping", {}, max_retries=1)).task_id
    pop(folder, task_id)
    assert queue.finish_without_token(task_id, "comet", None, Failure("no")) is None
    assert queue.task(task_id).state is State.SCHEDULED
    assert queue.task(task_id).task.attempts == 1


@pytest.mark.parametrize("verb", ["extend", "complete", "release"])
def test_an_empty_token_does_not_hold_a_popped_task(queue: Queue, folder: Path, verb: str) -> None:
    """Its holder has no token at all: nobody gets at the task by sending an empty one."""
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    pop(folder, task_id)
    queue.sweep()
    with pytest.raises(LeaseLost):
        getattr(queue, verb)(task_id, "", *([{}] if verb == "complete" else []))
    assert queue.task(task_id).worker == "comet"
