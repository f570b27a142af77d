"""A document's bytes, whatever the path leads to: never a hang, never a file from outside of where it may be.

A named pipe or a device is refused before and after it is opened, and opened without waiting; the last part of a path
must be the file itself, not a link. What another attempt may cure is a Retry, everything else a GiveUp.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from taskspool.jobs import place
from taskspool.worker.handlers import GiveUp, Retry

MAX_DOCUMENT_BYTES = 104_857_600
UPLOAD_MARK = "pending.json"
"""Beside an uploaded file until its door knows that the task is there: a worker may be faster."""
_PASSING = {errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM,
            errno.ETIMEDOUT, getattr(errno, "ESTALE", errno.EIO), getattr(errno, "ETXTBSY", errno.EBUSY)}
_PASSING_ON_WINDOWS = {32, 33}
"""Another program has it open, or a part of it locked."""
_FLAGS = (os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
          | getattr(os, "O_BINARY", 0))


def path_of(file_path: str | None, upload_id: str | None) -> Path:
    """The file that a payload names. Raises GiveUp: the path is not absolute, or the upload is not there."""
    if file_path is not None:
        path = Path(file_path)
        if not path.is_absolute():
            raise GiveUp(f"{file_path}: file_path must be absolute: a worker does not know your folder")
        return path
    folder = place.settings().root.absolute() / "uploads" / str(upload_id)
    try:
        found = sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.name != UPLOAD_MARK)
    except OSError as error:
        raise GiveUp(f"upload {upload_id}: it is not there") from error
    if len(found) != 1:
        raise GiveUp(f"upload {upload_id}: holds {len(found)} files, not one")
    return found[0]


def read_file(path: Path, max_bytes: int = MAX_DOCUMENT_BYTES) -> bytes:
    """The whole of a regular file. Raises GiveUp and Retry, in a sentence that names the file."""
    try:
        if not stat.S_ISLNK(mode := os.lstat(path).st_mode):  # a device is not even opened
            _check_kind(path, mode)
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise _told(path, error) from error
    except ValueError as error:  # half a character, which no file system takes
        raise GiveUp(f"{path!r}: this is no path: {error}") from error
    try:
        return _read_open(path, descriptor, max_bytes)
    except OSError as error:
        raise _told(path, error) from error
    finally:
        os.close(descriptor)


def stamp_of(path: Path) -> str:
    """What changes when the file changes. Raises GiveUp and Retry."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise (_told(path, error) if isinstance(error, OSError) else GiveUp(f"{path!r}: this is no path")) from error
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _read_open(path: Path, descriptor: int, max_bytes: int) -> bytes:
    about = os.fstat(descriptor)
    _check_kind(path, about.st_mode)
    _check_place(path, about, place.settings().document_roots)
    if about.st_size == 0:
        raise GiveUp(f"{path}: the file is empty")
    if about.st_size > max_bytes:
        raise GiveUp(f"{path}: {about.st_size} bytes are more than the {max_bytes} that are read")
    parts, left = [], about.st_size + 1
    while left and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    content = b"".join(parts)
    if len(content) != about.st_size:
        raise Retry(None, f"{path}: it changed while it was read")
    return content


def _check_kind(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        what = ("a folder" if stat.S_ISDIR(mode) else "a named pipe" if stat.S_ISFIFO(mode)
                else "a socket" if stat.S_ISSOCK(mode) else "a device")
        raise GiveUp(f"{path}: this is {what}, not a file")


def _check_place(path: Path, about: os.stat_result, roots: Sequence[str]) -> None:
    """What was opened lies below one of ``roots``, links on the way followed."""
    if not roots:
        return
    real = Path(os.path.realpath(path))
    below = any(real.is_relative_to(os.path.realpath(root)) for root in (*roots, str(place.settings().root)))
    if not below or not os.path.samestat(about, real.stat()):
        raise GiveUp(f"{path}: documents are read from the folders in TASKSPOOL_DOCUMENT_ROOTS only")


def _told(path: Path, error: OSError) -> Exception:
    if error.errno in _PASSING or getattr(error, "winerror", None) in _PASSING_ON_WINDOWS:
        return Retry(None, f"{path}: it cannot be read now: {error.strerror}")
    if error.errno == errno.ELOOP:
        return GiveUp(f"{path}: this is a symbolic link; name the file itself")
    words = {errno.ENOENT: "there is no such file", errno.ENOTDIR: "there is no such file",
             errno.EACCES: "the worker may not read it", errno.EPERM: "the worker may not read it"}
    return GiveUp(f"{path}: {words.get(error.errno or 0, error.strerror or str(error))}")
