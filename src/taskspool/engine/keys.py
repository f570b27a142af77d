"""Idempotency keys: ``keys/<sha256 of the key>.json`` names the tasks that came with it and what was asked.

Call everything but ``forget`` holding the key's lock (``lock_of``): the record and its tasks are written in one stretch
that no second caller with the same key can enter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import datetime

from taskspool.clock import from_text, to_text
from taskspool.engine import files
from taskspool.engine.documents import Unreadable, parse, sealed
from taskspool.engine.place import Place
from taskspool.engine.reading import Reading
from taskspool.engine.store import IdempotencyKey
from taskspool.engine.task import JsonValue, is_task_id
from taskspool.errors import IdempotencyConflict

UNIQUE = "unique-"
"""Begins the name of a record that says which task has a unique key."""


class Keys:
    def __init__(self, place: Place, reading: Reading) -> None:
        self._place = place
        self._reading = reading

    @staticmethod
    def name_of(key: str) -> str:
        return f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def lock_of(self, name: str) -> AbstractContextManager[None]:
        return (self._place.uniques if name.startswith(UNIQUE) else self._place.keys).of(name)

    def remember(self, task_ids: list[str], key: IdempotencyKey, name: str) -> None:
        """From now on, and over a power cut, ``key`` stands for these tasks."""
        record = {"task_ids": task_ids, "fingerprint": key.fingerprint, "created_at": to_text(self._place.clock.now())}
        content = sealed(record, self._place.max_file_bytes, "Idempotency-Key")
        self._place.install(content, self._place.path("keys", name))  # the instant: the key stands for these ids
        self._place.sync("keys")

    def known_ids(self, key: IdempotencyKey, name: str) -> list[str] | None:
        """The tasks that came with ``key``; None when it is new. Raises IdempotencyConflict for another body."""
        record = self._record(name)
        if record is None:
            return None
        if record["fingerprint"] != key.fingerprint:
            raise IdempotencyConflict("this Idempotency-Key was used before with another body", field="Idempotency-Key",
                                      rule="one key, one body", task_id=record["task_ids"][0])
        return list(record["task_ids"])

    def _record(self, name: str) -> dict[str, JsonValue] | None:
        """The record; None when there is none. A damaged one is put aside: it is as if the key had never been used."""
        try:
            record = parse(files.read(self._place.path("keys", name), self._place.max_file_bytes)[0])
            ids, _, _ = record["task_ids"], record["fingerprint"], record["created_at"]
            if not ids or not all(map(is_task_id, ids)):
                raise Unreadable("it names no tasks")
        except FileNotFoundError:
            return None
        except (Unreadable, files.NotRegular, LookupError, TypeError) as error:
            self._place.quarantine("keys", name, f"it is not the record of a key: {error}")
            return None
        return record

    def forget(self, before: datetime, names: Iterable[str] | None = None) -> None:
        """Unlink the keys used before ``before``, of these ``names`` (None: of all), whose tasks are all gone. To keep
        one would bring its task back: who comes with a known key and no task continues what he takes for an interrupted
        submit."""
        for name in files.names(self._place.path("keys")) if names is None else names:
            with self.lock_of(name):
                record = self._record(name)
                if record is not None and _is_older(record, before) and not self._has_task(record):
                    files.discard(self._place.path("keys", name))

    def _has_task(self, record: dict[str, JsonValue]) -> bool:
        return any(self._reading.find(task_id) is not None for task_id in record["task_ids"])


def _is_older(record: dict[str, JsonValue], before: datetime) -> bool:
    try:
        return from_text(str(record["created_at"])) < before
    except (ValueError, OverflowError):
        return True
