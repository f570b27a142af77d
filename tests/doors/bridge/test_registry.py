"""The registry of workers over HTTP: who works here, and telling a worker to be quiet, to go on, to end."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from live_bridge import LiveBridge, live_bridge
from waiting import eventually

from taskspool.engine.lifecycle import open_queue
from taskspool.engine.worker_record import WorkerReport

_numbers = itertools.count()


@pytest.fixture
def name() -> str:
    """A worker no other test knows."""
    return f"worker-{next(_numbers)}"


def in_background(call: Callable[[], Any]) -> Callable[[], Any]:
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return lambda: future.result(30)


def beat(bridge: LiveBridge, name: str, **told: Any) -> Any:
    reply = bridge.post(f"/api/workers/{name}/heartbeat", told)
    assert reply.status_code == 200, reply.text
    return reply.json()


def poll(bridge: LiveBridge, name: str, **more: Any) -> Any:
    reply = bridge.post("/api/tasks/next", {"worker_id": name, "types": [f"only-{name}"], **more})
    assert reply.status_code == 200, reply.text
    return reply.json()


def order(bridge: LiveBridge, name: str, word: str, **who: Any) -> Any:
    reply = bridge.post(f"/api/workers/{name}/{word}", who or None)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_what_a_beat_tells_is_shown(bridge: LiveBridge, name: str) -> None:
    """Every field, as it was told; a beat that tells nothing leaves it so, and the answer is of the old form."""
    told = {"types": ["a", "b"], "kind": "browser", "concurrency": 2, "host": "desk", "pid": 12, "version": "1.2",
            "labels": {"tab": "left"}, "state": "running", "done": 4, "failed": 1,
            "started_at": "2026-01-31T12:00:00.000000Z"}
    answer = beat(bridge, name, **told)
    assert answer.keys() >= {"state", "leases", "lost", "cancel", "next_beat"}
    assert (answer["state"], answer["next_beat"]) == ("run", 20.0)
    assert beat(bridge, name)["state"] == "run"
    shown = bridge.get(f"/api/workers/{name}").json()
    assert shown.items() >= told.items()
    assert (shown["worker_id"], shown["is_alive"], shown["is_quiet"], shown["running"]) == (name, True, False, [])
    listed = {each["worker_id"]: each for each in bridge.get("/api/workers").json()["workers"]}
    assert shown.items() >= listed[name].items()


def test_a_name_may_hold_a_slash(bridge: LiveBridge, name: str) -> None:
    """Sent as %2F it names one worker, in a beat and in an order."""
    poll(bridge, f"team/{name}")
    beat(bridge, f"team%2F{name}", state="running")
    told = order(bridge, f"team%2F{name}", "quiet")
    assert (told["worker_id"], told["is_quiet"]) == (f"team/{name}", True)


def test_a_client_that_only_polls_is_listed(bridge: LiveBridge, name: str) -> None:
    """With the types it asked for and the tasks it holds; the older form of the call does as well."""
    task_id = bridge.submit(f"only-{name}")
    assert poll(bridge, name)["task"]["task_id"] == task_id
    bridge.get("/api/tasks/next", headers={"X-Worker-Name": f"{name}-old"})
    shown = bridge.get(f"/api/workers/{name}").json()
    assert (shown["kind"], shown["types"], shown["running"]) == ("http", [f"only-{name}"], [task_id])
    assert bridge.get(f"/api/workers/{name}-old").json()["types"] is None


def test_a_beat_of_one_task_is_a_sign_of_life(fresh: LiveBridge, name: str) -> None:
    """Who claimed its task by id, and beats for it, is alive too."""
    task_id = fresh.submit("x")
    token = fresh.post(f"/api/tasks/{task_id}/claim", {"worker_id": name}).json()["task"]["lease"]["token"]
    fresh.post(f"/api/tasks/{task_id}/heartbeat", {"lease_token": token})
    assert fresh.get(f"/api/workers/{name}").json()["running"] == [task_id]


def test_a_quiet_worker_gets_nothing_new(bridge: LiveBridge, name: str) -> None:
    """It is told so, with its polls and its beats; what it holds stays its own; ``run`` ends it."""
    first = bridge.submit(f"only-{name}")
    held = poll(bridge, name)["task"]
    bridge.submit(f"only-{name}")
    told = order(bridge, name, "quiet", by="ann", reason="an update")
    assert {key: told["order"][key] for key in ("order", "by", "reason")} == {
        "order": "quiet", "by": "ann", "reason": "an update"}
    asked = poll(bridge, name)
    assert (asked["task"], asked["state"]) == (None, "quiet")
    answer = beat(bridge, name, running=[{"task_id": first, "lease_token": held["lease"]["token"]}])
    assert (answer["state"], list(answer["leases"])) == ("quiet", [first])
    done = bridge.post(f"/api/tasks/{first}/complete", {"lease_token": held["lease"]["token"], "data": 1})
    assert done.status_code == 200
    assert order(bridge, name, "run")["order"] is None
    asked = poll(bridge, name)
    assert (asked["task"]["type"], asked["state"]) == (f"only-{name}", "run")


def test_a_task_that_a_quiet_worker_was_given_is_given_again(bridge: LiveBridge, name: str) -> None:
    """A lost answer is repeated: the task was its own before it was told to be quiet."""
    task_id = bridge.submit(f"only-{name}")
    poll(bridge, name, request_id="r1")
    order(bridge, name, "quiet")
    again = poll(bridge, name, request_id="r1")
    assert (again["task"]["task_id"], again["state"]) == (task_id, "quiet")


@pytest.mark.parametrize("word", ["quiet", "terminate"])
def test_a_waiting_poll_is_answered_when_an_order_comes(fresh: LiveBridge, name: str, word: str) -> None:
    """So that an idle worker learns it at once; whoever asks again then waits, and its share goes to others."""
    answer = in_background(lambda: poll(fresh, name, wait=25))
    eventually(lambda: fresh.queue.bell.waiting_workers == {name}, 20)
    began = time.monotonic()
    order(fresh, name, word)
    assert answer()["state"] == word
    assert time.monotonic() - began < 10
    waits = in_background(lambda: poll(fresh, name, wait=25))
    eventually(lambda: fresh.queue.bell.waiting_workers == {name}, 20)
    another = in_background(lambda: fresh.claim("another", types=[f"only-{name}"], wait=25))
    eventually(lambda: fresh.queue.bell.waiting_workers == {name, "another"}, 20)
    began = time.monotonic()
    task_id = fresh.submit(f"only-{name}")
    assert another()["id"] == task_id
    assert time.monotonic() - began < 15, "it was woken, and not the quiet one who stands before it"
    order(fresh, name, "run")
    assert waits()["state"] == "run"


def test_an_order_of_another_process_reaches_a_waiting_poll(fresh: LiveBridge, name: str) -> None:
    """A command on the folder is seen by the bridge within a moment."""
    elsewhere = open_queue(fresh.settings)
    try:
        answer = in_background(lambda: poll(fresh, name, wait=25))
        eventually(lambda: fresh.queue.bell.waiting_workers == {name}, 20)
        elsewhere.workers.order(name, "quiet", "ann")
        eventually(lambda: fresh.queue.glance() or not fresh.queue.bell.waiting_workers, 20)
        assert answer()["state"] == "quiet"
    finally:
        elsewhere.close()


def test_who_was_started_anew_hears_nothing_of_it(bridge: LiveBridge, name: str) -> None:
    """Another ``started_at``, in a poll or a beat, is another run."""
    first, second = "2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z"
    beat(bridge, name, started_at=first)
    order(bridge, name, "terminate")
    assert poll(bridge, name, started_at=first)["state"] == "terminate"
    assert poll(bridge, name, started_at=second)["state"] == "run"
    assert beat(bridge, name, started_at=second)["state"] == "run"


def test_a_goodbye(bridge: LiveBridge, name: str) -> None:
    """``state: gone`` ends it at once; it can be told nothing any more."""
    beat(bridge, name)
    beat(bridge, name, state="gone")
    assert bridge.get(f"/api/workers/{name}").json()["state"] == "gone"
    reply = bridge.post(f"/api/workers/{name}/quiet")
    assert (reply.status_code, reply.json()["code"]) == (404, "WORKER_NOT_FOUND")


@pytest.mark.parametrize(("method", "path"), [
    ("GET", ""), ("POST", "/quiet"), ("POST", "/run"), ("POST", "/terminate")])
def test_unknown(bridge: LiveBridge, method: str, path: str) -> None:
    """Nobody of that name: 404 with a hint."""
    reply = bridge.session.request(method, f"{bridge.url}/api/workers/nobody{path}", timeout=20)
    assert (reply.status_code, reply.json()["code"]) == (404, "WORKER_NOT_FOUND")
    assert "taskspool workers" in reply.json()["hint"]


@pytest.mark.parametrize(("told", "field"), [
    ({"types": "a"}, "types"), ({"types": [""]}, "types.0"), ({"types": ["a\u0007"]}, "types"), ({"pid": -1}, "pid"),
    ({"concurrency": 0}, "concurrency"), ({"kind": "x" * 33}, "kind"), ({"labels": {"a": 1}}, "labels.a"),
    ({"labels": {str(n): "x" for n in range(21)}}, "labels"), ({"state": ""}, "state"), ({"done": 1.5}, "done"),
    ({"started_at": "yesterday"}, "started_at"), ({"host": "h\n"}, "host"),
])
def test_what_is_no_report_is_refused(bridge: LiveBridge, name: str, told: dict[str, Any], field: str) -> None:
    """By the name of the field; nobody is registered by it."""
    reply = bridge.post(f"/api/workers/{name}/heartbeat", told)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field)
    assert bridge.get(f"/api/workers/{name}").status_code == 404


def test_a_worker_of_the_folder_is_told_over_http(fresh: LiveBridge, name: str) -> None:
    """One registry for all kinds."""
    report = WorkerReport(name, "folder", started_at=fresh.queue.clock.now())
    fresh.queue.workers.report(report, is_local=True)
    order(fresh, name, "terminate", by="ann")
    assert fresh.queue.workers.report(report, is_local=True) == "terminate"


def test_the_statistics_keep_their_shape(fresh: LiveBridge, name: str) -> None:
    """``workers`` there is who holds how many."""
    fresh.submit(f"only-{name}")
    poll(fresh, name)
    assert fresh.get("/api/stats").json()["workers"] == {name: 1}


def test_each_queue_has_its_own_workers(tmp_path: Path, name: str) -> None:
    """A worker of one queue is none of another below the same root."""
    with live_bridge(tmp_path / "a") as one, live_bridge(tmp_path / "a", queue="other") as other:
        beat(one, name)
        assert (other.get("/api/workers").json()["count"], one.get("/api/workers").json()["count"]) == (0, 1)
