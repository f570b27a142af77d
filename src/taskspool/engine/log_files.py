"""The files of a log: appended to, cut off, read in parts. Beside ``files``, for what grows.

Nothing here is flushed to the disk: a log is no promise. Every other OSError than "it is not there" becomes StoreFull
or StoreUnavailable.
"""

from __future__ import annotations

import os
from contextlib import suppress

from taskspool.engine import files

_APPEND_FLAGS = (os.O_WRONLY | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
                 | getattr(os, "O_BINARY", 0))
_READ_FLAGS = (os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
               | getattr(os, "O_BINARY", 0))


def append(path: str, size: int, content: bytes) -> None:
    """``content`` behind the first ``size`` bytes; what somebody who died left behind them goes.

    Raises FileNotFoundError when the folder is not there.
    """
    try:
        descriptor = os.open(path, _APPEND_FLAGS, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise files.translate(error, f"open {path}") from error
    try:
        found = os.fstat(descriptor).st_size
        if found > size:
            os.ftruncate(descriptor, size)
        os.lseek(descriptor, min(found, size), os.SEEK_SET)
        written = os.write(descriptor, content)
        while written < len(content):
            written += os.write(descriptor, content[written:])
    except OSError as error:
        raise files.translate(error, f"write {path}") from error
    finally:
        os.close(descriptor)


def read_part(path: str, start: int, max_bytes: int) -> tuple[bytes, int]:
    """Up to ``max_bytes`` from ``start`` on, and the inode. Raises FileNotFoundError."""
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise files.translate(error, f"read {path}") from error
    try:
        inode = os.fstat(descriptor).st_ino
        os.lseek(descriptor, start, os.SEEK_SET)
        content = os.read(descriptor, max_bytes)
        while 0 < len(content) < max_bytes and (more := os.read(descriptor, max_bytes - len(content))):
            content += more
    except OSError as error:
        raise files.translate(error, f"read {path}") from error
    finally:
        os.close(descriptor)
    return content, inode


def size_of(path: str) -> int:
    """In bytes; -1 when it is not there."""
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return -1
    except OSError as error:
        raise files.translate(error, f"look at {path}") from error


def remove(folder: str) -> bool:
    """Unlink the folder with all files in it; False when there is none, or the disk refuses. No folder below it."""
    with suppress(OSError):  # what cannot be unlinked now is left over, and the doctor finds it
        for name in os.listdir(folder):
            files.discard(f"{folder}/{name}")
    return files.remove_folder(folder)
