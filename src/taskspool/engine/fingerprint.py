"""What was asked for, as a short text: the same for the same request, another for any other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from taskspool.clock import to_text
from taskspool.engine.options import PLAIN
from taskspool.engine.store import IdempotencyKey
from taskspool.engine.task import JsonValue, NewTask, check_name

MAX_KEY_CHARS = 255


def idempotency_key(key: str, news: Sequence[NewTask], *also: JsonValue) -> IdempotencyKey:
    """``key`` with the fingerprint of ``news`` and of what else was asked. Raises InvalidRequest when it is no key."""
    check_name("Idempotency-Key", key, MAX_KEY_CHARS)
    text = json.dumps([*map(_asked, news), *also], sort_keys=True, separators=(",", ":"))
    return IdempotencyKey(key, hashlib.sha256(text.encode()).hexdigest())


def _asked(new: NewTask) -> Mapping[str, JsonValue]:
    """Only what was set: a key of the first version, which knew five fields, still fits its request."""
    asked: dict[str, JsonValue] = {"type": new.type, "data": new.data, "requester": new.requester,
                                   "priority": int(new.priority), "max_retries": new.max_retries}
    if new.delay_seconds:
        asked["delay"] = new.delay_seconds
    if new.run_at is not None:
        asked["run_at"] = to_text(new.run_at)
    options = new.kept_options
    if options is not PLAIN and options != PLAIN:
        asked["options"] = {name: value for name, value in asdict(options).items() if value and name != "batch_id"}
        if options.start_before is not None:
            asked["options"]["start_before"] = to_text(options.start_before)
    if options.unique_key is not None:
        asked["on_conflict"] = new.on_conflict
    return asked
