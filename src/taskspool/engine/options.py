"""What may be asked for beside a task's type and data: when, how long, how often, in which company. Frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from taskspool.engine.names import check_name, is_task_id
from taskspool.errors import InvalidRequest

MAX_TAGS = 20
MAX_TAG_CHARS = 64
MAX_KEY_CHARS = 255
MAX_SECONDS = 31_536_000.0
"""A year: the longest time that can be asked for."""
BACKOFF_KINDS = ("exponential", "linear", "constant")
ON_CONFLICT = ("existing", "reject", "replace")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a failed task waits before its next attempt; the formula is in ``retry``.

    ``jitter`` is a share of the wait (0..1), added by chance.
    """

    kind: str = "exponential"
    base_seconds: float = 1.0
    cap_seconds: float = 300.0
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Options:
    """The rarer wishes of who submits. None: not asked for.

    ``start_before``: nobody started it by then: it is given up. ``timeout_seconds``: one attempt.
    ``total_timeout_seconds``: from its creation (or its last retry) to its end. ``lease_seconds``: how long its worker
    may be silent, instead of what the worker asks for. ``unique_key``: only one unfinished task may have it.
    ``parent``: the id of the task whose attempt submitted it. ``crashes_count``: a run whose worker died uses up a
    retry as one that failed does, and the limit of crashes of the queue says nothing.
    """

    group: str | None = None
    tags: tuple[str, ...] = ()
    start_before: datetime | None = None
    timeout_seconds: float | None = None
    total_timeout_seconds: float | None = None
    lease_seconds: int | None = None
    backoff: Backoff | None = None
    unique_key: str | None = None
    batch_id: str | None = None
    parent: str | None = None
    crashes_count: bool = False


PLAIN = Options()
"""Nothing special was asked for: shared by all ordinary tasks."""


def check_options(options: Options) -> Options:
    """``options`` unchanged, or InvalidRequest naming the field and the rule."""
    if options is PLAIN:
        return options
    for field, text, limit in (("group", options.group, 128), ("unique_key", options.unique_key, MAX_KEY_CHARS)):
        if text is not None:
            check_name(field, text, limit)
    if len(options.tags) > MAX_TAGS:
        raise InvalidRequest(f"tags must be at most {MAX_TAGS}", field="tags", rule=f"at most {MAX_TAGS}")
    if options.parent is not None and not is_task_id(options.parent):
        raise InvalidRequest("parent_id must be the id of a task", field="parent_id", rule="a lower-case UUID")
    for tag in options.tags:
        check_name("tags", tag, MAX_TAG_CHARS)
    check_seconds("timeout", options.timeout_seconds, low=0.001)
    check_seconds("total_timeout", options.total_timeout_seconds, low=0.001)
    if options.lease_seconds is not None and not 1 <= options.lease_seconds <= 86_400:
        raise InvalidRequest("lease must lie in 1..86400 seconds", field="lease", rule="1..86400")
    if options.backoff is not None:
        _check_backoff(options.backoff)
    return options


def _check_backoff(backoff: Backoff) -> None:
    if backoff.kind not in BACKOFF_KINDS:
        rule = "|".join(BACKOFF_KINDS)
        raise InvalidRequest(f"backoff.kind must be one of {rule}", field="backoff.kind", rule=rule)
    check_seconds("backoff.base", backoff.base_seconds)
    check_seconds("backoff.cap", backoff.cap_seconds)
    if not 0 <= backoff.jitter <= 1:
        raise InvalidRequest("backoff.jitter must lie in 0..1", field="backoff.jitter", rule="0..1")


def check_seconds(field: str, seconds: float | None, *, low: float = 0.0) -> float | None:
    """``seconds`` if it is a time from ``low`` to a year, or None."""
    if seconds is not None and (not math.isfinite(seconds) or not low <= seconds <= MAX_SECONDS):
        rule = f"{low:g}..{MAX_SECONDS:.0f} seconds"
        raise InvalidRequest(f"{field} must lie in {rule}", field=field, rule=rule)
    return seconds
