"""A stand-in for the module ``os`` that behaves like Windows where that differs from POSIX.

* A rename, replace or unlink fails with WinError 5, 32 or 33 while anybody has the file open: a thread of ours, or a
  virus scanner that looks at every new file and keeps it open for a while; and now and then for no visible reason.
* ``rename`` refuses an existing target. A folder cannot be opened. There are no hard links to rely on.
* Names that differ in case only are one name; some names and characters are forbidden.
"""

from __future__ import annotations

import errno
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from taskspool.engine import files

SHARING_ERRORS = (5, 32, 33)
UNKNOWN = frozenset({"statvfs", "fstatvfs", "posix_fallocate", "fdatasync", "sync", "geteuid", "getuid", "fchmod",
                     "chown", "pread", "pwrite", "fork", "uname", "mkfifo", "openpty"})
"""What the real module does not have there."""
FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$|^(?:con|prn|aux|nul|(?:com|lpt)[\d¹²³])(?:\.|$)', re.IGNORECASE)


class WindowsOs:
    """Looks like ``os``. ``refusal`` is the share of renames and unlinks that fail for no reason; ``scans`` of renames
    find their file in the hands of the scanner, who keeps it for up to ``longest_scan`` tries."""

    def __init__(self, seed: int, refusal: float = 0.3, scans: float = 0.02, longest_scan: int = 60) -> None:
        self.refused: Counter[int] = Counter()
        self._dice = random.Random(seed)
        self._refusal = refusal
        self._scans = scans
        self._longest_scan = longest_scan
        self._lock = threading.RLock()
        self._descriptors: dict[int, str] = {}
        self._open: Counter[str] = Counter()
        self._scanned: dict[str, int] = {}
        self._here = threading.local()

    def __getattr__(self, name: str) -> Any:
        if name in UNKNOWN:
            raise AttributeError(f"module 'os' has no attribute {name!r} on Windows")
        return getattr(os, name)

    def refused_here(self) -> int:
        """How many moves this thread was refused so far, each of which it waited for."""
        return int(getattr(self._here, "refused", 0))

    def calm(self) -> None:
        """From now on nobody interferes."""
        self._refusal = self._scans = 0.0
        self._scanned.clear()

    def hold(self, path: str, tries: int) -> None:
        """Somebody else opens the file, and closes it after so many attempts of ours to move it."""
        self._scanned[_folded(path)] = tries

    # -- the calls that differ -----------------------------------------------------------------------------------

    def open(self, path: str, flags: int, mode: int = 0o777) -> int:
        with self._lock:
            path = _standing(path)
            if os.path.isdir(path):
                raise _error(PermissionError, errno.EACCES, 5, path)
            if flags & os.O_CREAT:
                _check_name(path)
            descriptor = os.open(path, flags, mode)
            self._descriptors[descriptor] = _folded(path)
            self._open[_folded(path)] += 1
            return descriptor

    def close(self, descriptor: int) -> None:
        with self._lock:
            path = self._descriptors.pop(descriptor, None)
            if path is not None:
                self._open[path] -= 1
            os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            self._refuse(source, target)
            if os.path.lexists(_standing(target)):
                raise _error(FileExistsError, errno.EEXIST, 183, target)
            _check_name(target)
            os.rename(_standing(source), _standing(target))

    def replace(self, source: str, target: str) -> None:
        with self._lock:
            self._refuse(source, target)
            _check_name(target)
            os.rename(_standing(source), _standing(target))

    def unlink(self, path: str) -> None:
        with self._lock:
            self._refuse(path)  # not tried again by the engine: what stays is swept later
            os.unlink(_standing(path))

    def link(self, source: str, target: str) -> None:
        raise _error(OSError, errno.EINVAL, 1, target)  # FAT has none

    # -- the calls that only find their file whatever its case ---------------------------------------------------

    def lstat(self, path: str) -> os.stat_result:
        return os.lstat(_standing(path))

    def stat(self, path: str) -> os.stat_result:
        return os.stat(_standing(path))

    def utime(self, path: str) -> None:
        os.utime(_standing(path))

    def listdir(self, path: str) -> list[str]:
        return os.listdir(_standing(path))

    def rmdir(self, path: str) -> None:
        os.rmdir(_standing(path))

    def makedirs(self, path: str, mode: int = 0o777, exist_ok: bool = False) -> None:
        _check_name(path)
        os.makedirs(_standing(path), mode, exist_ok)

    def _refuse(self, *paths: str) -> None:
        """Raises PermissionError as Windows does; FileNotFoundError goes first, as there."""
        os.lstat(_standing(paths[0]))
        if self._dice.random() < self._scans:
            self._scanned[_folded(paths[0])] = self._dice.randint(1, self._longest_scan)
        for path in map(_folded, paths):
            if self._scanned.get(path, 0) > 0:
                self._scanned[path] -= 1
                self._say_no(32, path)
            if self._open[path] > 0:
                self._say_no(32, path)
        if self._dice.random() < self._refusal:
            self._say_no(self._dice.choice(SHARING_ERRORS), paths[0])

    def _say_no(self, winerror: int, path: str) -> None:
        self.refused[winerror] += 1
        self._here.refused = self.refused_here() + 1
        raise _error(PermissionError, errno.EACCES, winerror, path)


@contextmanager
def on_windows(shim: WindowsOs) -> Iterator[WindowsOs]:
    """While it lasts the engine takes this machine for Windows. Its pauses between tries are left out."""
    with mock.patch.object(files, "os", shim), mock.patch.object(files, "IS_WINDOWS", True), \
            mock.patch.object(files, "SHARING_PAUSE_SECONDS", 0.0):
        yield shim


def _folded(path: str) -> str:
    return path.replace("\\", "/").casefold()


def _standing(path: str) -> str:
    """``path`` in the case in which it stands on the disk; as it is when it does not."""
    if os.path.lexists(path):
        return path
    folder, _, name = path.rpartition("/")
    if not folder:
        return path
    folder = _standing(folder)
    if os.path.isdir(folder):
        name = next((one for one in os.listdir(folder) if one.casefold() == name.casefold()), name)
    return f"{folder}/{name}"


def _check_name(path: str) -> None:
    if FORBIDDEN.search(path.rpartition("/")[2]):
        raise _error(OSError, errno.EINVAL, 123, path)


def _error(kind: type[OSError], code: int, winerror: int, path: str) -> OSError:
    error = kind(code, f"[WinError {winerror}]", path)
    error.winerror = winerror  # type: ignore[attr-defined]  # POSIX has no such field
    return error
