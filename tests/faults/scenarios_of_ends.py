"""The stories of the rarer verbs: cancel, retry, pause; deadlines, progress, unique keys, named batches.

See ``stage`` for what they report.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from faults.stage import LEASE_SECONDS, Scenario, Stage, held, held_with_retry
from taskspool.engine.lifecycle import Failure
from taskspool.engine.options import Options
from taskspool.engine.task import NewTask
from taskspool.errors import DuplicateTask, TaskCancelled

GRACE_SECONDS = 30
LATER_SECONDS = 86_400.0


def _waiting(stage: Stage) -> dict[str, Any]:
    ids = [stage.put(0), stage.put(1, delay_seconds=LATER_SECONDS)]
    stage.report("later", ids[1])
    return {"ids": ids}


def cancel_waiting(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        stage.queue.cancel(task_id, by="a person", reason="not needed")
        stage.report("cancelled", task_id)
        stage.queue.cancel(task_id, by="another")


def cancel_running(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        stage.queue.cancel(task_id, by="a person")
        stage.report("wanted", task_id)
    obedient, deaf = told["ids"]
    try:
        stage.queue.complete(obedient, told["tokens"][0], {})
        stage.report("done", obedient, {"too": "late"})
    except TaskCancelled:
        stage.report("cancelled", obedient)
    stage.sweep_after(GRACE_SECONDS)
    stage.report("cancelled", deaf)


def _finished_badly(stage: Stage) -> dict[str, Any]:
    told = held(stage)
    stage.queue.fail(told["ids"][0], told["tokens"][0], Failure("no"))
    stage.report("dead", told["ids"][0], None)
    stage.queue.cancel(told["ids"][1])
    stage.queue.release(told["ids"][1], told["tokens"][1])
    stage.report("cancelled", told["ids"][1])
    return told


def retry(stage: Stage, told: dict[str, Any]) -> None:
    for task_id in told["ids"]:
        stage.report("retrying", task_id)
        stage.queue.retry(task_id, by="a person")
        stage.report("waits", task_id, 0)
    stage.report("either", told["ids"][1])
    token = stage.claim(told["ids"][1])
    stage.queue.complete(told["ids"][1], token, {"by": "us"})
    stage.report("done", told["ids"][1], {"by": "us"})


def progress(stage: Stage, told: dict[str, Any]) -> None:
    for number, (task_id, token) in enumerate(zip(told["ids"], told["tokens"], strict=True)):
        for step in range(2):
            stage.report("setting", f"checkpoint {task_id}", {"step": step})
            stage.queue.extend(task_id, token, percent=step * 50, message="going on", checkpoint={"step": step})
            stage.report("set", f"checkpoint {task_id}", {"step": step})
        if number == 0:
            stage.queue.fail(task_id, token, Failure("no"))
            stage.report("waits", task_id, 1)


def unique(stage: Stage, told: dict[str, Any]) -> None:
    first = stage.put(0, options=Options(unique_key="u"))
    stage.report("owns", "u", first)
    for on_conflict in ("existing", "reject"):
        try:
            stage.report("try", 1)
            task = NewTask("ping", {"n": 1}, options=Options(unique_key="u"), on_conflict=on_conflict)
            assert stage.queue.enqueue(task).task_id == first
        except DuplicateTask:
            assert on_conflict == "reject"
    stage.put(2, key="k", options=Options(unique_key="v"))


def _owned(stage: Stage) -> dict[str, Any]:
    ids = [stage.put(0, options=Options(unique_key="u")),
           stage.put(1, options=Options(unique_key="v"), delay_seconds=LATER_SECONDS)]
    stage.report("owns", "u", ids[0])
    stage.report("owns", "v", ids[1])
    return {"ids": ids}


def replace_unique(stage: Stage, told: dict[str, Any]) -> None:
    for n, name, key in ((2, "u", None), (3, "v", "k")):
        stage.put(n, key=key, options=Options(unique_key=name), on_conflict="replace")
        stage.report("cancelled", told["ids"][n - 2])


def named_batch(stage: Stage, told: dict[str, Any]) -> None:
    for key, numbers in ((None, (0, 1, 2)), ("k", (3, 4))):
        stage.report("try", *numbers)
        stage.report("batch", *numbers)
        stage.report("record", *numbers)
        news = [NewTask("ping", {"n": n}, delay_seconds=(n == 2) * LATER_SECONDS) for n in numbers]
        batch = stage.queue.enqueue_batch(news, name="ours", key=key)
        for task_id, n in zip(batch.record.task_ids, numbers, strict=True):
            stage.report("put", task_id, n)


def pause(stage: Stage, told: dict[str, Any]) -> None:
    for types, is_on, value in ((None, True, [True, []]), (["ping"], True, [True, ["ping"]]),
                                (None, False, [False, ["ping"]]), (["ping"], False, [False, []])):
        stage.report("setting", "paused", value)
        if is_on:
            stage.queue.pause(types, by="a person")
        else:
            stage.queue.resume(types)
        stage.report("set", "paused", value)
        stage.queue.claim("w", types=["nothing"])


def _in_time(stage: Stage) -> dict[str, Any]:
    now = stage.clock.now()
    ids = [stage.put(0, options=Options(start_before=now + timedelta(seconds=LEASE_SECONDS))),
           stage.put(1, options=Options(total_timeout_seconds=LEASE_SECONDS), delay_seconds=LATER_SECONDS),
           stage.put(2, options=Options(timeout_seconds=LEASE_SECONDS / 3), max_retries=1)]
    return {"ids": ids, "token": stage.claim(ids[2])}


def deadlines(stage: Stage, told: dict[str, Any]) -> None:
    ids = told["ids"]
    stage.sweep_after(LEASE_SECONDS / 3)
    stage.report("waits", ids[2], 1)
    stage.queue.claim("w", max_tasks=0)
    stage.sweep_after(LEASE_SECONDS)
    assert stage.queue.claim("w", types=["nothing"]) == []
    stage.queue.sweep()
    for task_id in ids[:2]:
        stage.report("dead", task_id, None)


def delay(stage: Stage, told: dict[str, Any]) -> None:
    stage.report("later", stage.put(0, delay_seconds=LATER_SECONDS))
    stage.report("later", stage.put(1, run_at=stage.clock.now() + timedelta(seconds=LATER_SECONDS)))
    stage.sweep_after(LATER_SECONDS / 2)


SCENARIOS = [
    Scenario("cancel what waits", cancel_waiting, _waiting),
    Scenario("cancel what runs", cancel_running, held),
    Scenario("retry", retry, _finished_badly),
    Scenario("progress", progress, held_with_retry),
    Scenario("unique key", unique),
    Scenario("replace by unique key", replace_unique, _owned),
    Scenario("named batch", named_batch),
    Scenario("pause and resume", pause, lambda stage: {"ids": [stage.put(0)]}),
    Scenario("deadlines", deadlines, _in_time),
    Scenario("delay", delay),
]
