"""The stories of what people do to a task from outside: revise, promote, cancel at once, retry without new attempts.

See ``stage`` for what they report.
"""

from __future__ import annotations

from typing import Any

from faults.stage import Scenario, Stage, held, held_with_retry
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import Priority
from taskspool.errors import LeaseLost, TaskCancelled

LATER_SECONDS = 86_400.0


def _waiting(stage: Stage) -> dict[str, Any]:
    ids = [stage.put(0), stage.put(1, delay_seconds=LATER_SECONDS)]
    stage.report("waits", ids[0], 0)
    stage.report("later", ids[1])
    return {"ids": ids}


def revise_waiting(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        for priority in (Priority.HIGH, Priority.LOW):
            stage.report("setting", f"priority {task_id}", priority.value)
            stage.queue.revise(task_id, priority=priority, percent=5, by="a person")
            stage.report("set", f"priority {task_id}", priority.value)


def revise_running(stage: Stage, told: dict[str, Any]) -> None:
    for task_id, token in zip(told["ids"], told["tokens"], strict=True):
        stage.report("setting", f"priority {task_id}", 3)
        stage.queue.revise(task_id, priority=Priority.CRITICAL, percent=5, by="a person")
        stage.report("set", f"priority {task_id}", 3)
        stage.report("setting", f"checkpoint {task_id}", {"step": 1})
        stage.queue.extend(task_id, token, checkpoint={"step": 1})
        stage.report("set", f"checkpoint {task_id}", {"step": 1})
    stage.queue.fail(told["ids"][0], told["tokens"][0], Failure("no"))
    stage.report("waits", told["ids"][0], 1)


def _later(stage: Stage) -> dict[str, Any]:
    ids = [stage.put(n, delay_seconds=LATER_SECONDS) for n in range(2)]
    for task_id in ids:
        stage.report("later", task_id)
    return {"ids": ids}


def promote_by_hand(stage: Stage, told: dict[str, Any]) -> None:
    for attempts, task_id in enumerate(told["ids"]):
        stage.report("run", task_id)
        stage.report("promoting", task_id)
        stage.queue.promote(task_id, by="a person", uses_attempt=bool(attempts))
        stage.report("promoted", task_id)


def cancel_at_once(stage: Stage, told: dict[str, Any]) -> None:
    for task_id, token in zip(told["ids"], told["tokens"], strict=True):
        stage.queue.cancel(task_id, by="a person", at_once=True)
        stage.report("cancelled", task_id)
        try:
            stage.queue.complete(task_id, token, {})
            stage.report("done", task_id, {"too": "late"})
        except TaskCancelled:
            stage.queue.sweep()
        try:
            stage.queue.extend(task_id, token)
            stage.report("claimed", task_id, token)
        except LeaseLost:
            stage.queue.sweep()


def _dead(stage: Stage) -> dict[str, Any]:
    told = held(stage)
    for task_id, token in zip(told["ids"], told["tokens"], strict=True):
        stage.queue.fail(task_id, token, Failure("no"))
        stage.report("dead", task_id, None)
    return told


def retry_keeping(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        stage.report("retrying", task_id)
        stage.queue.retry(task_id, by="a person", keep_attempts=True)
        stage.report("waits", task_id, 1)


SCENARIOS = [
    Scenario("revise what waits", revise_waiting, _waiting),
    Scenario("revise what runs", revise_running, held_with_retry),
    Scenario("promote by hand", promote_by_hand, _later),
    Scenario("cancel at once", cancel_at_once, held),
    Scenario("retry without new attempts", retry_keeping, _dead),
]
