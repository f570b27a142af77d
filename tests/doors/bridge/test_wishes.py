"""What may be asked for with a task beside its type and data: when, how long, how often, in which company."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from live_bridge import LiveBridge
from waiting import eventually

from taskspool.clock import from_text, to_text
from taskspool.engine.options import PLAIN, Backoff
from taskspool.engine.task import State


def later(seconds: float) -> str:
    return to_text(datetime.now(UTC) + timedelta(seconds=seconds))


def test_every_wish_reaches_the_task(bridge: LiveBridge, kind: str) -> None:
    """Each field of a submission stands in the task, and GET tells it under the name it was asked with."""
    asked: dict[str, Any] = {
        "group": "crew-7", "tags": ["a", "b"], "timeout": 30, "total_timeout": 300, "lease": 20, "unique_key": kind,
        "parent_id": "01936f5e-0000-4000-8000-00000000000c",
        "backoff": {"kind": "linear", "base": 2, "cap": 50, "jitter": 0}, "start_before": later(3600),
    }
    task_id = bridge.submit(kind, **asked, max_retries=3)
    options = bridge.queue.task(task_id).task.options
    assert options.backoff == Backoff("linear", 2, 50, 0)
    assert bridge.get(f"/api/tasks/{task_id}").json()["options"] == asked


def test_nothing_asked_is_nothing_kept(bridge: LiveBridge, kind: str) -> None:
    """null for each wish is the plain task that all others share."""
    nothing = dict.fromkeys(("group", "tags", "timeout", "total_timeout", "lease", "unique_key", "backoff", "run_at",
                             "delay", "start_before", "on_conflict", "parent_id"))
    assert bridge.queue.task(bridge.submit(kind, **nothing)).task.options is PLAIN


@pytest.mark.parametrize("name", ["run_at", "schedule_for"])
def test_run_at(bridge: LiveBridge, kind: str, name: str) -> None:
    """A task for later is scheduled, says so when it is submitted, and is handed out then, not before."""
    at = later(1.0)
    made = bridge.post("/api/tasks", {"task_type": kind, name: at}).json()
    assert (made["status"], made["state"]) == ("pending", "scheduled")
    assert bridge.claim(types=[kind]) is None
    assert bridge.get(f"/api/tasks/{made['task_id']}").json()["not_before"] == at
    assert eventually(lambda: bridge.claim(types=[kind]), 5, "its time comes")["id"] == made["task_id"]
    assert datetime.now(UTC) >= from_text(at)


def test_delay(bridge: LiveBridge, kind: str) -> None:
    """delay counts from now."""
    made = bridge.post("/api/tasks", {"task_type": kind, "delay": 3600}).json()
    shown = from_text(bridge.get(f"/api/tasks/{made['task_id']}").json()["not_before"])
    assert timedelta(minutes=59) < shown - datetime.now(UTC) < timedelta(minutes=61)


def test_a_time_that_has_passed(bridge: LiveBridge, kind: str) -> None:
    """run_at in the past is now; start_before in the past gives the task up."""
    made = bridge.post("/api/tasks", {"task_type": kind, "run_at": later(-60)}).json()
    assert (made["state"], bridge.claim(types=[kind])["id"]) == ("ready", made["task_id"])
    late = bridge.submit(kind, start_before=later(-1))
    eventually(lambda: bridge.get(f"/api/tasks/{late}/result").ok, 5, "it is given up")
    assert bridge.get(f"/api/tasks/{late}/result").json()["error"].startswith("given up: nobody started it before")


def test_the_same_unique_key(bridge: LiveBridge, kind: str) -> None:
    """A second task with the key is the first one, or refused with its id, or takes its place."""
    def submit(on_conflict: str | None) -> Any:
        return bridge.post("/api/tasks", {"task_type": kind, "unique_key": kind, "on_conflict": on_conflict})

    first = submit(None).json()["task_id"]
    again = submit("existing")
    assert (again.status_code, again.json()["task_id"], again.json()["created"]) == (200, first, False)
    refused = submit("reject")
    assert (refused.status_code, refused.json()["code"]) == (409, "DUPLICATE_TASK")
    assert refused.json()["details"]["task_id"] == first
    other = submit("replace")
    assert (other.status_code, bridge.queue.task(first).state) == (201, State.CANCELLED)
    assert other.json()["task_id"] != first


def test_the_answer_tells_the_state_there_is(bridge: LiveBridge, kind: str) -> None:
    """Submitted again under its key when it is done already, a task is told to be completed."""
    key = {"Idempotency-Key": kind}
    task_id = bridge.post("/api/tasks", {"task_type": kind}, headers=key).json()["task_id"]
    token = bridge.claim(types=[kind])["lease"]["token"]
    bridge.post(f"/api/tasks/{task_id}/complete", {"lease_token": token})
    again = bridge.post("/api/tasks", {"task_type": kind}, headers=key).json()
    assert (again["created"], again["status"], again["state"]) == (False, "completed", "done")


def test_a_claim_tells_its_deadline(bridge: LiveBridge, kind: str) -> None:
    """deadline_at is when the attempt, or the task, must be over, whichever comes first; null without a limit."""
    bridge.submit(kind, timeout=100, total_timeout=1000)
    task = bridge.claim(types=[kind])
    assert from_text(task["deadline_at"]) - from_text(task["claimed_at"]) == timedelta(seconds=100)
    bridge.submit(kind, timeout=1000, total_timeout=100)
    task = bridge.claim(types=[kind])
    assert from_text(task["deadline_at"]) - from_text(task["created_at"]) == timedelta(seconds=100)
    bridge.submit(kind)
    assert bridge.claim(types=[kind])["deadline_at"] is None


def test_a_lease_of_its_own(bridge: LiveBridge, kind: str) -> None:
    """What the task asks for goes before what the worker asks for."""
    bridge.submit(kind, lease=7)
    assert bridge.claim(types=[kind], lease=600)["lease"]["lease_seconds"] == 7


@pytest.mark.parametrize(("more", "field"), [
    ({"delay": -1}, "delay"), ({"delay": 1, "run_at": "2030-01-01T00:00:00Z"}, "run_at"), ({"run_at": 5}, "run_at"),
    ({"run_at": "tomorrow"}, "run_at"), ({"run_at": "2030-01-01T00:00:00"}, "run_at"),
    ({"run_at": "2030-02-30T00:00:00Z"}, "run_at"), ({"start_before": ""}, "start_before"),
    ({"timeout": 0}, "timeout"), ({"total_timeout": 1e12}, "total_timeout"), ({"lease": 0}, "lease"),
    ({"group": ""}, "group"), ({"group": "a\nb"}, "group"), ({"tags": "a"}, "tags"), ({"tags": [""]}, "tags.0"),
    ({"tags": ["t"] * 21}, "tags"), ({"unique_key": ""}, "unique_key"), ({"on_conflict": "ignore"}, "on_conflict"),
    ({"parent_id": "x"}, "parent_id"), ({"parent_id": 5}, "parent_id"),
    ({"backoff": 5}, "backoff"), ({"backoff": {"kind": "wild"}}, "backoff.kind"),
    ({"backoff": {"jitter": 2}}, "backoff.jitter"), ({"backoff": {"cap": -1}}, "backoff.cap"),
])
def test_bad_wish(bridge: LiveBridge, more: dict[str, Any], field: str) -> None:
    """Each is refused with its name and its rule."""
    reply = bridge.post("/api/tasks", {"task_type": "never-run", **more})
    assert reply.status_code == 400, reply.text
    assert (reply.json()["code"], reply.json()["details"]["field"]) == ("INVALID_REQUEST", field)
    assert reply.json()["details"]["rule"]


def test_no_unique_key_among_many(bridge: LiveBridge) -> None:
    """A unique key is for tasks that come one by one: with others it is refused, not passed over."""
    reply = bridge.post("/api/tasks/batch", {"tasks": [{"task_type": "t", "unique_key": "k"}]})
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "tasks.0.unique_key")
