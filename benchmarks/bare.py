"""The same file calls as the engine's, with nothing around them: what the disk and the kernel allow from Python."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no flock; the engine locks otherwise there, and this loop leaves it out
    fcntl = None  # type: ignore[assignment]

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
CLAIM_AND_COMPLETE = (
    "open", "fstat", "read", "close", "lstat", "rename", "lstat",                      # claim
    "open", "write", "close", "flock", "lstat", "link", "unlink", "flock", "rename",   # complete
)
"""What one claim and complete ask of the kernel, in order; ``traced`` compares it with what the engine does today."""


def folders(root: Path) -> None:
    for name in ("tmp", "tasks", "claimed/w", "results", "done"):
        (root / name).mkdir(parents=True, exist_ok=True)


def submit(root: Path, count: int, content: bytes) -> None:
    """create, write, close, rename."""
    for number in range(count):
        temporary = f"{root}/tmp/1-1-{number}.json"
        descriptor = os.open(temporary, NEW, 0o600)
        os.write(descriptor, content)
        os.close(descriptor)
        os.rename(temporary, f"{root}/tasks/{_name(number)}.json")


def submit_durably(root: Path, numbers: range, content: bytes) -> None:
    """create, write, fsync, close, rename, fsync(folder)."""
    folder = os.open(f"{root}/tasks", os.O_RDONLY)
    for number in numbers:
        temporary = f"{root}/tmp/1-1-{number}.json"
        descriptor = os.open(temporary, NEW, 0o600)
        os.write(descriptor, content)
        os.fsync(descriptor)
        os.close(descriptor)
        os.rename(temporary, f"{root}/tasks/{_name(number)}.json")
        os.fsync(folder)
    os.close(folder)


def claim_and_complete(root: Path, count: int, reply: bytes) -> None:
    """The calls of ``CLAIM_AND_COMPLETE`` for each of the tasks that ``submit`` made."""
    lock = os.open(f"{root}/lock", os.O_RDWR | os.O_CREAT, 0o600)
    for number in range(count):
        name = _name(number)
        task, held = f"{root}/tasks/{name}.json", f"{root}/claimed/w/{name}~1~1-1-3c-1a207745578-d7708c7679748ae4.json"
        result, temporary = f"{root}/results/{name}.json", f"{root}/tmp/1-2-{number}.json"
        descriptor = os.open(task, READ)
        os.read(descriptor, os.fstat(descriptor).st_size + 1)
        os.close(descriptor)
        _is_there(result)
        os.rename(task, held)
        os.lstat(held)
        descriptor = os.open(temporary, NEW, 0o600)
        os.write(descriptor, reply)
        os.close(descriptor)
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.lstat(held)
        os.link(temporary, result)
        os.unlink(temporary)
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.rename(held, f"{root}/done/{name}.json")
    os.close(lock)


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    return True


def _name(number: int) -> str:
    return f"01a20774-5536-7bb6-a7d2-{number:012x}"


def all_at_once(callers: int, action: Callable[[int], None]) -> None:
    """``action(0)`` .. ``action(callers - 1)``, each in its own thread; returns when all are done."""
    threads = [threading.Thread(target=action, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
