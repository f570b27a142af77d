"""A batch: its parts are tasks of their own, and it waits for them without holding its worker.

It hands its parts over (each with a key of its own, so that an attempt that is made again hands over none twice), looks
how they stand, and is put off until the next look: with a single worker the parts run between two looks. The checkpoint
holds the ids of the parts and, one letter for each, how they ended. A part whose batch was cancelled ends itself when
its turn comes (``managed``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from taskspool.errors import ServerUnreachable, StoreUnavailable
from taskspool.shapes_managed import BatchProcessing, Part
from taskspool.worker.handlers import Snooze, TaskContext

FIRST_LOOK_SECONDS = 0.5
LONGEST_LOOK_SECONDS = 60.0
PARTS_PER_SECOND = 20
"""The more parts are open, the longer until the next look; and half as long again each time nothing has changed."""
MAX_ERROR_CHARS = 300
OPEN, MISSING = "-", "?"
_LETTERS = {"done": "d", "dead": "x", "cancelled": "c"}
_WORDS = {"d": "completed", "x": "failed", "c": "cancelled", MISSING: "missing"}


def run_batch(payload: BatchProcessing, context: TaskContext) -> dict[str, Any]:
    """The counts, when all parts have ended. Raises Snooze until then."""
    parts = payload.parts
    try:
        ids, before, idle = _begun(parts, context)
        ends = _look(ids, before, context)
        idle = idle + 1 if ends == before else 0
        left = ends.count(OPEN)
        context.progress(100 * (len(ends) - left) / len(ends), f"{len(ends) - left} of {len(ends)} parts have ended")
        context.checkpoint({"ids": ids, "ends": ends, "idle": idle})
        if not left:
            return _counted(parts, ids, ends, context)
    except (StoreUnavailable, ServerUnreachable) as error:  # the parts go on: nothing has failed yet
        raise Snooze(LONGEST_LOOK_SECONDS, error.message) from error
    seconds = (FIRST_LOOK_SECONDS + left / PARTS_PER_SECOND) * 1.5 ** min(idle, 20)
    raise Snooze(min(LONGEST_LOOK_SECONDS, seconds), f"{left} parts are open")


def _begun(parts: Sequence[Part], context: TaskContext) -> tuple[list[str], str, int]:
    """The ids of the parts, how they had ended at the last look, and how many looks in a row have changed nothing.

    Handed over now if that was not done.
    """
    kept = context.previous_checkpoint
    if isinstance(kept, dict) and len(kept.get("ids", ())) == len(parts) == len(kept.get("ends", "")):
        return kept["ids"], kept["ends"], kept.get("idle", 0)
    ids = []
    for number, part in enumerate(parts):
        context.raise_if_cancelled()
        ids.append(context.submit(
            part.task_type, part.payload, group=context.group, priority=part.priority or context.priority,
            max_retries=part.max_retries, timeout=float(part.timeout),
            idempotency_key=f"batch {context.task_id} {number}"))
    return ids, OPEN * len(ids), 0


def _look(ids: Sequence[str], ends: str, context: TaskContext) -> str:
    """``ends``, with what has ended since."""
    open_ids = [task_id for task_id, end in zip(ids, ends, strict=True) if end == OPEN]
    seen = context.look(open_ids)
    return "".join(end if end != OPEN else MISSING if task_id not in seen else
                   _LETTERS.get(seen[task_id].state, OPEN) for task_id, end in zip(ids, ends, strict=True))


def _counted(parts: Sequence[Part], ids: Sequence[str], ends: str, context: TaskContext) -> dict[str, Any]:
    counts = Counter(ends)
    failed = context.look([task_id for task_id, end in zip(ids, ends, strict=True) if end == "x"])
    told = []
    for number, (part, task_id, end) in enumerate(zip(parts, ids, ends, strict=True)):
        error = failed[task_id].error if task_id in failed else None
        told.append({"index": number, "task_type": part.task_type, "task_id": task_id, "state": _WORDS[end],
                     "error": None if error is None else error[:MAX_ERROR_CHARS]})
    return {"total": len(parts), **{word: counts[letter] for letter, word in _WORDS.items()}, "parts": told}
