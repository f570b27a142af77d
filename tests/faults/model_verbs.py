"""The table of verbs of the walk: each picks a task (in whatever state), asks the queue, and asks the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from faults.model import FINAL, WAITING
from faults.model_walk import TYPES, Walk
from taskspool.clock import to_text
from taskspool.engine.lifecycle import Failure
from taskspool.engine.task import NewTask, Priority
from taskspool.errors import NotFound, TaskspoolError

# -- nowhere -> ready, scheduled -----------------------------------------------------------------------------------


def enqueue(walk: Walk) -> None:
    new = walk.new()
    _judge_put(walk, new, walk.ask(lambda: walk.queue.enqueue(new)))


def _judge_put(walk: Walk, new: NewTask, told: Any) -> None:
    holder = walk.model.unique(new.options.unique_key)
    if holder is not None and new.on_conflict == "existing":
        walk.same((told.task_id, told.created), (holder.id, False), "unique")
    elif holder is not None and not (new.on_conflict == "replace" and holder.state in WAITING):
        walk.same(told, "DuplicateTask", "unique")
    else:
        if holder is not None:
            walk.model.finish(holder, "cancelled", None, None)
            walk.compare(holder.id)
        walk.same(getattr(told, "created", told), True, getattr(told, "task_id", "refused"))
        walk.model.put(told.task_id, new)
        walk.compare(told.task_id)


def enqueue_with_key(walk: Walk) -> None:
    key, other = walk.dice.choice(("k1", "k2", "k3", "k4")), walk.dice.random() < 0.2
    body = NewTask("ping", {"other": other})
    told = walk.ask(lambda: walk.queue.enqueue(body, key=key))
    known = walk.model.keys.get(key)
    if known is None:
        walk.model.keys[key] = [told.task_id], other, walk.clock.now()
        walk.model.put(told.task_id, body)
        walk.same(told.created, True, key)
    elif known[1] != other:
        walk.same(told, "IdempotencyConflict", key)
    elif known[0][0] in walk.model.tasks:
        walk.same((told.task_id, told.created), (known[0][0], False), key)
    else:
        walk.same(told.task_id, known[0][0], key)   # the key outlived its task: taken for an interrupted submit
        walk.model.put(told.task_id, body)


def enqueue_many(walk: Walk) -> None:
    news = [NewTask(walk.dice.choice(TYPES), {}, delay_seconds=walk.dice.choice((0.0, 30.0))) for _ in range(3)]
    for told, new in zip(walk.queue.enqueue_many(news), news, strict=True):
        walk.model.put(told.task_id, new)
        walk.compare(told.task_id)


def drop(walk: Walk) -> None:
    """Another program puts a file into ``tasks/``."""
    walk.foreign += 1
    task_id, now = f"{walk.foreign:08x}-0000-4000-8000-000000000000", to_text(walk.clock.now())
    new = NewTask("ping", {}, requester="unknown")
    (walk.folder / "tasks" / f"{task_id}.json").write_text(json.dumps({"type": "ping", "created_at": now}))
    walk.model.put(task_id, new)
    walk.compare(task_id)


# -- ready -> claimed, and on ----------------------------------------------------------------------------------------


def claim(walk: Walk) -> None:
    """Strictly in order for who has looked; else some task that is ready."""
    types = walk.dice.choice((None, None, ["ping"], ["sum", "mail"]))
    seconds = walk.dice.choice((0, 60, 60, 5))
    claims, able = [], walk.model.claimable(types)
    if walk.dice.random() < 0.5:
        claims = walk.queue.claim("w", types=types, lease_seconds=seconds)
        assert {one.task.id for one in claims} <= {entry.id for entry in able}, f"{claims} is not to be claimed"
    if not claims:
        walk.look()
        claims, able = walk.queue.claim("w", types=types, lease_seconds=seconds), walk.model.claimable(types)
        walk.same([one.task.id for one in claims], [entry.id for entry in able[:1]], "claimed")
    for one in claims:
        _judge_claim(walk, one, seconds)


def claim_one(walk: Walk) -> None:
    task_id, seconds = walk.any_id(), walk.dice.choice((0, 60, 5))
    told = walk.ask(lambda: walk.queue.claim_one(task_id, "w", lease_seconds=seconds))
    entry = walk.model.tasks.get(task_id)
    if entry is not None and entry in walk.model.claimable(None):
        _judge_claim(walk, told, seconds)
    else:
        walk.same(told, "TaskNotClaimable" if entry else "TaskNotFound", task_id)


def _judge_claim(walk: Walk, told: Any, seconds: int) -> None:
    entry = walk.model.tasks[told.task.id]
    walk.same(told.lease.attempt, entry.attempts + entry.crashes + 1, f"{entry.id} {told.lease.token}")
    walk.model.hold(entry, told.lease.token, seconds, walk.process)
    walk.tokens.append((entry.id, told.lease.token))
    assert told.lease.lease_seconds == entry.lease_seconds
    walk.compare(entry.id)


def extend(walk: Walk) -> None:
    task_id, token = walk.any_lease()
    more = walk.dice.choice(({}, {}, {"percent": 40.0, "message": "on"}, {"checkpoint": [walk.dice.randrange(9)]}))
    told = walk.ask(lambda: walk.queue.extend(task_id, token, **more).token)
    if walk.model.is_held(task_id, token):
        entry = walk.model.tasks[task_id]
        entry.beats += 1
        entry.percent = more.get("percent", entry.percent)
        entry.checkpoint = more.get("checkpoint", entry.checkpoint)
        walk.same(told, token, task_id)
    else:
        walk.same(told, walk.model.refusal(task_id), task_id)
    walk.compare(task_id)


def complete(walk: Walk) -> None:
    task_id, token = walk.any_lease()
    data = {"n": walk.dice.randrange(1000)}
    told = walk.ask(lambda: _result(walk.queue.complete(task_id, token, data)))
    if not walk.model.is_held(task_id, token):
        walk.same(told, walk.model.standing(task_id, token), task_id)
    elif walk.model.tasks[task_id].is_cancel_asked:
        walk.same(told, "TaskCancelled", task_id)
        walk.model.finish(walk.model.tasks[task_id], "cancelled", None, token)
    else:
        walk.same(told, ("success", data), task_id)
        walk.model.finish(walk.model.tasks[task_id], "success", data, token)
    walk.compare(task_id)


def fail(walk: Walk) -> None:
    task_id, token = walk.any_lease()
    failure = Failure("no", {"n": walk.dice.randrange(1000)}, walk.dice.random() < 0.8,
                      walk.dice.choice((None, 0.0, 30.0)))
    told = walk.ask(lambda: _result(walk.queue.fail(task_id, token, failure)))
    entry = walk.model.tasks.get(task_id)
    if entry is None or not walk.model.is_held(task_id, token):
        walk.same(told, walk.model.standing(task_id, token), task_id)
    elif entry.is_cancel_asked:
        walk.model.finish(entry, "cancelled", None, token)
        walk.same(told, ("cancelled", None), task_id)
    else:
        walk.model.fail(entry, failure.data, failure.retry_after_seconds, retryable=failure.retryable)
        walk.same(told, entry.result[:2] if entry.result else None, task_id)
    walk.compare(task_id)


def _result(result: Any) -> tuple[str, Any] | None:
    return None if result is None else (result.status, result.data)


def release(walk: Walk) -> None:
    task_id, token = walk.any_lease()
    wait = walk.dice.choice((0.0, 40.0))
    told = walk.ask(lambda: walk.queue.release(task_id, token, delay_seconds=wait))
    if not walk.model.is_held(task_id, token):
        walk.same(told, walk.model.refusal(task_id), task_id)
    elif walk.model.tasks[task_id].is_cancel_asked:
        walk.same(told, None, task_id)
        walk.model.finish(walk.model.tasks[task_id], "cancelled", None, token)
    else:
        walk.same(told, None, task_id)
        walk.model.wait(walk.model.tasks[task_id], wait)
    walk.compare(task_id)


def finish_without_token(walk: Walk) -> None:
    """An old client brings a result and shows no token."""
    task_id = walk.any_id()
    told = walk.ask(lambda: _result(walk.queue.finish_without_token(task_id, None, {"old": 1})))
    entry = walk.model.tasks.get(task_id)
    if entry is None:
        walk.same(told, "TaskNotFound")
    elif entry.result is not None:
        walk.same(told, "TaskCancelled" if entry.result[0] == "cancelled" else entry.result[:2], task_id)
    elif entry.is_cancel_asked:
        walk.same(told, "TaskCancelled", task_id)
        walk.model.finish(entry, "cancelled", None, entry.token)
    elif entry.state == "claimed" or entry in walk.model.claimable(None):
        walk.same(told, ("success", {"old": 1}), task_id)
        walk.model.finish(entry, "success", {"old": 1}, entry.token)
    else:
        walk.same(told, "TaskNotClaimable", task_id)
    walk.compare(task_id)


# -- any -> cancelled, and back --------------------------------------------------------------------------------------


def cancel(walk: Walk) -> None:
    task_id = walk.any_id()
    at_once = walk.dice.random() < 0.4
    told = walk.ask(lambda: walk.queue.cancel(task_id, by="me", at_once=at_once).state.value)
    entry = walk.model.tasks.get(task_id)
    if entry is None or entry.state in ("done", "dead"):
        walk.same(told, "TaskFinished" if entry else "TaskNotFound", task_id)
        return
    if entry.state in WAITING:
        walk.model.finish(entry, "cancelled", None, None)
    elif at_once and entry.state == "claimed":
        walk.model.finish(entry, "cancelled", None, entry.token)
    entry.is_cancel_asked = entry.state == "claimed"
    walk.same(told, entry.state, task_id)
    walk.compare(task_id)


def retry(walk: Walk) -> None:
    task_id = walk.any_id()
    keeps = walk.dice.random() < 0.4
    walk.tell()
    told = walk.ask(lambda: walk.queue.retry(task_id, by="me", keep_attempts=keeps).state.value)
    walk.tell()
    entry = walk.model.tasks.get(task_id)
    if entry is None or entry.state not in ("dead", "cancelled"):
        walk.same(told, "NotRetryable" if entry else "TaskNotFound", task_id)
    elif walk.model.unique(entry.options.unique_key) is not None:
        walk.same(told, "DuplicateTask", task_id)
    else:
        walk.same(told, "ready", task_id)
        walk.model.retry(entry, keeps=keeps)
    walk.compare(task_id)


def promote(walk: Walk) -> None:
    task_id, uses = walk.any_id(), walk.dice.random() < 0.5
    walk.tell()
    told = walk.ask(lambda: walk.queue.promote(task_id, by="me", uses_attempt=uses).state.value)
    walk.tell()
    entry = walk.model.tasks.get(task_id)
    if entry is None or entry.state != "scheduled":
        walk.same(told, "NotRetryable" if entry else "TaskNotFound", task_id)
    else:
        walk.same(told, "ready", task_id)
        walk.model.promote(entry, uses=uses)
    walk.compare(task_id)


def revise(walk: Walk) -> None:
    task_id, percent = walk.any_id(), walk.dice.choice((None, 5.0, 95.0))
    priority = walk.dice.choice((None, *Priority))
    walk.tell()
    told = walk.ask(lambda: walk.queue.revise(task_id, priority=priority, percent=percent, by="me").state.value)
    walk.tell()
    entry = walk.model.tasks.get(task_id)
    if entry is None or entry.state in FINAL:
        walk.same(told, "TaskFinished" if entry else "TaskNotFound", task_id)
    else:
        walk.same(told, entry.state, f"{task_id} {priority}")
        walk.model.revise(entry, priority, percent)
    walk.compare(task_id)


def pause(walk: Walk) -> None:
    types = walk.dice.choice((None, ["sum"], ["ping", "mail"]))
    walk.queue.pause(types)
    walk.model.paused |= {None} if types is None else set(types)


def resume(walk: Walk) -> None:
    types = walk.dice.choice((None, None, ["sum"], ["ping", "mail"]))
    walk.queue.resume(types)
    walk.model.paused -= {None} if types is None else set(types)


def prune(walk: Walk) -> None:
    before = walk.clock.now() - timedelta(seconds=walk.dice.choice((0, 100, 1000)))
    walk.same(walk.queue.store.prune(before), walk.model.prune(before))


# -- time ------------------------------------------------------------------------------------------------------------


def pass_time(walk: Walk) -> None:
    seconds = walk.dice.choice((0.5, 3, 10, 29, 60, 61, 200))
    walk.story[-1] += f" {seconds} s"
    walk.let_time_pass(seconds)


def look(walk: Walk) -> None:
    """Everything that can be asked about one task; the answer to a wrong id is always the same."""
    task_id = walk.any_id()
    walk.compare(task_id)
    if task_id not in walk.model.tasks:
        for ask in (walk.queue.task, walk.queue.result, walk.queue.story):
            walk.same(isinstance(_error(ask, task_id), NotFound), True, task_id)


def _error(ask: Callable[[str], object], task_id: str) -> Exception | None:
    try:
        ask(task_id)
    except TaskspoolError as error:
        return error
    return None


VERBS: dict[str, Callable[[Walk], None]] = {
    "enqueue": enqueue, "enqueue with a key": enqueue_with_key, "enqueue many": enqueue_many, "drop": drop,
    "claim": claim, "claim one": claim_one, "extend": extend, "complete": complete, "fail": fail, "release": release,
    "finish without token": finish_without_token, "cancel": cancel, "retry": retry, "pause": pause, "resume": resume,
    "promote": promote, "revise": revise, "prune": prune,
    "pass time": pass_time, "sweep": Walk.sweep, "look": look, "restart": Walk.restart,
}
"""Every verb there is; one that the queue learns is a line here, and a method of the model."""
WEIGHTS = {"enqueue": 5.0, "claim": 8.0, "sweep": 5.0, "pass time": 4.0, "pause": 0.3, "resume": 1.5, "prune": 0.2,
           "restart": 0.5, "enqueue many": 0.5}
"""How often beside the others, which have 2."""
