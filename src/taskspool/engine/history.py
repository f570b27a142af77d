"""The whole story of a task, put together from what its file, its lease and its result tell.

The file keeps what ended earlier attempts (``Task.history``). How it began is its creation; who holds it now is its
lease; how it ended is its result. None of these is written twice, so a task that succeeds at once costs no writing.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from taskspool.engine.task import Lease, Result, Snapshot, State, Step, Task

MAX_REASON_CHARS = 500
"""What is kept in the history of an error message; the result has the whole of it."""
ANONYMOUS = "anonymous"
"""The worker name of a claim whose caller gave none."""
SELF = "taskspool"
"""The worker in the result of a task that was given up while nobody held it."""
ONE_TICK = timedelta(milliseconds=1)
_VERBS = {State.DONE: "complete", State.DEAD: "fail", State.CANCELLED: "cancel"}


def ended(task: Task, verb: str, at: datetime, state: State, lease: Lease | None, reason: str | None) -> Task:
    """``task`` with one more step: what ended the attempt of ``lease`` (None: it was not held), and why."""
    step = Step(verb, at, state, reason=None if reason is None else reason[:MAX_REASON_CHARS])
    if lease is not None:
        step = replace(step, worker=lease.worker, attempt=lease.attempt, claimed_at=lease.claimed_at)
    return replace(task, history=(*task.history, step))


def uncounted(task: Task, lease: Lease) -> int:
    """1, or 0 when the task's content counts this run already: an earlier try to end it was interrupted half-way."""
    return int(task.next_attempt <= lease.attempt)


def story_of(snapshot: Snapshot, result: Result | None) -> tuple[Step, ...]:
    """Everything that happened, oldest first: created, each attempt's beginning and end, where it stands."""
    task = snapshot.task
    steps = [Step("enqueue", task.created_at, _first_state(task), task.requester)]
    for step in task.history:
        steps += _with_claim(step)
    if snapshot.lease is not None:
        steps.append(_claim(snapshot.lease.worker, snapshot.lease.attempt, snapshot.lease.claimed_at))
    elif snapshot.state is State.CLAIMED:  # popped in place by an old program
        steps.append(_claim(snapshot.worker, task.next_attempt, snapshot.updated_at))
    if result is not None:
        steps += _with_claim(final_step(result))
    return tuple(_in_order(steps))


def _first_state(task: Task) -> State:
    """Where it was put: a time to wait for that is in its file is that of a retry, once an attempt has ended."""
    later = next((step for step in task.history if step.verb != "revise"), None)
    was_scheduled = task.not_before is not None if later is None else later.verb == "promote"
    return State.SCHEDULED if was_scheduled else State.READY


def final_step(result: Result) -> Step:
    """How it ended, as the result tells it."""
    message = result.error_message
    verb = "expire" if result.worker == SELF and result.attempt is None else _VERBS[result.state]
    return Step(verb, result.completed_at, result.state, result.worker, result.attempt,
                result.claimed_at, None if message is None else message[:MAX_REASON_CHARS])


def _in_order(steps: list[Step]) -> list[Step]:
    """A token tells whole milliseconds only: no claim is shown before what led to it."""
    for before, (number, step) in zip(steps, list(enumerate(steps))[1:], strict=False):
        if timedelta() < before.at - step.at < ONE_TICK:
            steps[number] = replace(step, at=before.at)
    return steps


def _with_claim(step: Step) -> list[Step]:
    """``step``, and before it the beginning of the attempt it ended."""
    if step.claimed_at is None or step.attempt is None:
        return [step]
    return [_claim(step.worker, step.attempt, step.claimed_at), step]


def _claim(worker: str | None, attempt: int, at: datetime) -> Step:
    return Step("claim", at, State.CLAIMED, worker, attempt)
