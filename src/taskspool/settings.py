"""One frozen Settings, read once from the environment and overridden by the command line.

Every setting has one name in three spellings: field ``lease_seconds``, variable ``TASKSPOOL_LEASE_SECONDS``, and,
where a command takes it, option ``--lease-seconds``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from taskspool.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Settings:
    root: Path = Path("outputs")
    """Folder that holds the queues."""
    queue: str = "task_queue"
    """Name of the queue: a folder below ``root``."""
    durability: Literal["strict", "fast"] = "strict"
    """``strict``: nothing is acknowledged before it is on the disk. ``fast``: no fsync; a power cut may lose the
    last seconds, a killed process loses nothing."""
    lease_seconds: int = 60
    """How long a remote worker may be silent before its task is given to another (1..86400)."""
    max_crashes: int = 3
    """A task that took this many workers down with it is buried as poison."""
    aging_seconds: int = 0
    """A guard against starvation: one level of priority is worth so many seconds of waiting (0..2592000). 0: strict,
    a waiting low task may wait for ever while higher ones come."""
    cancel_grace_seconds: int = 30
    """How long the worker of a task that is to be cancelled has to let go (0..86400); then it is taken from it."""
    keep_done_seconds: int = 0
    """Tasks that succeeded are removed so long after their end, with their results; 0: never (0..315360000)."""
    keep_dead_seconds: int = 0
    """The same for tasks that were given up."""
    keep_cancelled_seconds: int = 0
    """The same for tasks that were cancelled."""
    keep_workers_seconds: int = 86_400
    """Workers that are gone are forgotten so long after their last sign of life; 0: never (0..315360000)."""
    min_free_bytes: int = 0
    """New tasks are refused while less is free on the disk; claims and results go on. 0: 64 MiB or 1 % of the disk,
    whichever is more, but at most a tenth of it."""
    log_max_bytes: int = 67_108_864
    """What the live log of one task may take on the disk; its oldest lines go (65536..1099511627776)."""
    max_task_bytes: int = 1_048_576
    """Largest task or result accepted, as JSON text."""
    max_checkpoint_bytes: int = 65_536
    """Largest checkpoint accepted, as JSON text; it is kept in the task's file (1024..262144)."""
    max_depth: int = 64
    """Deepest nesting of arrays and objects accepted in JSON."""
    database_url: str = ""
    """Where the records lie (to-dos, tagged tasks), as SQLAlchemy names it; empty: a SQLite file below ``root``."""
    managed_max_waiting: int = 100_000
    """So many managed tasks may wait; another one is refused (503 QUEUE_FULL). 0: no bound (0..1000000000)."""
    upload_max_bytes: int = 104_857_600
    """Largest file that may be uploaded (1024..10737418240)."""
    uploads_keep_bytes: int = 10_737_418_240
    """What all uploaded files may take on the disk; another one is refused then (0..1125899906842624)."""
    document_roots: tuple[str, ...] = ()
    """Folders below which documents may be read by the managed workers; none: whatever the worker's user may read."""
    host: str = "127.0.0.1"
    port: int = 8091
    """Of the bridge."""
    managed_port: int = 8084
    todos_port: int = 8001
    tagged_port: int = 8002
    allowed_hosts: tuple[str, ...] = ()
    """Names beside localhost that may stand in the Host header."""
    cors_origins: tuple[str, ...] = ()
    """Exact origins of pages and extensions that may call the bridge, e.g. ``chrome-extension://<id>``."""
    log_format: Literal["text", "json"] = "text"
    allow_network_filesystem: bool = False
    """Queues on NFS, SMB and the like are refused unless this is set."""

    @property
    def folder(self) -> Path:
        """The queue's own folder."""
        return self.root / self.queue


def from_environment(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from ``TASKSPOOL_*`` variables; ``overrides`` that are not None win.

    Raises InvalidRequest naming the variable and the rule it breaks.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for field in fields(Settings):
        name = f"TASKSPOOL_{field.name.upper()}"
        if environ.get(name, "") != "":
            values[field.name] = _parse(name, field.default, environ[name])
    values.update({name: value for name, value in overrides.items() if value is not None})
    return check(replace(Settings(), **values))


def as_environment(settings: Settings) -> dict[str, str]:
    """``settings`` as variables, for a child process: others can read a command line, and a URL may hold a password.

    Its folder is said as an absolute path: the child may work elsewhere.
    """
    settings = replace(settings, root=settings.root.absolute())
    return {f"TASKSPOOL_{field.name.upper()}": _text(getattr(settings, field.name)) for field in fields(Settings)}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _parse(name: str, default: Any, text: str) -> Any:
    """``text`` read as the type of ``default``."""
    if isinstance(default, bool):
        if text.lower() not in {"0", "1", "false", "true", "no", "yes"}:
            raise InvalidRequest(f"{name} must be true or false, not {text!r}", field=name, rule="true|false")
        return text.lower() in {"1", "true", "yes"}
    if isinstance(default, int):
        try:
            return int(text)
        except ValueError:
            raise InvalidRequest(f"{name} must be a whole number, not {text!r}", field=name, rule="integer") from None
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return Path(text) if isinstance(default, Path) else text


def check(settings: Settings) -> Settings:
    """``settings`` unchanged, or InvalidRequest naming the first field out of its range."""
    ranges = {
        "lease_seconds": (1, 86_400), "max_crashes": (1, 1_000), "cancel_grace_seconds": (0, 86_400),
        "aging_seconds": (0, 2_592_000),
        **dict.fromkeys(("keep_done_seconds", "keep_dead_seconds", "keep_cancelled_seconds",
                        "keep_workers_seconds"), (0, 315_360_000)),
        "min_free_bytes": (0, 1 << 50), "max_task_bytes": (1_024, 1 << 30), "max_depth": (2, 400),
        **dict.fromkeys(("port", "managed_port", "todos_port", "tagged_port"), (0, 65_535)),
        "managed_max_waiting": (0, 1_000_000_000), "upload_max_bytes": (1_024, 10 << 30),
        "uploads_keep_bytes": (0, 1 << 50),
        "log_max_bytes": (65_536, 1 << 40), "max_checkpoint_bytes": (1_024, 262_144),
    }
    for name, (low, high) in ranges.items():
        if not low <= getattr(settings, name) <= high:
            raise InvalidRequest(f"{name} must lie in {low}..{high}", field=name, rule=f"{low}..{high}")
    choices = {"durability": ("strict", "fast"), "log_format": ("text", "json")}
    for name, allowed in choices.items():
        if getattr(settings, name) not in allowed:
            rule = "|".join(allowed)
            raise InvalidRequest(f"{name} must be one of {rule}", field=name, rule=rule)
    if not settings.queue or not all(c.isalnum() or c in "-_" for c in settings.queue) or len(settings.queue) > 64:
        raise InvalidRequest("queue must be 1..64 letters, digits, - or _", field="queue", rule="[A-Za-z0-9_-]{1,64}")
    return settings
