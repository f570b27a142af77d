"""More than clients of seed 002 ask for, as JSON: a task with its story, batches, pauses, statistics, explanations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from taskspool.clock import to_text
from taskspool.doors.bridge.wire import STATUS, optional_text, snapshot_json
from taskspool.engine.batch import Batch
from taskspool.engine.events import Event
from taskspool.engine.explain import Explanation
from taskspool.engine.options import Options
from taskspool.engine.statistics import Durations, Statistics
from taskspool.engine.task import CancelRequest, Pauses, Progress, Snapshot, State, Step

# -- one task --------------------------------------------------------------------------------------------------------


def told_json(snapshot: Snapshot, story: Iterable[Step], cancel: CancelRequest | None) -> dict[str, Any]:
    """A task with everything that is known of it."""
    task, lease = snapshot.task, snapshot.lease
    return listed_json(snapshot) | {
        "crashes": task.crashes, "checkpoint": task.checkpoint, "options": options_json(task.options),
        "deadline_at": optional_text(task.deadline), "cancel_requested": cancel is not None,
        "cancel": note_json(cancel), "history": [step_json(step) for step in story],
        "lease": None if lease is None else {
            "worker": lease.worker, "attempt": lease.attempt, "claimed_at": to_text(lease.claimed_at),
            "lease_seconds": lease.lease_seconds},
    }


def listed_json(snapshot: Snapshot) -> dict[str, Any]:
    """A task as lists show it."""
    task = snapshot.task
    return snapshot_json(snapshot) | {
        "group": task.options.group, "tags": list(task.options.tags), "batch_id": task.options.batch_id,
        "progress": progress_json(task.progress),
    }


def options_json(options: Options) -> dict[str, Any]:
    """What was asked for beside the usual, under the names it was asked with; what was not asked for is left out."""
    backoff = options.backoff
    told = {
        "group": options.group, "tags": list(options.tags) or None, "start_before": optional_text(options.start_before),
        "timeout": options.timeout_seconds, "total_timeout": options.total_timeout_seconds,
        "lease": options.lease_seconds, "unique_key": options.unique_key, "batch_id": options.batch_id,
        "backoff": None if backoff is None else {"kind": backoff.kind, "base": backoff.base_seconds,
                                                 "cap": backoff.cap_seconds, "jitter": backoff.jitter},
    }
    return {name: value for name, value in told.items() if value is not None}


def progress_json(progress: Progress | None) -> dict[str, Any] | None:
    if progress is None:
        return None
    return {"percent": progress.percent, "message": progress.message, "at": to_text(progress.at)}


def step_json(step: Step) -> dict[str, Any]:
    """One thing that happened; ``seconds`` is how long the attempt took that it ended."""
    seconds = None if step.claimed_at is None else round((step.at - step.claimed_at).total_seconds(), 6)
    return {"verb": step.verb, "at": to_text(step.at), "state": step.state.value, "worker": step.worker,
            "attempt": step.attempt, "seconds": seconds, "reason": step.reason}


def explanation_json(told: Explanation) -> dict[str, Any]:
    return {"task_id": told.task_id, "status": STATUS[told.state], "state": told.state.value, "summary": told.summary,
            "sentences": list(told.sentences), "next": told.next, "next_at": optional_text(told.next_at)}


def event_json(event: Event) -> dict[str, Any]:
    """What happened; ``state`` and ``status`` null: the task is gone."""
    return {"id": event.id, "at": to_text(event.at), "event": event.verb, "task_id": event.task_id or None,
            "state": None if event.state is None else event.state.value,
            "status": None if event.state is None else STATUS[event.state], "type": event.type,
            "worker": event.worker, "attempt": event.attempt, "reason": event.reason}


# -- many ------------------------------------------------------------------------------------------------------------


def batch_json(batch: Batch) -> dict[str, Any]:
    record = batch.record
    return {"batch_id": record.id, "name": record.name, "created_at": to_text(record.created_at),
            "count": len(record.task_ids), "counts": {state.value: batch.counts.get(state, 0) for state in State},
            "missing": batch.missing, "is_finished": batch.is_finished,
            "finished_at": optional_text(batch.finished_at), "task_ids": list(record.task_ids)}


def pauses_json(pauses: Pauses) -> dict[str, Any]:
    """``paused``: whether the queue as a whole is."""
    return {"paused": pauses.queue is not None, "pause": note_json(pauses.queue),
            "paused_types": {name: note_json(note) for name, note in pauses.types.items()}}


def note_json(note: CancelRequest | None) -> dict[str, Any] | None:
    return None if note is None else {"by": note.by, "reason": note.reason, "at": to_text(note.at)}


def statistics_json(told: Statistics, types: Collection[str], groups: Collection[str]) -> dict[str, Any]:
    """What the index has counted. ``types`` and ``groups``: only these, if there are any."""
    by_type = {name: counts for name, counts in told.by_type.items() if not types or name in types}
    by_group = {name: counts for name, counts in told.by_group.items() if not groups or name in groups}
    return {
        "by_state": {state.value: count for state, count in told.by_state.items()},
        "by_type": {name: {**_states_json(counts), "durations": _durations_json(told.durations.get(name))}
                    for name, counts in by_type.items()},
        "by_group": {name: _states_json(counts) for name, counts in by_group.items()},
        "durations": _durations_json(told.all_durations),
        "throughput": [{"at": to_text(minute.at), "completed": minute.done, "failed": minute.dead,
                        "cancelled": minute.cancelled} for minute in told.throughput],
        "oldest_pending_at": optional_text(told.oldest_ready_at), "is_complete": told.is_complete,
    }


def _states_json(counts: Mapping[State, int]) -> dict[str, Any]:
    """Counts per state, and the share of those that ended well, in percent."""
    done, dead = counts.get(State.DONE, 0), counts.get(State.DEAD, 0)
    return {**{state.value: counts.get(state, 0) for state in State},
            "success_rate": round(100 * done / (done + dead), 2) if done + dead else None}


def _durations_json(durations: Durations | None) -> dict[str, Any] | None:
    """Milliseconds, as in ``avg_duration_ms``."""
    if durations is None:
        return None
    return {"count": durations.count, "mean_ms": round(durations.mean_seconds * 1000, 3),
            **{f"p{percent}_ms": round(seconds * 1000, 3) for percent, seconds in durations.percentiles.items()}}
