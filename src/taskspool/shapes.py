"""Values of the engine as JSON, in the one shape that the bridge and the commands both show.

A door adds its own words for states (``doors.bridge.telling``), the command line what only the folder knows
(``cli.shapes``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from taskspool.clock import to_text
from taskspool.engine.batch import Batch
from taskspool.engine.events import Event
from taskspool.engine.explain import Explanation
from taskspool.engine.options import Options
from taskspool.engine.statistics import Durations, Statistics
from taskspool.engine.task import CancelRequest, Pauses, Progress, Snapshot, State, Step
from taskspool.engine.worker_record import WorkerInfo

Shape = dict[str, Any]

# -- one task --------------------------------------------------------------------------------------------------------


def belonging_json(snapshot: Snapshot) -> Shape:
    """What a task belongs to, and how far it is: what lists show beside its own fields."""
    options = snapshot.task.options
    return {"group": options.group, "tags": list(options.tags), "batch_id": options.batch_id,
            "parent_id": options.parent, "progress": progress_json(snapshot.task.progress)}


def story_json(snapshot: Snapshot, story: Iterable[Step], cancel: CancelRequest | None) -> Shape:
    """Everything else that is known of it."""
    task, lease = snapshot.task, snapshot.lease
    return {
        "crashes": task.crashes, "checkpoint": task.checkpoint, "options": options_json(task.options),
        "deadline_at": optional_text(task.deadline), "cancel_requested": cancel is not None,
        "cancel": note_json(cancel), "history": [step_json(step) for step in story],
        "lease": None if lease is None else {
            "worker": lease.worker, "attempt": lease.attempt, "claimed_at": to_text(lease.claimed_at),
            "lease_seconds": lease.lease_seconds},
    }


def options_json(options: Options) -> Shape:
    """What was asked for beside the usual, under the names it was asked with; what was not asked for is left out."""
    backoff = options.backoff
    told: Shape = {
        "group": options.group, "tags": list(options.tags) or None, "start_before": optional_text(options.start_before),
        "timeout": options.timeout_seconds, "total_timeout": options.total_timeout_seconds,
        "lease": options.lease_seconds, "unique_key": options.unique_key, "batch_id": options.batch_id,
        "parent_id": options.parent,
        "backoff": None if backoff is None else {"kind": backoff.kind, "base": backoff.base_seconds,
                                                 "cap": backoff.cap_seconds, "jitter": backoff.jitter},
    }
    return {name: value for name, value in told.items() if value is not None}


def progress_json(progress: Progress | None) -> Shape | None:
    if progress is None:
        return None
    return {"percent": progress.percent, "message": progress.message, "at": to_text(progress.at)}


def step_json(step: Step) -> Shape:
    """One thing that happened; ``seconds`` is how long the attempt took that it ended."""
    seconds = None if step.claimed_at is None else round((step.at - step.claimed_at).total_seconds(), 6)
    return {"verb": step.verb, "at": to_text(step.at), "state": step.state.value, "worker": step.worker,
            "attempt": step.attempt, "seconds": seconds, "reason": step.reason}


def explanation_json(told: Explanation) -> Shape:
    return {"task_id": told.task_id, "state": told.state.value, "summary": told.summary,
            "sentences": list(told.sentences), "next": told.next, "next_at": optional_text(told.next_at)}


def event_json(event: Event) -> Shape:
    """What happened; ``state`` null: the task is gone."""
    return {"id": event.id, "at": to_text(event.at), "event": event.verb, "task_id": event.task_id or None,
            "state": None if event.state is None else event.state.value, "type": event.type,
            "worker": event.worker, "attempt": event.attempt, "reason": event.reason}


# -- many ------------------------------------------------------------------------------------------------------------

def batch_json(batch: Batch) -> Shape:
    record = batch.record
    return {"batch_id": record.id, "name": record.name, "created_at": to_text(record.created_at),
            "count": len(record.task_ids), "counts": {state.value: batch.counts.get(state, 0) for state in State},
            "missing": batch.missing, "is_finished": batch.is_finished, "finished_at": optional_text(batch.finished_at),
            "task_ids": list(record.task_ids)}


def pauses_json(pauses: Pauses) -> Shape:
    """``paused``: whether the queue as a whole is."""
    return {"paused": pauses.queue is not None, "pause": note_json(pauses.queue),
            "paused_types": {name: note_json(note) for name, note in pauses.types.items()}}


def note_json(note: CancelRequest | None) -> Shape | None:
    return None if note is None else {"by": note.by, "reason": note.reason, "at": to_text(note.at)}


def worker_json(info: WorkerInfo) -> Shape:
    """A worker as it stands. ``types`` None: it takes any."""
    report, order, twin = info.report, info.order, info.twin
    return {
        "worker_id": info.name, "kind": report.kind, "state": info.state, "is_alive": info.is_alive,
        "is_quiet": info.is_quiet, "types": None if info.types is None else list(info.types),
        "concurrency": report.concurrency, "host": report.host, "pid": report.pid, "version": report.version,
        "labels": dict(report.labels), "running": list(info.running), "done": report.done, "failed": report.failed,
        "started_at": optional_text(report.started_at), "first_seen_at": to_text(info.first_seen_at),
        "last_seen_at": to_text(info.last_seen_at),
        "order": None if order is None else {"order": order.order, "by": order.by, "reason": order.reason,
                                             "at": to_text(order.at)},
        "twin": None if twin is None else {"host": twin.host, "pid": twin.pid, "at": to_text(twin.at)},
    }


def statistics_json(told: Statistics, types: Collection[str], groups: Collection[str]) -> Shape:
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


def _states_json(counts: Mapping[State, int]) -> Shape:
    """Counts per state, and the share of those that ended well, in percent."""
    done, dead = counts.get(State.DONE, 0), counts.get(State.DEAD, 0)
    return {**{state.value: counts.get(state, 0) for state in State},
            "success_rate": round(100 * done / (done + dead), 2) if done + dead else None}


def _durations_json(durations: Durations | None) -> Shape | None:
    """Milliseconds."""
    if durations is None:
        return None
    return {"count": durations.count, "mean_ms": round(durations.mean_seconds * 1000, 3),
            **{f"p{percent}_ms": round(seconds * 1000, 3) for percent, seconds in durations.percentiles.items()}}


def optional_text(instant: datetime | None) -> str | None:
    return None if instant is None else to_text(instant)
