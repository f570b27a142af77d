"""The folder of uploaded files: ``<root>/uploads/<upload id>/<safe name>``, and how one gets there.

    tmp/<random>.part   being written; never read
    <id>/pending.json   the task that is to read the file is not known to be there yet
    <id>/<name>         the file, 0600, whole and on the disk

A file is whole, and on the disk, before its task is submitted; the mark ``pending.json`` goes when that is done. What a
crash leaves is found by its age and its mark: ``sweep`` asks the queue whether the task is there. Nothing here is
served, run or unpacked.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from taskspool.clock import from_text, to_text
from taskspool.doors.managed.uploads_kinds import Kind, kind_of
from taskspool.engine import files
from taskspool.engine.index_query import Filter
from taskspool.engine.lifecycle import Queue
from taskspool.errors import StoreFull

PENDING = "pending.json"
PENDING_SECONDS = 3600.0
"""What was begun so long ago and is not finished was cut off."""
MAX_NAME_CHARS = 80
"""Of the stored name, without its suffix; of the name as the client gave it 255 are kept."""
_ID = re.compile(r"[0-9a-f]{32}")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])")


class UploadsFull(StoreFull):
    """The uploads take as much as they may."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is being written. ``name``: as its client calls it."""

    path: Path
    file: BinaryIO
    name: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that is safe. ``size`` in bytes."""

    upload_id: str
    path: Path
    name: str
    kind: Kind
    size: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How many files there are, and what they take."""

    count: int
    size: int


class UploadsFolder:
    """``keep_bytes``: what all files together may take. ``flush`` puts what a descriptor stands for on the disk."""

    def __init__(self, root: Path, queue: Queue, *, keep_bytes: int, is_durable: bool,
                 flush: Callable[[int], None] = files.flush) -> None:
        self.folder = root.absolute() / "uploads"
        self._temporary = self.folder / "tmp"
        self._queue = queue
        self._keep_bytes = keep_bytes
        self._is_durable = is_durable
        self._flush = flush
        self._lock = threading.Lock()
        self._reserved_bytes = 0

    # -- in ------------------------------------------------------------------------------------------------------

    @contextmanager
    def room_for(self, size: int) -> Iterator[None]:
        """``size`` bytes are set aside meanwhile. Raises UploadsFull."""
        with self._lock:
            used = self.usage().size + self._reserved_bytes
            if used + size > self._keep_bytes:
                raise UploadsFull(f"uploaded files take {used} bytes: with this one they would be more than "
                                  f"{self._keep_bytes}", limit=self._keep_bytes,
                                  hint="delete folders of finished tasks from uploads/, or raise "
                                       "TASKSPOOL_UPLOADS_KEEP_BYTES")
            self._reserved_bytes += size
        try:
            yield
        finally:
            with self._lock:
                self._reserved_bytes -= size

    def begin(self, name: str) -> Incoming:
        """A new empty file, for nobody else to see. Raises StoreUnavailable."""
        files.make_folder(str(self.folder))
        files.make_folder(str(self._temporary))
        path = self._temporary / f"{uuid.uuid4().hex}.part"
        try:
            return Incoming(path, os.fdopen(os.open(path, _FLAGS, 0o600), "w+b"), name)
        except OSError as error:
            raise files.translate(error, "create a file for an upload") from error

    def keep(self, incoming: Incoming, kb_id: str) -> Kept:
        """Make ``incoming`` one of the files: it is safe when this returns.

        Raises UnsupportedMedia, StoreUnavailable.
        """
        kind = kind_of(incoming.file, incoming.name)
        upload_id = uuid.uuid4().hex
        place = self.folder / upload_id
        kept = Kept(upload_id, place / safe_name(incoming.name, kind), incoming.name[:255], kind,
                    incoming.file.seek(0, os.SEEK_END))
        try:
            incoming.file.flush()
            if self._is_durable:
                self._flush(incoming.file.fileno())
            incoming.file.close()
        except OSError as error:
            raise files.translate(error, "write an upload") from error
        try:
            self._place(incoming, kept, kb_id)
        except BaseException:  # whatever it was, nobody will ask for this file
            self._remove(place)
            raise
        return kept

    def _place(self, incoming: Incoming, kept: Kept, kb_id: str) -> None:
        place = kept.path.parent
        files.make_folder(str(place))
        mark = json.dumps({"kb_id": kb_id, "at": to_text(self._queue.clock.now())})
        files.write_new(str(place / PENDING), mark.encode(), sync=self._is_durable, flush=self._flush)
        files.move(str(incoming.path), str(kept.path))  # from here on it is one of the files
        if self._is_durable:
            files.DirectorySync(str(place), self._flush).wait()
            files.DirectorySync(str(self.folder), self._flush).wait()

    def confirm(self, kept: Kept) -> None:
        """Its task is in the queue."""
        files.discard(str(kept.path.with_name(PENDING)))

    def drop(self, kept: Kept) -> None:
        """It has no task: nothing of it is left."""
        self._remove(kept.path.parent)

    @staticmethod
    def forget(incoming: Incoming) -> None:
        """Nothing is left of a file that was not kept."""
        incoming.file.close()
        files.discard(str(incoming.path))

    # -- how much, and what a crash left ---------------------------------------------------------------------------

    def usage(self) -> Usage:
        sizes = [status.st_size for place in self._places() for name, status in _statuses(place) if name != PENDING]
        return Usage(len(sizes), sum(sizes))

    def sweep(self) -> int:
        """Remove what a crash left: parts, and files whose task never came; how many. Raises StoreUnavailable."""
        oldest = self._queue.clock.now() - timedelta(seconds=PENDING_SECONDS)
        parts = [name for name, status in _statuses(self._temporary) if status.st_mtime < oldest.timestamp()]
        for name in parts:
            files.discard(str(self._temporary / name))
        removed = len(parts)
        for place in self._places():
            mark = _mark_of(place)
            if mark is None or mark.at >= oldest:
                continue
            if self._has_task(place.name, mark):
                files.discard(str(place / PENDING))
            else:
                self._remove(place)
                removed += 1
        return removed

    def _has_task(self, upload_id: str, mark: _Mark) -> bool:
        """Whether a task that was submitted after the file was kept names it."""
        since = mark.at - timedelta(seconds=5)
        wanted = Filter(group=mark.kb_id, created_after=since,
                        created_before=since + timedelta(seconds=PENDING_SECONDS))
        index, cursor = self._queue.store.index, None
        while True:
            page = index.listing(wanted, sort="created_at", limit=500, cursor=cursor)
            if any(isinstance(one.task.data, dict) and one.task.data.get("upload_id") == upload_id
                   for one in page.items):
                return True
            if page.cursor is None:
                return False
            cursor = page.cursor

    def _places(self) -> list[Path]:
        return [self.folder / name for name in files.names(str(self.folder)) if _ID.fullmatch(name)]

    @staticmethod
    def _remove(place: Path) -> None:
        """The mark goes last: what is cut off in between is found again."""
        for name in sorted(files.names(str(place)), key=lambda name: name == PENDING):
            files.discard(str(place / name))
        files.remove_folder(str(place))


def _statuses(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(name, status) of the plain files in ``folder``; one that goes meanwhile is left out."""
    for name in files.names(str(folder)):
        try:
            status = (folder / name).lstat()
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield name, status


@dataclass(frozen=True, slots=True)
class _Mark:
    """When a file was kept, and for which knowledge base; None: that cannot be read."""

    at: datetime
    kb_id: str | None


def _mark_of(place: Path) -> _Mark | None:
    """None: the task of the file in ``place`` is there."""
    path = place / PENDING
    try:
        told = json.loads(path.read_bytes())
        return _Mark(from_text(told["at"]), told["kb_id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # a power cut left half of it
        return _Mark(datetime.fromtimestamp(path.lstat().st_mtime, UTC), None)


def safe_name(name: str, kind: Kind) -> str:
    """A file's name made of ``name``: letters, digits, ``-``, ``_`` and single dots, with the suffix of its kind.

    No folder, no name that Windows reserves, nothing hidden; ``document`` when nothing is left.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    stem = last.rpartition(".")[0] or last
    plain = re.sub(r"[^\w-]+|_+", "_", stem)[:MAX_NAME_CHARS].strip("_")
    while len(plain.encode()) > 200:
        plain = plain[:-1]
    if not plain or _RESERVED.fullmatch(plain):
        plain = f"document_{plain}".rstrip("_")
    return plain + kind.value
