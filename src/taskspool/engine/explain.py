"""Why a task is where it is, and what happens next, in words. A function of what is known: it looks at nothing itself.

``Facts`` are gathered by ``looking``; each sentence here stands on one of them, or on the task, its lease or its
result. Times are told as instants of the wall clock in UTC, spans as people say them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskspool.engine.history import SELF
from taskspool.engine.task import NOTHING_PAUSED, CancelRequest, Lease, Pauses, Result, Snapshot, State, Step, Task

ASKED_SECONDS = 60.0
"""Who has asked for work within this time is taken to come again."""
MAX_ERROR_CHARS = 300


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the task itself.

    ``position``: its place in line, 1 is next. ``askers``: who asked for tasks of its type within ``ASKED_SECONDS``,
    the latest first; None when that is not known. ``doers`` and ``quiet``: the live workers that do its type, and take
    new tasks or not; ``lost``: who asked for them and is not alive any more. ``seen_at``: the last sign of life of its
    holder.
    """

    now: datetime
    position: int | None = None
    pauses: Pauses = NOTHING_PAUSED
    askers: tuple[str, ...] | None = None
    doers: tuple[str, ...] = ()
    quiet: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    cancel: CancelRequest | None = None
    cancel_grace_seconds: float = 30.0
    max_crashes: int = 3
    seen_at: datetime | None = None
    result: Result | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """``summary`` in one sentence, ``sentences`` with the grounds, ``next`` what happens now; ``next_at`` when, if it
    has a time."""

    task_id: str
    state: State
    summary: str
    sentences: tuple[str, ...]
    next: str
    next_at: datetime | None = None


def explain(snapshot: Snapshot, story: Sequence[Step], facts: Facts) -> Explanation:
    """In words, what the story of the task has come to."""
    if snapshot.state is State.SCHEDULED:
        return _scheduled(snapshot, story, facts)
    if snapshot.state is State.READY:
        return _ready(snapshot, story, facts)
    if snapshot.state is State.CLAIMED:
        return _claimed(snapshot, facts)
    return _finished(snapshot, facts)


# -- waiting ---------------------------------------------------------------------------------------------------------


def _scheduled(snapshot: Snapshot, story: Sequence[Step], facts: Facts) -> Explanation:
    task, last = snapshot.task, _last_move(story)
    until = task.not_before or facts.now
    when = at(until, facts.now)
    if last.verb == "release":
        summary = f"It was given back by {last.worker}, and may be taken again from {when} on."
    elif last.verb in ("fail", "expire"):
        summary = f"It failed, and is tried again at {when}: attempt {task.next_attempt} of {_attempts(task)}."
    else:
        summary = f"It is scheduled for {when}."
    then = f"At {when} ({span(until, facts.now)}) it joins the line of what waits for a worker."
    return Explanation(task.id, snapshot.state, summary, (*_grounds(task, story, facts), *_pauses(task, facts)), then,
                       until)


def _ready(snapshot: Snapshot, story: Sequence[Step], facts: Facts) -> Explanation:
    task = snapshot.task
    pause = facts.pauses.queue or facts.pauses.types.get(task.type)
    if pause is not None:
        what, whole = ("the queue", "") if facts.pauses.queue else (f"the type {task.type!r}", f" {task.type}")
        then = f"It is handed out when {what} is resumed: taskspool resume{whole}."
        return Explanation(task.id, snapshot.state, f"It waits, and is not handed out: {what} is paused.",
                           (*_pauses(task, facts), *_grounds(task, story, facts)), then)
    place = "in line" if facts.position is None else f"at place {facts.position} of the line"
    sentences = [*_grounds(task, story, facts), *_workers(facts)]
    then = f"The next worker that asks for tasks of type {task.type!r} gets it, when its turn has come."
    if facts.askers or facts.doers:
        summary = f"It waits {place}: others are before it, or its worker is busy."
    elif facts.quiet:
        summary = f"It waits {place}, and every live worker that does tasks of type {task.type!r} is quiet."
        then = f"It stays there until one of them goes on (taskspool workers run {facts.quiet[0]}), or another comes."
    elif facts.askers is None:
        summary = f"It waits {place} for a worker."
    else:
        nobody = "no live worker asks" if facts.lost else "no worker has asked"
        since = "" if facts.lost else " in the last minute"
        summary = f"It waits {place}, and {nobody} for tasks of type {task.type!r}{since}."
        then = f"It stays there until a worker asks for tasks of type {task.type!r}: start one that can do them."
    return Explanation(task.id, snapshot.state, summary, tuple(sentences), then)


def _workers(facts: Facts) -> list[str]:
    """Who does tasks of its type, does not just now, or did."""
    told = []
    if facts.doers:
        told.append(f"Alive, and doing tasks of its type: {_names(facts.doers)}.")
    if facts.askers:
        told.append(f"In the last minute {_names(facts.askers)} asked for tasks of its type.")
    if facts.quiet:
        told.append(f"Quiet, taking no new tasks: {_names(facts.quiet)}.")
    if facts.lost:
        told.append(f"Not alive any more: {_names(facts.lost)}, who asked for tasks of its type in the last minute.")
    return told


def _grounds(task: Task, story: Sequence[Step], facts: Facts) -> list[str]:
    """What came before, and what would end its waiting."""
    told = [f"It was submitted by {task.requester} at {at(task.created_at, facts.now)}."]
    last = _last_move(story)
    if last.verb in ("fail", "expire", "release", "retry", "promote"):
        told.append(_ending(last, task, facts.now))
    if story[-1].verb == "revise":
        told.append(f"{story[-1].worker} changed it at {at(story[-1].at, facts.now)}: {_short(story[-1].reason)}.")
    if task.crashes:
        most = task.max_retries + 1 if task.options.crashes_count else facts.max_crashes
        told.append(f"{task.crashes} of at most {most} workers died or fell silent while running it.")
    if task.deadline is not None:
        told.append(f"It is given up if it still waits at {at(task.deadline, facts.now)}.")
    return told


def _last_move(story: Sequence[Step]) -> Step:
    """What brought it where it is: a revision moves nothing."""
    return next(step for step in reversed(story) if step.verb != "revise")


def _ending(step: Step, task: Task, now: datetime) -> str:
    """What ended the last attempt, or who brought it back."""
    why = f": {_short(step.reason)}" if step.reason else ""
    when = at(step.at, now)
    if step.verb == "retry":
        return f"{step.worker} had it tried anew at {when}{why}."
    if step.verb == "promote":
        return f"{step.worker} had it start without its wait at {when}{why}."
    if step.verb == "release":
        return f"{step.worker} gave it back at {when}{why}; that cost no attempt."
    attempt = "" if step.attempt is None else f"Attempt {step.attempt} "
    return f"{attempt or 'It '}ended at {when}{why}. {task.attempts} of {_attempts(task)} attempts are used up."


def _pauses(task: Task, facts: Facts) -> list[str]:
    held = (("The queue", facts.pauses.queue), (f"The type {task.type!r}", facts.pauses.types.get(task.type)))
    return [f"{what} is paused by {note.by} since {at(note.at, facts.now)}{_because(note)}."
            for what, note in held if note is not None]


# -- being worked on -------------------------------------------------------------------------------------------------


def _claimed(snapshot: Snapshot, facts: Facts) -> Explanation:
    task, lease, now = snapshot.task, snapshot.lease, facts.now
    told = [] if lease is None else _holding(task, lease, facts)
    if lease is None:
        told.append("Its worker is an old program that took the file in its place: it shows no lease.")
    if task.progress is not None:
        how_far = "" if task.progress.percent is None else f" {task.progress.percent:g} percent"
        words = "" if task.progress.message is None else f" {task.progress.message!r}"
        told.append(f"Its worker told at {at(task.progress.at, now)} how far it is:{how_far}{words}.")
    if facts.cancel is not None:
        return _to_be_cancelled(snapshot, facts.cancel, facts, told)
    since = snapshot.updated_at if lease is None else lease.claimed_at
    summary = f"{snapshot.worker} works on it since {at(since, now)}."
    then, then_at = "It ends when its result comes.", None
    if lease is not None and lease.lease_seconds:
        then_at = _silent_at(lease, facts)
        then = (f"It ends when its result comes; if {lease.worker} stays silent until {at(then_at, now)}, "
                "it waits for another worker.")
    elif lease is not None:
        then = f"It ends when its result comes; if the process of {lease.worker} ends first, it waits for another."
    return Explanation(task.id, snapshot.state, summary, tuple(told), then, then_at)


def _holding(task: Task, lease: Lease, facts: Facts) -> list[str]:
    """Who holds it, how long it may, and what would end that."""
    now = facts.now
    told = [f"This is attempt {lease.attempt} of {_attempts(task)}."]
    if lease.lease_seconds:
        seen = "" if facts.seen_at is None else f", its last sign of life came at {at(facts.seen_at, now)}"
        told.append(f"It is leased to {lease.worker} until {at(_silent_at(lease, facts), now)}{seen}.")
    else:
        told.append(f"It is held by a process on this machine ({lease.worker}) for as long as that lives.")
    if task.options.timeout_seconds is not None:
        end = lease.claimed_at + timedelta(seconds=task.options.timeout_seconds)
        told.append(f"This attempt may take until {at(end, now)}.")
    if task.ends_at is not None:
        told.append(f"It is given up altogether at {at(task.ends_at, now)}.")
    return told


def _to_be_cancelled(snapshot: Snapshot, request: CancelRequest, facts: Facts, told: Sequence[str]) -> Explanation:
    end = request.at + timedelta(seconds=facts.cancel_grace_seconds)
    summary = (f"{snapshot.worker} works on it, and is to stop: {request.by} cancelled it at "
               f"{at(request.at, facts.now)}{_because(request)}.")
    then = (f"{snapshot.worker} is told with its next sign of life, and has until {at(end, facts.now)} to let go; "
            "then it ends as cancelled. A result is refused.")
    return Explanation(snapshot.task.id, snapshot.state, summary, tuple(told), then, end)


def _silent_at(lease: Lease, facts: Facts) -> datetime:
    return (facts.seen_at or lease.claimed_at) + timedelta(seconds=lease.lease_seconds)


# -- finished --------------------------------------------------------------------------------------------------------


def _finished(snapshot: Snapshot, facts: Facts) -> Explanation:
    task, result, now = snapshot.task, facts.result, facts.now
    when = at(snapshot.updated_at, now)
    reason = "" if result is None or not result.error_message else f": {_short(result.error_message)}"
    told = [f"It was submitted by {task.requester} at {at(task.created_at, now)}."]
    if result is not None and result.duration_seconds is not None:
        told.append(f"The last attempt{'' if result.attempt is None else f', number {result.attempt},'} "
                    f"took {_seconds(result.duration_seconds)}.")
    again = f"It can be tried anew: taskspool retry {task.id}."
    if snapshot.state is State.DONE:
        return Explanation(task.id, snapshot.state, f"{snapshot.worker} finished it at {when}.", tuple(told),
                           "Nothing more: its result is kept until it is pruned.")
    if snapshot.state is State.CANCELLED:
        return Explanation(task.id, snapshot.state, f"It was cancelled at {when}{reason}.", tuple(told), again)
    if task.attempts:
        told.append(f"{task.attempts} of {_attempts(task)} attempts had failed before.")
    if task.crashes:
        told.append(f"{task.crashes} workers died or fell silent while running it.")
    who = "" if snapshot.worker in (None, SELF) else f" in the hands of {snapshot.worker}"
    return Explanation(task.id, snapshot.state, f"It is dead since {when}{who}{reason}.", tuple(told), again)


# -- words -----------------------------------------------------------------------------------------------------------


def _attempts(task: Task) -> int:
    """How many attempts it has, with those that a crash ended, if they cost none."""
    return task.max_retries + 1 + (0 if task.options.crashes_count else task.crashes)


def _because(note: CancelRequest) -> str:
    return f" ({_short(note.reason)})" if note.reason else ""


def _short(text: str | None) -> str:
    text = " ".join((text or "").split())
    return text if len(text) <= MAX_ERROR_CHARS else text[:MAX_ERROR_CHARS] + "..."


def _names(askers: Sequence[str]) -> str:
    more = len(askers) - 3
    return ", ".join(askers[:3]) + (f" and {more} more" if more > 0 else "")


def at(instant: datetime, now: datetime) -> str:
    """``12:04:10 UTC``, with the date unless it is today's."""
    return instant.strftime("%H:%M:%S UTC" if instant.date() == now.date() else "%Y-%m-%d %H:%M:%S UTC")


def span(instant: datetime, now: datetime) -> str:
    """``in 2 min 10 s``, or ``now`` when it is past."""
    seconds = (instant - now).total_seconds()
    return "now" if seconds <= 0 else f"in {_seconds(seconds)}"


def _seconds(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    parts = ((whole // 86_400, "d"), (whole // 3_600 % 24, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    return " ".join(f"{number} {word}" for number, word in parts if number)
