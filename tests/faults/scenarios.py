"""What a process was about to do when it was killed: one short story per verb. See ``stage`` for what they report."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

from faults import scenarios_of_ends, scenarios_of_steering
from faults.stage import LEASE_SECONDS, Scenario, Stage, foreign, held, held_with_retry, ready
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import NewTask, Priority
from taskspool.errors import LeaseLost


def submit(stage: Stage, _: dict[str, Any]) -> None:
    stage.put(0)
    stage.put(1, priority=Priority.HIGH)


def submit_key(stage: Stage, _: dict[str, Any]) -> None:
    first = stage.put(0, key="k0")
    assert stage.put(0, key="k0") == first
    stage.put(1, key="k1")


def batch(stage: Stage, _: dict[str, Any]) -> None:
    for key, numbers in ((None, (0, 1, 2)), ("k", (3, 4))):
        stage.report("try", *numbers)
        stage.report("batch", *numbers)
        for answer, n in zip(stage.queue.enqueue_many([NewTask("ping", {"n": n}) for n in numbers], key=key), numbers,
                             strict=True):
            stage.report("put", answer.task_id, n)


def claim(stage: Stage, told: dict[str, Any]) -> None:
    for one in stage.queue.claim("w", max_tasks=1):
        stage.report("claimed", one.task.id, one.lease.token)
    for one in stage.queue.claim("another/worker", max_tasks=1):
        stage.report("claimed", one.task.id, one.lease.token)


def claim_local(stage: Stage, told: dict[str, Any]) -> None:
    for one in stage.queue.claim("w", max_tasks=2, lease_seconds=0):
        stage.report("local", one.task.id)


def heartbeat(stage: Stage, told: dict[str, Any]) -> None:
    for task_id, token in zip(told["ids"], told["tokens"], strict=True):
        stage.queue.extend(task_id, token)
        stage.report("claimed", task_id, token)


def complete(stage: Stage, told: dict[str, Any]) -> None:
    for task_id, token in zip(told["ids"], told["tokens"], strict=True):
        stage.queue.complete(task_id, token, {"by": "us"})
        stage.report("done", task_id, {"by": "us"})
    stage.queue.complete(told["ids"][0], told["tokens"][0], {"by": "again"})
    stage.report("done", told["ids"][0], {"by": "us"})


def fail(stage: Stage, told: dict[str, Any]) -> None:
    for task_id, token in zip(told["ids"], told["tokens"], strict=True):
        result = stage.queue.fail(task_id, token, Failure("no", data={"why": 1}))
        if result is None:
            stage.report("waits", task_id, 1)
        else:
            stage.report("dead", task_id, {"why": 1})


def release(stage: Stage, told: dict[str, Any]) -> None:
    for task_id, token, delay in zip(told["ids"], told["tokens"], (0, 30), strict=True):
        stage.queue.release(task_id, token, delay_seconds=delay, reason="not now")
        stage.report("waits", task_id, 0)


def expire(stage: Stage, told: dict[str, Any]) -> None:
    stage.sweep_after(LEASE_SECONDS)


def promote(stage: Stage, told: dict[str, Any]) -> None:
    stage.sweep_after(LEASE_SECONDS)


def _scheduled(stage: Stage) -> dict[str, Any]:
    told = held_with_retry(stage)
    fail(stage, told)
    return told


def _foreign_id(n: int) -> str:
    return f"{n:08x}-0000-4000-8000-000000000000"


def foreign_drop(stage: Stage, told: dict[str, Any]) -> None:
    for n in range(2):
        stage.report("try", n)
        text = json.dumps({"type": "ping", "data": {"n": n}})
        with (stage.folder / "tasks" / f"{_foreign_id(n)}.json").open("w", encoding="utf-8") as slow:
            slow.write(text[: len(text) // 2])
            slow.flush()
            stage.queue.sweep()
            assert stage.queue.claim("early", types=["unknown"]) == []
            slow.write(text[len(text) // 2:])
        stage.report("put", _foreign_id(n), n)
        stage.queue.sweep()
    claim(stage, told)


def quarantine(stage: Stage, told: dict[str, Any]) -> None:
    for name in (half := f"{_foreign_id(7)}.json", "note.json", link := f"{_foreign_id(8)}.json"):
        stage.report("planted", name)
    foreign(stage.folder / "tasks" / half, '{"type": "ping", "da')
    foreign(stage.folder / "tasks" / "note.json", "[]")
    os.symlink("/etc/passwd", stage.folder / "tasks" / link)
    stage.sweep_after(61)
    stage.queue.sweep()


def foreign_result(stage: Stage, told: dict[str, Any]) -> None:
    for number, task_id in enumerate(told["ids"]):
        result = {"task_id": task_id, "worker": "old", "status": "success", "data": {"by": "old"}}
        foreign(stage.folder / "results" / f"{task_id}.json", result)
        stage.report("done", task_id, {"by": "old"})
        if number == 0:
            (stage.folder / "tasks" / f"{task_id}.json").unlink()
        stage.queue.sweep()
        stage.queue.claim("w", types=["nothing"])


def popped(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        path = stage.folder / "tasks" / f"{task_id}.json"
        stage.report("run", task_id)
        foreign(path, json.loads(path.read_text()) | {"status": "in_progress", "assigned_to": "old"})
    stage.sweep_after(LEASE_SECONDS)


def _finished(stage: Stage) -> dict[str, Any]:
    told = held(stage)
    complete(stage, told)
    return told


def prune(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        stage.report("pruning", task_id)
    pruned = stage.queue.store.prune(stage.clock.now() + timedelta(seconds=1))
    for task_id in told["ids"] if pruned == 2 else ():
        stage.report("pruned", task_id)


def late(stage: Stage, told: dict[str, Any]) -> None:
    """A lease runs out, another worker gets the task and finishes it; the first one comes too late."""
    stage.sweep_after(LEASE_SECONDS)
    task_id = told["ids"][0]
    token = stage.claim(task_id)
    try:
        stage.queue.complete(task_id, told["tokens"][0], {"by": "late"})
        stage.report("done", task_id, {"by": "nobody may"})
    except LeaseLost:
        pass
    stage.queue.complete(task_id, token, {"by": "us"})
    stage.report("done", task_id, {"by": "us"})


def nothing(stage: Stage, told: dict[str, Any]) -> None:
    stage.queue.sweep()


def _wreck(stage: Stage) -> dict[str, Any]:
    """Everything a crash can leave at once; written by hand, for no process dies in so many ways."""
    from faults.wreck import leave_everything

    leave_everything(stage)
    return {}


SCENARIOS = [
    Scenario("submit", submit),
    Scenario("submit with key", submit_key),
    Scenario("batch", batch),
    Scenario("claim", claim, ready, keeps_claims=True),
    Scenario("claim for this process", claim_local, ready),
    Scenario("heartbeat", heartbeat, held, keeps_claims=True),
    Scenario("complete", complete, held),
    Scenario("fail to scheduled", fail, held_with_retry),
    Scenario("fail to dead", fail, held),
    Scenario("release", release, held),
    Scenario("expire", expire, held),
    Scenario("promote", promote, _scheduled),
    Scenario("late finish", late, held),
    Scenario("foreign drop", foreign_drop),
    Scenario("quarantine", quarantine),
    Scenario("foreign result", foreign_result, ready),
    Scenario("popped in place", popped, ready),
    Scenario("prune", prune, _finished),
    Scenario("first start", submit, kills_the_start_too=True),
    Scenario("recovery", nothing, _wreck, kills_the_start_too=True),
    *scenarios_of_ends.SCENARIOS,
    *scenarios_of_steering.SCENARIOS,
]
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
