"""Cancelling over HTTP: at once what waits, through every answer to its worker what runs; and trying anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live_bridge import LiveBridge, live_bridge
from waiting import eventually

TASK_STATUS = "Task-Status"


def claimed(bridge: LiveBridge, kind: str) -> tuple[str, str]:
    """(id, token) of a task that runs."""
    task_id = bridge.submit(kind)
    return task_id, bridge.claim("holder", types=[kind])["lease"]["token"]


def cancel(bridge: LiveBridge, task_id: str, **more: Any) -> Any:
    return bridge.post(f"/api/tasks/{task_id}/cancel", more)


@pytest.mark.parametrize("delay", [0, 3600])
def test_what_waits(bridge: LiveBridge, kind: str, delay: int) -> None:
    """A waiting task is cancelled at once; its result says by whom and why; nobody gets it."""
    task_id = bridge.submit(kind, delay=delay)
    reply = cancel(bridge, task_id, by="me", reason="not needed")
    assert (reply.status_code, reply.json()["state"], reply.json()["cancel_requested"]) == (200, "cancelled", False)
    result = bridge.get(f"/api/tasks/{task_id}/result").json()
    assert (result["status"], result["success"], result["worker"]) == ("cancelled", False, "me")
    assert "not needed" in result["error"]
    assert bridge.claim(types=[kind]) is None
    assert cancel(bridge, task_id).status_code == 200, "again changes nothing"


def test_delete_is_the_same(bridge: LiveBridge, kind: str) -> None:
    """DELETE /api/tasks/:id cancels, with a body or without."""
    first, second = bridge.submit(kind), bridge.submit(kind)
    assert bridge.session.delete(f"{bridge.url}/api/tasks/{first}", timeout=10).json()["status"] == "cancelled"
    bridge.session.delete(f"{bridge.url}/api/tasks/{second}", json={"requester": "you"}, timeout=10)
    assert bridge.get(f"/api/tasks/{second}/result").json()["worker"] == "you"


def test_every_answer_to_its_worker_says_so(bridge: LiveBridge, kind: str) -> None:
    """What runs is told to stop in each reply about it: header, field, and the beat for many; then it is released."""
    task_id, token = claimed(bridge, kind)
    before = bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token})
    assert TASK_STATUS not in before.headers
    reply = cancel(bridge, task_id, requester="me", reason="too late")
    assert (reply.status_code, reply.json()["status"], reply.json()["cancel_requested"]) == (202, "in_progress", True)
    beat = bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token})
    assert (beat.headers[TASK_STATUS], beat.json()["cancel_requested"]) == ("cancel_requested", True)
    assert beat.json()["reason"] == "too late"
    told = bridge.session.put(f"{bridge.url}/api/tasks/{task_id}/progress", timeout=10,
                              json={"lease_token": token, "progress": 9})
    assert told.headers[TASK_STATUS] == "cancel_requested"
    running = {"running": [{"task_id": task_id, "lease_token": token}]}
    assert bridge.post("/api/workers/holder/heartbeat", running).json()["cancel"] == [task_id]
    released = bridge.post(f"/api/tasks/{task_id}/release", {"lease_token": token})
    assert (released.headers[TASK_STATUS], released.json()["status"]) == ("cancel_requested", "cancelled")
    assert bridge.get(f"/api/tasks/{task_id}").json()["status"] == "cancelled"


@pytest.mark.parametrize(("verb", "body"), [
    ("complete", {"data": 1}), ("result", {"status": "success", "data": 1}),
])
def test_a_late_result_is_refused(bridge: LiveBridge, kind: str, verb: str, body: dict[str, Any]) -> None:
    """Cancelled is final: a result that comes after it gets 409 TASK_CANCELLED, before and after the task has ended."""
    task_id, token = claimed(bridge, kind)
    cancel(bridge, task_id)
    for _ in range(2):
        reply = bridge.post(f"/api/tasks/{task_id}/{verb}", {"lease_token": token, **body})
        assert (reply.status_code, reply.json()["code"]) == (409, "TASK_CANCELLED")
    assert bridge.get(f"/api/tasks/{task_id}/result").json()["status"] == "cancelled"


def test_a_failure_heeds_it(bridge: LiveBridge, kind: str) -> None:
    """A worker that gives up because it was told to ends the task as cancelled, whatever retries are left."""
    task_id = bridge.submit(kind, max_retries=5)
    token = bridge.claim(types=[kind])["lease"]["token"]
    cancel(bridge, task_id)
    reply = bridge.post(f"/api/tasks/{task_id}/fail", {"lease_token": token, "error": "told to stop"})
    assert (reply.status_code, reply.json()["status"], reply.json()["will_retry"]) == (200, "cancelled", False)


def test_one_that_does_not_heed(tmp_path: Path) -> None:
    """After the grace time the task is taken from a worker that goes on."""
    with live_bridge(tmp_path, cancel_grace_seconds=1) as bridge:
        task_id, token = claimed(bridge, "t")
        cancel(bridge, task_id)

        def ended() -> bool:
            bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token})
            return bool(bridge.get(f"/api/tasks/{task_id}").json()["status"] == "cancelled")

        eventually(ended, 10, "the grace time is over")
        assert bridge.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token}).status_code == 409


def test_what_has_ended(bridge: LiveBridge, kind: str) -> None:
    """A finished task cannot be cancelled, an unknown one not be found."""
    task_id, token = claimed(bridge, kind)
    bridge.post(f"/api/tasks/{task_id}/complete", {"lease_token": token})
    assert (cancel(bridge, task_id).status_code, cancel(bridge, task_id).json()["code"]) == (409, "TASK_FINISHED")
    assert cancel(bridge, "00000000-0000-4000-8000-000000000000").status_code == 404


def test_retry(bridge: LiveBridge, kind: str) -> None:
    """A dead task waits again, with its story; one that is not dead is refused."""
    task_id, token = claimed(bridge, kind)
    assert bridge.post(f"/api/tasks/{task_id}/retry").json()["code"] == "TASK_NOT_RETRYABLE"
    bridge.post(f"/api/tasks/{task_id}/fail", {"lease_token": token, "error_message": "no such page"})
    reply = bridge.post(f"/api/tasks/{task_id}/retry", {"by": "me", "reason": "it is there now"})
    assert (reply.status_code, reply.json()["state"]) == (200, "ready")
    history = bridge.get(f"/api/tasks/{task_id}").json()["history"]
    assert [step["verb"] for step in history] == ["enqueue", "claim", "fail", "retry"]
    assert (history[2]["reason"], history[2]["worker"], history[2]["attempt"]) == ("no such page", "holder", 1)
    assert (history[3]["worker"], history[3]["reason"]) == ("me", "it is there now")
    assert bridge.claim(types=[kind])["id"] == task_id


def test_many_by_filter(bridge: LiveBridge, kind: str) -> None:
    """Cancel and retry by filter reach what fits, oldest first, up to the limit, and say how many are left."""
    ids = [bridge.submit(kind, group=kind) for _ in range(5)]
    held = bridge.claim(types=[kind])["id"]
    bridge.submit("another-kind")
    done = bridge.post("/api/tasks/cancel", {"type": kind, "limit": 3}).json()
    assert (done["count"], done["task_ids"], done["total"], done["remaining"]) == (3, ids[1:4], 4, 1)
    assert bridge.queue.task(held).state == "claimed", "what runs is left alone unless it is named"
    again = bridge.post("/api/tasks/retry", {"group": kind, "state": ["cancelled"], "by": "me"}).json()
    assert sorted(again["task_ids"]) == ids[1:4]
    assert bridge.post("/api/tasks/cancel", {"group": kind, "state": "claimed"}).json()["task_ids"] == [held]
    old = bridge.post("/api/tasks/cancel", {"type": [kind], "older_than": 3600}).json()
    assert (old["count"], old["total"]) == (0, 0)


@pytest.mark.parametrize("body", [{}, {"all": False}, {"limit": 5}, {"older_than": 0}, {"type": None}])
def test_many_must_be_meant(bridge: LiveBridge, kind: str, body: dict[str, Any]) -> None:
    """Without a word on which, nothing is cancelled."""
    task_id = bridge.submit(kind)
    reply = bridge.post("/api/tasks/cancel", body)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, "all")
    assert bridge.queue.task(task_id).state == "ready"


def test_states_that_do_not_fit(bridge: LiveBridge) -> None:
    """Nothing finished is cancelled and nothing unfinished tried anew: such a state is refused by name."""
    assert bridge.post("/api/tasks/cancel", {"state": "done"}).json()["details"]["field"] == "state.0"
    assert bridge.post("/api/tasks/retry", {"state": ["ready"]}).json()["details"]["field"] == "state.0"
