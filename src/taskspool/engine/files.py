"""Write beside, rename over, fsync, lock: the only module of the engine that touches ``os``.

What readers may see: a file in a state directory is always whole. It is written in ``tmp/`` under a name nobody
reads, flushed to the disk, and only then given its public name in one step. Who finds the name finds the content.

FileNotFoundError and FileExistsError pass through: they are answers ("somebody was faster"). Every other OSError
becomes StoreFull or StoreUnavailable, and is never retried on the same file: after a failed fsync the kernel may have
dropped the data and reports success the next time (PostgreSQL's "fsyncgate", 2018).

Windows: a rename of, or over, an open file fails for moments (WinError 5, 32, 33): retried for a bounded time. There
is no fsync of a directory there, and ``rename`` refuses an existing target, which is what ``publish`` wants anyway.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
import threading
import zlib
from collections.abc import Callable

from taskspool.errors import StoreFull, StoreUnavailable, TaskspoolError

IS_WINDOWS = sys.platform == "win32"
SHARING_RETRIES = 40
SHARING_PAUSE_SECONDS = 0.05
_SHARING_ERRORS = {5, 32, 33}
DAMAGED = frozenset({errno.EIO, errno.EACCES, errno.EPERM})
"""Errors that concern one file, not the disk as a whole."""
HELD_ELSEWHERE = frozenset({errno.EACCES, errno.EPERM})
"""Those that go away when another program closes the file (Windows), or whoever it belongs to gives it back."""
_NO_ROOM = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_NEW_FLAGS = (os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
              | getattr(os, "O_BINARY", 0))
_READ_FLAGS = (os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
               | getattr(os, "O_BINARY", 0))
_LOCK_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)

FileNumber = tuple[int, int]
"""(inode, modification time in ns): the same only for the same content in the same file."""


class NotRegular(Exception):
    """What stands under this name is not a plain file of ours: a link, a pipe, a device, a folder, too large."""


class SecondName(NotRegular):
    """The file has a name elsewhere too: somebody may be publishing it this moment, by link and unlink."""


def translate(error: OSError, doing: str) -> TaskspoolError:
    """The engine's own error for an OSError that is not an answer."""
    if error.errno in _NO_ROOM:
        return StoreFull(f"the disk is full: {doing}",
                         hint="free some space; what was accepted is safe, claims and reads go on")
    return StoreUnavailable(f"the disk refused ({error.strerror or error}): {doing}", errno=error.errno)


def _patiently(action: Callable[[], None]) -> None:
    """``action``, again for a bounded time while Windows says another program has the file open."""
    for _ in range(SHARING_RETRIES):
        try:
            return action()
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _SHARING_ERRORS:
                raise
        threading.Event().wait(SHARING_PAUSE_SECONDS)
    return action()


def flush(descriptor: int) -> None:
    """The file's content is on the disk when this returns."""
    os.fsync(descriptor)


def write_new(path: str, content: bytes, *, sync: bool, flush: Callable[[int], None] = flush) -> None:
    """A new file, 0600, written and (``sync``) on the disk, by ``flush``. Nothing is left behind when it fails."""
    try:
        descriptor = os.open(path, _NEW_FLAGS, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise translate(error, f"create {path}") from error
    try:
        try:
            _write_all(descriptor, content)
            if sync:
                flush(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        discard(path)
        raise translate(error, f"write {path}") from error


def _write_all(descriptor: int, content: bytes) -> None:
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, content[written:])


def move(source: str, target: str) -> None:
    """Rename, over an existing target. Raises FileNotFoundError when ``source`` is gone: somebody was faster."""
    try:
        if IS_WINDOWS:
            _patiently(lambda: os.replace(source, target))
        else:
            os.rename(source, target)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise translate(error, f"move {source} to {target}") from error


def publish(source: str, target: str) -> None:
    """Give ``source`` the name ``target`` if nobody has it: FileExistsError otherwise. ``source`` is gone after."""
    try:
        if IS_WINDOWS:
            _patiently(lambda: os.rename(source, target))
        else:
            os.link(source, target)
            os.unlink(source)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError as error:
        raise translate(error, f"publish {target}") from error


def discard(path: str, *, must: bool = False) -> bool:
    """Unlink if it is there; True when it was. What cannot be unlinked is left for the sweep, or (``must``) raised."""
    try:
        os.unlink(path)
    except OSError as error:
        if must and not isinstance(error, FileNotFoundError):
            raise translate(error, f"remove {path}") from error
        return False
    return True


def exists(path: str) -> bool:
    try:
        file_number(path)
    except FileNotFoundError:
        return False
    return True


def file_number(path: str) -> FileNumber:
    """Raises FileNotFoundError."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise translate(error, f"look at {path}") from error
    return found.st_ino, found.st_mtime_ns


def read(path: str, max_bytes: int, *, only_link: bool = False) -> tuple[bytes, FileNumber]:
    """The content of a plain file and its number. Never follows a link, never waits on a pipe.

    ``only_link``: refuse a file that has another name elsewhere. Raises FileNotFoundError, NotRegular.
    """
    try:
        descriptor = os.open(path, _READ_FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO) or os.path.isdir(path):
            raise NotRegular("it is a link, a pipe or a folder, not a plain file") from error
        raise translate(error, f"read {path}") from error
    try:
        found = os.fstat(descriptor)
        _refuse_irregular(found, max_bytes, only_link)
        content = os.read(descriptor, found.st_size + 1) if found.st_size else b""
        while len(content) < found.st_size and (more := os.read(descriptor, found.st_size)):
            content += more
    except OSError as error:
        raise translate(error, f"read {path}") from error
    finally:
        os.close(descriptor)
    return content, (found.st_ino, found.st_mtime_ns)


def _refuse_irregular(found: os.stat_result, max_bytes: int, only_link: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise NotRegular("it is a link, a pipe, a device or a folder, not a plain file")
    if only_link and found.st_nlink != 1:
        raise SecondName("the file has a second name elsewhere (a hard link)")
    if found.st_size > max_bytes:
        raise NotRegular(f"it is larger than {max_bytes} bytes")


def touch(path: str) -> None:
    """Set the modification time to now: the sign of life of a lease. Raises FileNotFoundError."""
    try:
        os.utime(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise translate(error, f"touch {path}") from error


def names(folder: str) -> list[str]:
    """The names in a folder, in no order; none when it is not there."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise translate(error, f"list {folder}") from error


def changed_at(folder: str) -> int:
    """When a name was last added to or taken from the folder, in ns; 0 when it is not there."""
    try:
        return os.stat(folder).st_mtime_ns
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise translate(error, f"look at {folder}") from error


def make_folder(path: str) -> None:
    """0700, with the folders above it."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        raise translate(error, f"make the folder {path}") from error


def refuse_foreign_folder(path: str, *, may_be_link: bool = False) -> None:
    """The folder is real, ours, and closed to others (made 0700 if it was not). Raises NotRegular with the reason."""
    if IS_WINDOWS:
        return
    try:
        if not may_be_link and os.path.islink(path):
            raise NotRegular("is a symbolic link")
        found = os.stat(path)
        if found.st_uid != os.geteuid():
            raise NotRegular(f"belongs to another user (uid {found.st_uid})")
        if found.st_mode & 0o077:
            os.chmod(path, 0o700)
    except OSError as error:
        raise translate(error, f"look at {path}") from error


def remove_folder(path: str) -> bool:
    """Remove it if it is empty; True when it was."""
    try:
        os.rmdir(path)
    except OSError:
        return False
    return True


class _Ticket:
    """One who waits for an fsync, and how it ended for him."""

    __slots__ = ("failure", "is_served")

    def __init__(self) -> None:
        self.is_served = False
        self.failure: OSError | None = None


class DirectorySync:
    """Makes the names in one folder durable; one fsync serves all who wait (group commit)."""

    def __init__(self, folder: str, flush: Callable[[int], None] = flush) -> None:
        self._folder = folder
        self._flush = flush
        self._turn = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._is_running = False

    def wait(self) -> None:
        """Return once an fsync that *began* after this call has ended. Raises StoreUnavailable when it failed."""
        if IS_WINDOWS:
            return
        mine = _Ticket()
        with self._turn:
            self._waiting.append(mine)
            while not mine.is_served:
                if self._is_running:
                    self._turn.wait()
                else:
                    self._run()
        if mine.failure is not None:
            raise translate(mine.failure, f"fsync {self._folder}") from mine.failure

    def _run(self) -> None:
        """One fsync for everybody who waits now; the turn is given up while it lasts."""
        round_, self._waiting = self._waiting, []
        self._is_running = True
        self._turn.release()
        failure: OSError | None = OSError(errno.EINTR, "the fsync was interrupted")
        try:
            self._fsync()
            failure = None
        except OSError as error:
            failure = error
        finally:
            self._turn.acquire()
            self._is_running = False
            for one in round_:
                one.is_served, one.failure = True, failure
            self._turn.notify_all()

    def _fsync(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            self._flush(descriptor)
        finally:
            os.close(descriptor)


class ShardLocks:
    """``SHARDS`` locks, each held by one thread of one process at a time; freed by the kernel when that dies.

    ``of(id)`` picks the shard. Held for a few file calls only: between checking a lease and publishing its result.
    """

    SHARDS = 16

    def __init__(self, path: str) -> None:
        self._path = path
        self._threads = [threading.Lock() for _ in range(self.SHARDS)]
        self._descriptors: list[int] = []

    def open(self) -> None:
        for shard in range(self.SHARDS):
            path = f"{self._path}-{shard:02d}.lock"
            try:
                self._descriptors.append(os.open(path, _LOCK_FLAGS, 0o600))
            except OSError as error:
                raise translate(error, f"open {path}") from error

    def close(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors = []

    def of(self, name: str) -> _Shard:
        """For ``with``: the lock of ``name``. Raises StoreUnavailable when the system refuses it."""
        shard = zlib.crc32(name.encode("utf-8", "surrogatepass")) % self.SHARDS
        return _Shard(self._threads[shard], self._descriptors[shard], self._path)


class _Shard:
    """One lock while it is held: first against the threads of this process, then against other processes."""

    __slots__ = ("_descriptor", "_path", "_thread")

    def __init__(self, thread: threading.Lock, descriptor: int, path: str) -> None:
        self._thread, self._descriptor, self._path = thread, descriptor, path

    def __enter__(self) -> None:
        self._thread.acquire()
        try:
            _lock(self._descriptor)
        except OSError as error:
            self._thread.release()
            raise translate(error, f"lock {self._path}") from error

    def __exit__(self, *failure: object) -> None:
        try:
            _unlock(self._descriptor)
        finally:
            self._thread.release()


if sys.platform == "win32":  # written out: the type checker follows this one only
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)  # waits 10 s, then raises EDEADLOCK
                return
            except OSError as error:
                if error.errno != errno.EDEADLK:
                    raise

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
