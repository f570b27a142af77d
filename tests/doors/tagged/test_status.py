"""Status is true at every moment: in one task, in lists and in filters, whatever the engine did a moment ago.

The row is not told by anybody here: what is seen is found out when somebody asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from live_tagged import LiveTagged
from waiting import eventually

from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.records.tagged_mirror import TaggedMirror


def seen(tagged: LiveTagged, task: dict[str, Any], tag: str) -> tuple[str, int]:
    """(status, current_retry_count): the same in the task itself, in the list, and under the filter by its status."""
    [listed] = tagged.list(tag=tag)
    one = tagged.get(task)
    assert listed == one
    assert tagged.ids(tag=tag, status=one["status"]) == [task["id"]]
    return one["status"], one["current_retry_count"]


def test_every_move_is_seen_at_once(tagged: LiveTagged, tag: str) -> None:
    """to_do, in_progress, retrying, in_progress, done; the filters know it in the same moment."""
    task = tagged.create(tags=[tag], retry_limit=1)
    assert seen(tagged, task, tag) == ("to_do", 0)
    claim = tagged.claim(task)
    assert seen(tagged, task, tag) == ("in_progress", 0)
    tagged.fail(claim)
    assert seen(tagged, task, tag) == ("retrying", 1)
    claim = tagged.claim(task)
    assert seen(tagged, task, tag) == ("in_progress", 1)
    tagged.complete(claim, {"pages": 3})
    assert seen(tagged, task, tag) == ("done", 1)
    done = tagged.get(task)
    assert (done["result"], done["error"]) == ({"pages": 3}, None)
    assert done["completed_at"] == done["updated_at"] > done["created_at"]


@pytest.fixture
def worker(tagged: LiveTagged) -> Iterator[Queue]:
    """The queue as another process has it open: what it notes of its moves reaches the door's process later."""
    queue = open_queue(tagged.settings)
    yield queue
    queue.close()


def test_what_a_worker_does_is_in_lists_at_once(tagged: LiveTagged, worker: Queue, tag: str) -> None:
    """Claimed, and done, by another process: no list waits for the engine's events."""
    for number in range(3):
        task = tagged.create(tags=[f"{tag}-{number}"])
        claim = worker.claim_one(task["queue_id"], "w")
        assert tagged.ids(tag=f"{tag}-{number}", status="in_progress") == [task["id"]]
        worker.complete(claim.task.id, claim.lease.token, None)
        assert tagged.ids(tag=f"{tag}-{number}", status="done") == [task["id"]]


def test_a_run_between_two_lists_is_seen(tagged: LiveTagged, worker: Queue, tag: str) -> None:
    """Begun and done by another process before anybody looked: its worker has marked the row."""
    for number in range(3):
        task = tagged.create(tags=[f"{tag}-{number}"])
        claim = worker.claim_one(task["queue_id"], "w")
        data = claim.task.data
        TaggedMirror(worker.store, tagged.database).begin(data["task_id"], data["uuid"], claim.task.id)
        worker.complete(claim.task.id, claim.lease.token, None)
        assert tagged.ids(tag=f"{tag}-{number}", status="done") == [task["id"]]


@pytest.mark.parametrize(("retry_limit", "status"), [(0, ("failed", 0)), (1, ("retrying", 1))])
def test_a_dead_worker_uses_up_a_retry(tagged: LiveTagged, tag: str, retry_limit: int, status: tuple[str, int]) -> None:
    """Its process is gone: with no retry left the task has failed, otherwise it comes again and is counted."""
    task = tagged.create(tags=[tag], retry_limit=retry_limit)
    worker = open_queue(tagged.settings)
    worker.claim_one(task["queue_id"], "w", lease_seconds=0)
    assert seen(tagged, task, tag) == ("in_progress", 0)
    worker.close()
    eventually(lambda: tagged.get(task)["status"] == status[0], why="the dead worker is noticed")
    assert seen(tagged, task, tag) == status
    assert "died or fell silent" in tagged.get(task)["error"]


def test_the_last_failure_is_final(tagged: LiveTagged, tag: str) -> None:
    """failed when current_retry_count has reached retry_limit, with the reason, and without completed_at."""
    task = tagged.create(tags=[tag], retry_limit=1)
    for status in (("retrying", 1), ("failed", 1)):
        tagged.fail(tagged.claim(task))
        assert seen(tagged, task, tag) == status
    assert (tagged.get(task)["error"], tagged.get(task)["completed_at"]) == ("broken", None)


def test_what_people_do_to_the_queue_is_seen(tagged: LiveTagged, tag: str) -> None:
    """`taskspool cancel` and `taskspool retry`: cancelled, and to_do again, in lists too."""
    task = tagged.create(tags=[tag])
    tagged.queue.cancel(task["queue_id"], by="me")
    assert seen(tagged, task, tag) == ("cancelled", 0)
    tagged.queue.retry(task["queue_id"], by="me")
    assert seen(tagged, task, tag) == ("to_do", 0)


def test_a_new_priority_reaches_the_engine(tagged: LiveTagged) -> None:
    """PATCH priority moves a waiting task in its line; time limit and retries follow too."""
    task = tagged.create(priority="低")
    assert tagged.queue.task(task["queue_id"]).task.priority.word == "low"
    change = {"priority": "高", "timeout_seconds": 7, "retry_limit": 9}
    assert tagged.ask("PATCH", f"/tasks/{task['id']}", change).status_code == 200
    told = tagged.queue.task(task["queue_id"]).task
    assert (told.priority.word, told.options.timeout_seconds, told.max_retries) == ("high", 7.0, 9)


def test_a_finished_task_can_still_be_described(tagged: LiveTagged) -> None:
    """PATCH of a finished task changes its row; its status and result stay."""
    task = tagged.create()
    tagged.complete(tagged.claim(task), 1)
    changed = tagged.ask("PATCH", f"/tasks/{task['id']}", {"title": "x", "priority": "高"}).json()
    assert (changed["title"], changed["priority"], changed["status"], changed["result"]) == ("x", "高", "done", 1)


def test_deleting_a_running_task_stops_it(tagged: LiveTagged) -> None:
    """The row goes, the run is cancelled at once, and its late result is refused."""
    task = tagged.create()
    claim = tagged.claim(task)
    assert tagged.ask("DELETE", f"/tasks/{task['id']}").status_code == 204
    assert tagged.queue.task(task["queue_id"]).state == "cancelled"
    assert tagged.queue.store.lease_of(claim.task.id) is None


def test_a_lost_task_is_told_as_failed(tagged: LiveTagged) -> None:
    """Its files were removed while it ran: it is not run again, and the row says why."""
    task = tagged.create()
    claim = tagged.claim(task)
    tagged.list()
    lease = claim.lease
    for path in (tagged.settings.folder / "claimed").rglob(f"{lease.task_id}~*"):
        path.unlink()
    lost = eventually(lambda: one if (one := tagged.get(task))["status"] == "failed" else None, why="it is noticed")
    assert "the queue does not know this task any more" in lost["error"]


def test_lists_do_without_the_index(fresh: LiveTagged, tag: str) -> None:
    """The engine's index is a cache: while it cannot be used, lists are as true, if slower."""
    task = fresh.create(tags=[tag])
    other = fresh.create(tags=[tag])
    index = fresh.settings.folder / "index.sqlite"
    index.unlink()
    index.mkdir()
    fresh.complete(fresh.claim(task))
    fresh.queue.cancel(other["queue_id"], by="me")
    assert fresh.ids(status="done") == [task["id"]]
    assert fresh.ids(status="cancelled") == [other["id"]]
