"""A stage for a story about one verb, and what its actor reports.

``prepare`` sets the stage in a process that ends without tidying up; ``act`` is the part that is killed. Tasks carry
their number in ``data["n"]``, so that they are known by it even if nobody was told their id. Reports:

    ("try", n, ...)               these tasks are about to be put
    ("put", id, n)                acknowledged: the task exists
    ("claimed", id, token)        acknowledged: held by this token, remote
    ("local", id)                 acknowledged: held by this process
    ("done" | "dead", id, data)   acknowledged: finished
    ("cancelled", id)             acknowledged: cancelled, for ever
    ("wanted", id)                acknowledged: it is to be cancelled, and can only end so
    ("waits", id, attempts)       acknowledged: given back, with so many failed attempts
    ("later", id)                 acknowledged: it waits, and its time has not come
    ("retrying", id)              it is finished, or waits again
    ("promoting", id)             it waits for its time, or is ready
    ("promoted", id)              acknowledged: it is ready
    ("either", id)                it may be anywhere from now on
    ("pruned", id)                acknowledged: gone
    ("asks", key, n)              this key is about to be used for this task
    ("key", key, id, n)           acknowledged: the key stands for this task
    ("batch", n, ...)             these tasks come together or not at all
    ("record", n, ...)            they come as a batch that is found again
    ("owns", unique key, id)      acknowledged: an unfinished task has this unique key
    ("setting", what, value)      "checkpoint <id>", "priority <id>" or "paused" is about to have this value
    ("set", what, value)          acknowledged: it has
    ("run", id)                   somebody outside took it and may never answer
    ("pruning", id)               may be gone from now on
    ("planted", name)             rubbish that others left in tasks/
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fake_clock import FakeClock
from faults.forks import Report
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask

LEASE_SECONDS = 60


@dataclass(frozen=True)
class Stage:
    queue: Queue
    clock: FakeClock
    folder: Path
    report: Report

    def put(self, n: int, key: str | None = None, **fields: Any) -> str:
        self.report("try", n)
        is_plain = key is not None and "options" not in fields  # who asks again asks for a plain task
        if is_plain:
            self.report("asks", key, n)
        answer = self.queue.enqueue(NewTask("ping", {"n": n}, **fields), key=key)
        self.report("put", answer.task_id, n)
        if is_plain:
            self.report("key", key, answer.task_id, n)
        return answer.task_id

    def claim(self, task_id: str) -> str:
        token = self.queue.claim_one(task_id, "w").lease.token
        self.report("claimed", task_id, token)
        return token

    def sweep_after(self, seconds: float) -> None:
        self.queue.sweep()
        self.queue.sweep()
        self.clock.advance(seconds)
        self.queue.sweep()


def foreign(path: Path, document: object) -> None:
    """How other programs write: truncate, then write, in place. A slow one has only half there."""
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Scenario:
    name: str
    act: Callable[[Stage, dict[str, Any]], None]
    prepare: Callable[[Stage], dict[str, Any]] = lambda stage: {}
    kills_the_start_too: bool = False
    keeps_claims: bool = False
    """No claim may be lost: nothing finishes and no time passes."""


def ready(stage: Stage) -> dict[str, Any]:
    return {"ids": [stage.put(n) for n in range(2)]}


def held(stage: Stage, **fields: Any) -> dict[str, Any]:
    ids = [stage.put(n, **fields) for n in range(2)]
    return {"ids": ids, "tokens": [stage.claim(task_id) for task_id in ids]}


def held_with_retry(stage: Stage) -> dict[str, Any]:
    return held(stage, max_retries=1)
