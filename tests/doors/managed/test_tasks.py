"""One task over its life, as this door tells it: detail, cancel, retry, progress."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from live_managed import TASKS, LiveManaged, at

from taskspool.engine.lifecycle import Failure
from taskspool.errors import TaskCancelled

NOT_FOUND = {"error": "Task not found", "message": "Task with specified ID does not exist", "code": "TASK_NOT_FOUND"}
NOT_CANCELABLE = {"error": "Task not cancelable", "message": "Task is in a state that cannot be canceled",
                  "code": "TASK_NOT_CANCELABLE"}
NOT_RETRYABLE = {"error": "Task not retryable",
                 "message": "Task cannot be retried in current state or has exceeded max retries",
                 "code": "TASK_NOT_RETRYABLE"}


def is_told(reply: Any, status: int, expected: dict[str, Any], task_id: str) -> bool:
    """Whether the answer is that error, about that task."""
    told = reply.json()
    return (reply.status_code == status and expected.items() <= told.items()
            and told["details"]["task_id"] == task_id)


def test_a_task_that_is_worked_on(door: LiveManaged) -> None:
    """Processing: who holds it, since when; not in the line; how far its worker says it is."""
    made = door.new()
    claim = door.hold(made["id"])
    door.queue.extend(made["id"], claim.lease.token, percent=65, message="embedding")
    told = door.told(made["id"])
    assert (told["status"], told["worker_id"], told["progress"], told["queue_position"]) == (
        "processing", "worker_001", 65, 0)
    assert at(made["created_at"]) <= at(told["started_at"]) <= at(told["updated_at"])
    assert told["completed_at"] is None
    assert told["error_message"] == "", "what a healthy worker says is no error: clients stop at the first one"


def test_no_try_begins_before_its_task(still: LiveManaged) -> None:
    """A token tells whole milliseconds only: a task that is taken as it comes is not shown to have begun before."""
    made = still.new()
    still.hold(made["id"])
    assert still.told(made["id"])["started_at"] == made["created_at"]


def test_a_task_that_is_done(door: LiveManaged) -> None:
    """Completed: its result, 100 percent, who did it and when; no outlook any more."""
    task_id = door.new()["id"]
    door.work(task_id, {"chunks": 3})
    told = door.told(task_id)
    assert (told["status"], told["result"], told["progress"], told["worker_id"]) == (
        "completed", {"chunks": 3}, 100, "worker_001")
    assert at(told["started_at"]) <= at(told["completed_at"]) == at(told["updated_at"])
    assert (told["estimated_completion"], told["queue_position"], told["error_message"]) == (None, 0, "")


@pytest.mark.parametrize(("data", "result"), [(None, {}), ([1, 2], {"value": [1, 2]}), ("text", {"value": "text"})])
def test_a_result_is_always_an_object(door: LiveManaged, data: Any, result: dict[str, Any]) -> None:
    """Workers of other kinds return anything; clients of this door read an object."""
    task_id = door.new()["id"]
    door.work(task_id, data)
    assert door.told(task_id)["result"] == result


def test_a_task_that_failed_for_good(door: LiveManaged) -> None:
    """Failed: why, when, by whom; no retry was used."""
    task_id = door.new()["id"]
    door.fail(task_id, "no such file", is_final=True)
    told = door.told(task_id)
    assert (told["status"], told["error_message"], told["retry_count"], told["worker_id"]) == (
        "failed", "no such file", 0, "worker_001")
    assert told["completed_at"] is not None


def test_a_task_that_is_to_be_tried_again(still: LiveManaged) -> None:
    """Retrying: one retry used, the reason, nobody's, scheduled for later, when it was tried last."""
    made = still.new()
    still.fail(made["id"], "try later")
    told = still.told(made["id"])
    assert (told["status"], told["retry_count"], told["error_message"], told["worker_id"]) == (
        "retrying", 1, "try later", "")
    assert at(told["scheduled_for"]) > at(told["started_at"]) >= at(made["created_at"])
    assert told["completed_at"] is None


@pytest.mark.parametrize("task_id", [
    "invalid_id", str(uuid.UUID(int=7, version=4)), "..%2f..%2fetc", "1", "batch", "%00"])
def test_an_id_nobody_has(door: LiveManaged, task_id: str) -> None:
    """Any text may be asked for: 404 TASK_NOT_FOUND for each verb, with the id in details."""
    for reply in (door.get(f"{TASKS}/{task_id}"), door.delete(f"{TASKS}/{task_id}"),
                  door.post(f"{TASKS}/{task_id}/retry"), door.put(f"{TASKS}/{task_id}/progress", json={"progress": 1})):
        assert reply.status_code == 404
        assert reply.json()["error"] in ("Task not found", "Not Found")
    if "%" not in task_id:
        assert is_told(door.get(f"{TASKS}/{task_id}"), 404, NOT_FOUND, task_id)


# -- cancel ----------------------------------------------------------------------------------------------------------


def test_a_queued_task_is_canceled_and_kept(door: LiveManaged) -> None:
    """Out of the line at once, still there to be looked at; its end is when it was canceled."""
    task_id = door.new()["id"]
    reply = door.delete(f"{TASKS}/{task_id}")
    assert (reply.status_code, reply.json()) == (200, {"message": "Task canceled successfully", "task_id": task_id})
    told = door.told(task_id)
    assert (told["status"], told["worker_id"], told["queue_position"]) == ("canceled", "", 0)
    assert told["completed_at"] == told["updated_at"]
    assert at(told["updated_at"]) >= at(told["created_at"])
    assert door.queue.store.position(task_id) is None


def test_a_running_task_stays_canceled(door: LiveManaged) -> None:
    """Canceled at once, whoever holds it; what its worker brings later is refused (deviation D10 of the original)."""
    task_id = door.new()["id"]
    token = door.hold(task_id).lease.token
    assert door.delete(f"{TASKS}/{task_id}").status_code == 200
    assert door.told(task_id)["status"] == "canceled"
    with pytest.raises(TaskCancelled):
        door.queue.complete(task_id, token, {"late": True})
    told = door.told(task_id)
    assert (told["status"], told["result"], told["worker_id"]) == ("canceled", {}, "worker_001")


def test_only_what_is_queued_or_processing_is_canceled(still: LiveManaged) -> None:
    """409 TASK_NOT_CANCELABLE for completed, failed, canceled, and for what is retrying."""
    done, dead, canceled, retrying = (still.new()["id"] for _ in range(4))
    still.work(done)
    still.fail(dead, is_final=True)
    still.delete(f"{TASKS}/{canceled}")
    still.fail(retrying)
    for task_id in (done, dead, canceled, retrying):
        before = still.told(task_id)
        assert is_told(still.delete(f"{TASKS}/{task_id}"), 409, NOT_CANCELABLE, task_id)
        assert still.told(task_id)["status"] == before["status"]


# -- retry -----------------------------------------------------------------------------------------------------------


def test_a_failed_task_is_tried_again_last_of_its_priority(fresh: LiveManaged) -> None:
    """Queued behind the others, one retry used, and nothing left of how it ended."""
    task_id = fresh.new()["id"]
    fresh.fail(task_id, "broken", is_final=True)
    others = [fresh.new()["id"], fresh.new()["id"]]
    reply = fresh.post(f"{TASKS}/{task_id}/retry")
    assert reply.status_code == 200
    told = reply.json()
    assert (told["status"], told["retry_count"], told["queue_position"]) == ("queued", 1, 3)
    assert (told["started_at"], told["completed_at"], told["error_message"], told["worker_id"]) == (None, None, "", "")
    assert fresh.told(task_id) | {"estimated_completion": None} == told | {"estimated_completion": None}
    assert [claim.task.id for claim in fresh.queue.claim("w", max_tasks=3)] == [*others, task_id]


def test_what_is_retrying_may_be_tried_at_once(still: LiveManaged) -> None:
    """Queued now, at the price of one more retry."""
    task_id = still.new()["id"]
    still.fail(task_id, "broken")
    told = still.post(f"{TASKS}/{task_id}/retry").json()
    assert (told["status"], told["retry_count"], told["error_message"], told["started_at"]) == ("queued", 2, "", None)
    assert [claim.task.id for claim in still.queue.claim("w")] == [task_id]


def test_a_task_is_retried_as_often_as_it_may(door: LiveManaged) -> None:
    """While retry_count is below max_retries; then 409 TASK_NOT_RETRYABLE."""
    task_id = door.new(max_retries=2)["id"]
    door.fail(task_id, is_final=True)
    for used in (1, 2):
        assert door.post(f"{TASKS}/{task_id}/retry").json()["retry_count"] == used
        door.fail(task_id, is_final=True)
    assert door.told(task_id)["retry_count"] == 2
    assert is_told(door.post(f"{TASKS}/{task_id}/retry"), 409, NOT_RETRYABLE, task_id)


def test_only_what_failed_or_is_retrying_is_retried(door: LiveManaged) -> None:
    """409 TASK_NOT_RETRYABLE for queued, processing, completed and canceled."""
    queued, processing, done, canceled = (door.new()["id"] for _ in range(4))
    door.hold(processing)
    door.work(done)
    door.delete(f"{TASKS}/{canceled}")
    for task_id in (queued, processing, done, canceled):
        before = door.told(task_id)["status"]
        assert is_told(door.post(f"{TASKS}/{task_id}/retry"), 409, NOT_RETRYABLE, task_id)
        assert door.told(task_id)["status"] == before


# -- progress --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [{"json": {"progress": 75, "message": "Processing embeddings..."}},
                                  {"json": {"progress": 75.0, "message": "Processing embeddings..."}},
                                  {"data": {"progress": "75", "message": "Processing embeddings..."}},
                                  {"data": b'{"progress": 75, "message": "Processing embeddings..."}',
                                   "headers": {"Content-Type": "application/x-www-form-urlencoded"}}])
def test_progress_is_told_as_json_and_as_a_form(door: LiveManaged, sent: dict[str, Any]) -> None:
    """The document shows the one, the clients send the other (D3); the message stands in error_message."""
    task_id = door.new()["id"]
    reply = door.put(f"{TASKS}/{task_id}/progress", **sent)
    assert (reply.status_code, reply.json()) == (
        200, {"message": "Task progress updated successfully", "task_id": task_id, "progress": 75})
    told = door.told(task_id)
    assert (told["status"], told["progress"], told["error_message"]) == ("queued", 75, "Processing embeddings...")
    assert at(told["updated_at"]) > at(told["created_at"])
    assert told["queue_position"] > 0


def test_progress_of_a_task_that_is_held_needs_no_token(door: LiveManaged) -> None:
    """Whoever tells it; its status stays, at 100 too, and its worker may still finish it."""
    task_id = door.new()["id"]
    token = door.hold(task_id).lease.token
    assert door.put(f"{TASKS}/{task_id}/progress", data={"progress": "100", "message": "half a word"}).ok
    told = door.told(task_id)
    assert (told["status"], told["progress"], told["error_message"]) == ("processing", 100, "half a word")
    door.queue.complete(task_id, token, {})
    assert door.told(task_id)["status"] == "completed"


def test_progress_without_a_message_takes_the_last_one_back(door: LiveManaged) -> None:
    """As the original stored what was sent: nothing."""
    task_id = door.new()["id"]
    door.put(f"{TASKS}/{task_id}/progress", data={"progress": "1", "message": "one"})
    door.put(f"{TASKS}/{task_id}/progress", data={"progress": "2"})
    assert door.told(task_id)["error_message"] == ""


def test_progress_of_a_finished_task_changes_nothing(door: LiveManaged) -> None:
    """200, as ever; a client that comes late learns the state by looking."""
    task_id = door.new()["id"]
    door.work(task_id, {"n": 1})
    before = door.told(task_id)
    reply = door.put(f"{TASKS}/{task_id}/progress", json={"progress": 5, "message": "late"})
    assert (reply.status_code, reply.json()["progress"]) == (200, 5)
    assert door.told(task_id) == before


@pytest.mark.parametrize("sent", [
    {"json": {"progress": 101}}, {"json": {"progress": -1}}, {"json": {"progress": "75"}}, {"json": {"progress": 1.5}},
    {"json": {"progress": True}}, {"json": {"progress": None}}, {"json": {}}, {"data": {"progress": "101"}},
    {"data": {"progress": "abc"}}, {"data": {"progress": ""}}, {"data": {"message": "x"}}, {"data": b""},
    {"data": {"progress": "٧"}},
])
def test_progress_is_a_whole_number_in_0_to_100(door: LiveManaged, sent: dict[str, Any]) -> None:
    """Anything else: 400 Invalid progress, and nothing changes."""
    task_id = door.new()["id"]
    reply = door.put(f"{TASKS}/{task_id}/progress", **sent)
    assert (reply.status_code, reply.json()["error"]) == (400, "Invalid progress")
    assert reply.json()["details"] == {"field": "progress", "rule": "0..100"}
    assert door.told(task_id)["progress"] == 0


def test_a_message_is_a_text(door: LiveManaged) -> None:
    """400 naming the field."""
    reply = door.put(f"{TASKS}/{door.new()['id']}/progress", json={"progress": 1, "message": {"a": 1}})
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "message")


def test_a_failure_with_data_is_told(door: LiveManaged) -> None:
    """What a worker adds to its error stands in the result."""
    task_id = door.new()["id"]
    token = door.hold(task_id).lease.token
    door.queue.fail(task_id, token, Failure("bad page", {"page": 3}, retryable=False))
    assert door.told(task_id)["result"] == {"page": 3}
