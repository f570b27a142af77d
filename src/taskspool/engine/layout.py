"""Which name stands for what: folders, file names, tokens. Pure functions of texts; no I/O.

    tmp/<slot>-<epoch>-<n>.json            being written
    tasks/<id>.json  scheduled/<id>.json   waiting
    claimed/<worker>/<id>~<attempt>~<token>.json
    done/<id>.json  dead/<id>.json  cancelled/<id>.json
    results/<id>.json

A token reads ``<epoch>-<slot>-<lease seconds>-<claimed at, ms>-<random>``, all hexadecimal: it says by itself how
its holder's life is judged, so that any process can watch any lease.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from urllib.parse import quote, unquote

from taskspool.engine.task import Lease, State, is_task_id
from taskspool.errors import InvalidRequest

FOLDERS = ("tmp", "scheduled", "tasks", "claimed", "done", "dead", "cancelled", "results", "cancelling", "quarantine",
           "keys", "batches", "logs", "workers", "locks", "meta")
FOLDER_OF: dict[State, str] = {
    State.SCHEDULED: "scheduled", State.READY: "tasks", State.CLAIMED: "claimed", State.DONE: "done",
    State.DEAD: "dead", State.CANCELLED: "cancelled",
}
RECORD_KEYS: Mapping[str, tuple[str, ...]] = {
    "keys": ("task_ids", "fingerprint"), "batches": ("id", "task_ids"), "cancelling": ("by", "at"),
    "meta": ("queue", "types"),
}
"""Folder of the records beside the tasks -> what each must tell; in ``meta/`` there is one, ``paused.json``."""
FINAL_STATES = (State.DONE, State.DEAD, State.CANCELLED)
MAX_FOLDER_NAME_CHARS = 120
MAX_FOLDER_NAME_BYTES = 250
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.@+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[\d¹²³])(?:\.|$)", re.IGNORECASE)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HEX = "[0-9a-f]{1,11}"
TOKEN_PATTERN = rf"{_HEX}-{_HEX}-{_HEX}-{_HEX}-[0-9a-f]{{1,32}}"
"""Short enough that no part of it is beyond the calendar."""
_CLAIM = re.compile(rf"([0-9a-f-]{{36}})~([0-9]{{1,9}})~({TOKEN_PATTERN})\.json")
_OWNED = re.compile(r"([0-9]{1,9})-([0-9]{1,15})-")


@dataclass(frozen=True, slots=True)
class Token:
    """The parts of a lease token. ``lease_seconds`` 0: the holder is the process that owns lock ``slot``."""

    epoch: int
    slot: int
    lease_seconds: int
    claimed_at_ms: int
    random: str

    @property
    def text(self) -> str:
        return f"{self.epoch:x}-{self.slot:x}-{self.lease_seconds:x}-{self.claimed_at_ms:x}-{self.random}"

    @property
    def claimed_at(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self.claimed_at_ms)


def new_token(epoch: int, slot: int, lease_seconds: int, now: datetime) -> Token:
    """64 random bits keep every two tokens apart, also after a power cut that took back an epoch."""
    return Token(epoch, slot, lease_seconds, int(now.timestamp() * 1000), os.urandom(8).hex())


def parse_token(text: str) -> Token:
    """Raises ValueError."""
    epoch, slot, lease_seconds, claimed_at_ms, random = text.split("-")
    return Token(int(epoch, 16), int(slot, 16), int(lease_seconds, 16), int(claimed_at_ms, 16), random)


def of_nobody(token: str) -> str:
    """``token`` without its secret part: it tells the attempt's beginning as before, and no worker can show it."""
    return f"{token.rpartition('-')[0]}-0" if token else ""


@lru_cache(maxsize=4096)
def worker_folder(worker: str) -> str:
    """A folder name for any worker name: readable, safe on every system, and ``worker_of`` is the way back.

    Letters and digits of any script and ``-_.@+`` stay; every other character is percent-encoded, and so are the
    first of a name that is reserved on Windows and a dot at either end. Raises InvalidRequest beyond the limits.
    """
    is_composed = unicodedata.is_normalized("NFC", worker)  # file systems may compose what is not
    encoded = "".join(char if _stays(char, is_composed) else quote(char, safe="") for char in worker)
    if _RESERVED.match(encoded) or encoded.startswith("."):
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if encoded.endswith("."):
        encoded = f"{encoded[:-1]}%2E"
    if len(encoded) > MAX_FOLDER_NAME_CHARS or len(encoded.encode("utf-8", "surrogatepass")) > MAX_FOLDER_NAME_BYTES:
        rule = f"at most {MAX_FOLDER_NAME_CHARS} characters once written as a folder name"
        raise InvalidRequest(f"worker_id must have {rule}", field="worker_id", rule=rule)
    return encoded


def _stays(char: str, is_composed: bool) -> bool:
    return char in _PLAIN or (is_composed and not char.isascii() and char.isalnum())


def worker_of(folder: str) -> str:
    return unquote(folder)


def claim_name(lease: Lease) -> str:
    """Below ``claimed/``: the exact name whose existence is the lease."""
    return f"{worker_folder(lease.worker)}/{lease.task_id}~{lease.attempt}~{lease.token}.json"


def parse_claim(folder: str, name: str) -> Lease | None:
    """The lease a file below ``claimed/`` stands for; None when its name is not one of ours."""
    match = _CLAIM.fullmatch(name)
    if match is None or not is_task_id(match[1]):
        return None
    token = parse_token(match[3])
    return Lease(match[1], worker_of(folder), int(match[2]), match[3], token.lease_seconds, token.claimed_at)


def owner_of(name: str) -> tuple[int, int]:
    """(slot, epoch) of the process that made ``<slot>-<epoch>-…``; (0, 0), which nobody has, for any other name."""
    match = _OWNED.match(name)
    return (0, 0) if match is None else (int(match[1]), int(match[2]))


def id_of(name: str) -> str | None:
    """The task id a file name ``<id>.json`` stands for; None for any other name."""
    if len(name) == 41 and name.endswith(".json") and is_task_id(name[:36]):
        return name[:36]
    return None


def is_temporary(name: str) -> bool:
    """Names a foreign writer may use until its file is whole: they are left alone."""
    return not name.endswith(".json") or name.startswith((".", "~", "tmp", "_"))
