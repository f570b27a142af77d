"""The line and the clock: places in it, outlooks, times to come, retries by themselves, tries that take too long."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from fake_clock import FakeClock
from live_managed import TASKS, LiveManaged, at

from taskspool.doors.managed.outlook import Outlook
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Priority, Snapshot, State, Task
from taskspool.engine.worker_record import WorkerReport


def positions(door: LiveManaged, *ids: str) -> list[int]:
    return [door.told(task_id)["queue_position"] for task_id in ids]


# -- places ----------------------------------------------------------------------------------------------------------


def test_the_position_is_the_place_in_line(still: LiveManaged, clock: FakeClock) -> None:
    """1 is next (D6): strictly by priority, first come first served within; it falls as others are taken."""
    ids = []
    for priority in ("low", "normal", "critical", "high", "normal"):
        clock.advance(1)
        ids.append(still.new(priority=priority)["id"])
    low, first, critical, high, second = ids
    assert positions(still, critical, high, first, second, low) == [1, 2, 3, 4, 5]
    still.hold(critical)
    assert positions(still, critical, high, first, second, low) == [0, 1, 2, 3, 4]
    still.delete(f"{TASKS}/{first}")
    assert positions(still, high, first, second, low) == [1, 0, 2, 3]
    assert [claim.task.id for claim in still.queue.claim("w", max_tasks=3)] == [high, second, low]


def test_what_comes_later_is_not_in_line(still: LiveManaged, clock: FakeClock) -> None:
    """schedule_for is honoured (D8): queued, but in no place and for nobody, until its time has come."""
    due = clock.now() + timedelta(seconds=90)
    made = still.new(schedule_for=due.isoformat())
    assert (made["status"], made["queue_position"], at(made["scheduled_for"])) == ("queued", 0, due)
    still.queue.sweep()
    assert still.queue.claim("w") == []
    clock.advance(91)
    still.queue.sweep()
    assert still.told(made["id"])["queue_position"] == 1
    assert [claim.task.id for claim in still.queue.claim("w")] == [made["id"]]


def test_a_time_that_has_passed_is_now(still: LiveManaged) -> None:
    """A schedule_for in the past: in line at once, as the document's own example."""
    made = still.new(schedule_for="2025-07-28T14:30:00Z")
    assert (made["status"], made["queue_position"]) == ("queued", 1)


# -- retries ---------------------------------------------------------------------------------------------------------


def test_what_fails_is_tried_again_by_itself(still: LiveManaged, clock: FakeClock) -> None:
    """While retries are left (D9), after min(1 s * 2^retry_count, 60 s), without anything by chance; then failed."""
    task_id = still.new(max_retries=8)["id"]
    for used, wait in enumerate((1, 2, 4, 8, 16, 32, 60, 60)):
        failed_at = clock.now()
        still.fail(task_id, f"failure {used}")
        told = still.told(task_id)
        assert (told["status"], told["retry_count"], told["error_message"]) == (
            "retrying", used + 1, f"failure {used}")
        assert at(told["scheduled_for"]) - failed_at == timedelta(seconds=wait)
        clock.advance(wait + 0.01)
        still.queue.sweep()
        assert (still.told(task_id)["status"], still.told(task_id)["error_message"]) == ("queued", f"failure {used}")
    still.fail(task_id, "the last")
    told = still.told(task_id)
    assert (told["status"], told["retry_count"], told["error_message"]) == ("failed", 8, "the last")


def test_a_try_that_takes_too_long_is_ended(still: LiveManaged, clock: FakeClock) -> None:
    """Its own timeout, in seconds, whatever its worker says; it counts as a failed try, and is told as Task timeout."""
    task_id = still.new(timeout=40, max_retries=1)["id"]
    for status in ("retrying", "failed"):
        token = still.hold(task_id).lease.token
        still.queue.sweep()
        clock.advance(30)
        still.queue.extend(task_id, token)
        still.queue.sweep()
        assert still.told(task_id)["status"] == "processing"
        clock.advance(11)
        still.queue.sweep()
        told = still.told(task_id)
        assert (told["status"], told["error_message"]) == (status, "Task timeout")
        clock.advance(10)
        still.queue.sweep()
    assert still.told(task_id)["retry_count"] == 1


@pytest.mark.parametrize(("message", "told"), [
    ("timed out after 40 s", "Task timeout"), ("timed out after 0.5 s", "Task timeout"),
    ("timed out after 40 s of waiting for the printer", "timed out after 40 s of waiting for the printer")])
def test_a_worker_may_notice_first(still: LiveManaged, message: str, told: str) -> None:
    """What our workers say when time is over is the same end; other people's words stay theirs."""
    task_id = still.new()["id"]
    still.fail(task_id, message, is_final=True)
    assert still.told(task_id)["error_message"] == told


def test_a_worker_that_falls_silent_costs_no_retry(still: LiveManaged, clock: FakeClock) -> None:
    """Another may take the task at once; when it was the death of too many, it is failed and says so."""
    task_id = still.new()["id"]
    for _ in range(still.queue.max_crashes - 1):
        still.hold(task_id)
        still.queue.sweep()
        clock.advance(61)
        still.queue.sweep()
        assert (still.told(task_id)["status"], still.told(task_id)["retry_count"]) == ("queued", 0)
    still.hold(task_id)
    still.queue.sweep()
    clock.advance(61)
    still.queue.sweep()
    told = still.told(task_id)
    assert (told["status"], told["retry_count"]) == ("failed", 0)
    assert "3 workers died or fell silent" in told["error_message"]
    assert still.post(f"{TASKS}/{task_id}/retry").json()["status"] == "queued"


def test_what_lives_looks_alive(still: LiveManaged, clock: FakeClock) -> None:
    """A list poller takes over what was not updated for 300 seconds: never a task whose worker is alive, on this
    machine or by its heartbeats; one that fell silent is as old as its last word."""
    local, remote, silent = (still.new(timeout=86_400)["id"] for _ in range(3))
    clock.advance(1)
    still.queue.claim_one(local, "folder worker", lease_seconds=0)
    token = still.hold(remote).lease.token
    still.hold(silent)
    for _ in range(20):
        clock.advance(50)
        still.queue.extend(remote, token)
    ages = {task["id"]: (clock.now() - at(task["updated_at"])).total_seconds()
            for task in still.listed(status="processing")}
    assert ages[local] <= 60
    assert ages[silent] >= 1000
    assert at(still.told(remote)["started_at"]) <= at(still.told(remote)["updated_at"])


# -- outlooks --------------------------------------------------------------------------------------------------------


def test_without_history_the_outlook_is_the_timeout(still: LiveManaged) -> None:
    """As in the document's example: created_at + timeout (D7)."""
    made = still.new(timeout=120)
    assert at(made["estimated_completion"]) - at(made["created_at"]) == timedelta(seconds=120)


@pytest.mark.parametrize("has_history", [False, True])
def test_the_end_of_time_is_an_outlook_too(still: LiveManaged, *, has_history: bool) -> None:
    """A task that waits for the last second there is is taken, and told: nothing is later than that."""
    if has_history:
        still.queue.workers.report(WorkerReport("worker_001"))
        still.work(still.new()["id"])
    made = still.new(schedule_for="9999-12-31T23:59:59.999999Z", timeout=31_536_000)
    for told in (made, still.told(made["id"])):
        assert told["scheduled_for"] == told["estimated_completion"] == "9999-12-31T23:59:59.999999Z"


def test_the_outlook_is_what_then_happens(still: LiveManaged, clock: FakeClock) -> None:
    """With history and workers: the rounds before its turn, and its own run; what runs ends a mean after its start."""
    still.queue.workers.report(WorkerReport("worker_001", concurrency=2))
    for _ in range(3):
        token = still.hold(still.new()["id"]).lease.token
        clock.advance(10)
        still.queue.workers.beat("worker_001", {})
        still.queue.complete(still.queue.leases()[0][0].task.id, token, {})
    clock.advance(2)
    ids = [still.new()["id"] for _ in range(5)]
    told = [at(still.told(task_id)["estimated_completion"]) - clock.now() for task_id in ids]
    assert [round(one.total_seconds()) for one in told] == [10, 10, 20, 20, 30]
    still.hold(ids[0])
    assert round((at(still.told(ids[0])["estimated_completion"]) - clock.now()).total_seconds()) == 10
    clock.advance(25)
    assert at(still.told(ids[0])["estimated_completion"]) == clock.now(), "overdue: any moment, never in the past"
    still.queue.fail(ids[0], still.queue.leases()[0][1].token, Failure("no"))
    assert still.told(ids[0])["estimated_completion"] is None


NOW = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
TASK = Task("0" * 36, "a", {}, "r", NOW - timedelta(seconds=5), Priority.NORMAL)
BUSY = Outlook({"a": 4.0, "b": 100.0}, 10.0, concurrency=2, running=2)


@pytest.mark.parametrize(("outlook", "position", "seconds"), [
    (BUSY, 1, 14), (BUSY, 2, 14), (BUSY, 3, 24), (Outlook({"a": 4.0}, 10.0, 2, 0), 1, 4),
    (Outlook({"a": 4.0}, 10.0, 2, 1), 1, 4), (Outlook({"a": 4.0}, 10.0, 0, 0), 1, 295),
    (Outlook({}, None, 2, 0), 1, 295), (Outlook({"b": 4.0}, 4.0, 2, 0), 1, 295)])
def test_how_long_a_task_that_waits_will_take(outlook: Outlook, position: int, seconds: float) -> None:
    """Full rounds of all the workers before it, then its own mean; its timeout where one of these is not known."""
    found = outlook.completion_at(Snapshot(TASK, State.READY, NOW), position, NOW)
    assert found == NOW + timedelta(seconds=seconds)


def test_no_outlook_lies_in_the_past() -> None:
    """What has waited longer than its timeout may still take as long."""
    late = NOW + timedelta(days=1)
    assert Outlook().completion_at(Snapshot(TASK, State.READY, NOW), 1, late) == late + timedelta(seconds=300)
    for state in (State.DONE, State.DEAD, State.CANCELLED):
        assert BUSY.completion_at(Snapshot(TASK, state, NOW), 0, late) is None


def test_places_of_a_batch_are_true(still: LiveManaged) -> None:
    """Each task of a batch is told the place it has, behind what waited before; what comes later has none."""
    still.new(priority="high")
    still.new()
    body = {"task_type": "health_check", "kb_id": "kb", "payload": {}}
    sent = [{**body, "priority": word} for word in ("normal", "low", "high", "normal", "high", "low")]
    sent.insert(3, {**body, "schedule_for": "2100-01-01T00:00:00Z"})
    made = still.post(f"{TASKS}/batch", sent).json()["tasks"]
    told = [task["queue_position"] for task in made]
    assert told == positions(still, *(task["id"] for task in made)) == [5, 7, 2, 0, 6, 3, 8]
