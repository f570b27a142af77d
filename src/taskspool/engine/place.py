"""The queue's folder as one object: paths, temporary names, locks, and what "durable" means here."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.engine.group_commit import GroupCommit, system_syncfs
from taskspool.engine.layout import FOLDER_OF, FOLDERS, claim_name
from taskspool.engine.task import Lease, State
from taskspool.errors import TaskspoolError
from taskspool.settings import Settings

SYNCED_FOLDERS = ("tasks", "scheduled", "results", "keys", "meta", "done", "dead", "quarantine")

QUARANTINE_AFTER_SECONDS = 60.0
"""How long a file may be unreadable and unchanged before it is moved aside."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A file that cannot be read yet, unchanged ``since`` (monotonic seconds)."""

    number: files.FileNumber
    since: float
    reason: str


class Place:
    """Everything the parts of the file store share. ``slot`` and ``epoch`` are set when the presence is taken."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.folder = str(settings.folder.absolute())
        self.clock = clock
        self.settings = settings
        self.is_durable = settings.durability == "strict"
        self.max_bytes = settings.max_task_bytes
        self.max_file_bytes = settings.max_task_bytes + 65_536
        self.slot = 0
        self.epoch = 0
        self.moves = files.ShardLocks(self.path("locks", "move"))
        self.keys = files.ShardLocks(self.path("locks", "key"))
        self.group = GroupCommit(clock, system_syncfs())
        self._numbers = itertools.count(1)
        self._syncs = {name: files.DirectorySync(self.path(name)) for name in SYNCED_FOLDERS}
        self._prefix = {name: f"{self.folder}/{name}/" for name in FOLDERS}

    def path(self, folder: str, name: str = "") -> str:
        return f"{self.folder}/{folder}/{name}" if name else f"{self.folder}/{folder}"

    def task_path(self, state: State, task_id: str) -> str:
        return f"{self._prefix[FOLDER_OF[state]]}{task_id}.json"

    def result_path(self, task_id: str) -> str:
        return f"{self._prefix['results']}{task_id}.json"

    def lease_path(self, lease: Lease) -> str:
        """The file whose existence is the lease. Without a token: a task popped in place by an old program."""
        if not lease.token:
            return self.task_path(State.READY, lease.task_id)
        return self._prefix["claimed"] + claim_name(lease)

    def write_temporary(self, content: bytes) -> str:
        """A whole file in ``tmp/``, on the disk when the store is durable; its path."""
        path = f"{self._prefix['tmp']}{self.slot}-{self.epoch}-{next(self._numbers)}.json"
        files.write_new(path, content, sync=self.is_durable, flush=self.group.flush)
        return path

    @contextmanager
    def beside(self, *contents: bytes) -> Iterator[list[str]]:
        """Temporary files with these contents, for a rename or a link. What a failure leaves of them is removed."""
        paths: list[str] = []
        try:
            for content in contents:
                paths.append(self.write_temporary(content))
            yield paths
        except BaseException:  # whatever it was, it goes on upward: only the litter is ours
            for path in paths:
                files.discard(path)
            raise

    def install(self, content: bytes, target: str) -> None:
        """``target`` has ``content``, whole, in one step: the rename is the instant."""
        temporary = self.write_temporary(content)  # not ``beside``: this is the path of every submit
        try:
            files.move(temporary, target)
        except BaseException:  # whatever it was, it goes on upward: only the litter is ours
            files.discard(temporary)
            raise

    def sync(self, folder: str) -> None:
        """The names in ``folder`` are on the disk when this returns, if the store is durable."""
        if self.is_durable:
            self._syncs[folder].wait()

    def quarantine(self, folder: str, name: str, reason: str) -> None:
        """Move ``folder/name`` to ``quarantine/``, with the reason beside it; the reason is written first."""
        stamp = f"{int(self.clock.now().timestamp() * 1000):x}"
        kept = name.encode("utf-8", "replace")[:200].decode("utf-8", "replace")
        target = self.path("quarantine", f"{stamp}-{kept}")
        self.install(f"{folder}/{name}: {reason}\n".encode("utf-8", "replace"), f"{target}.reason.txt")
        try:
            files.move(self.path(folder, name), target)
        except FileNotFoundError:
            files.discard(f"{target}.reason.txt")  # somebody was faster
        except TaskspoolError:
            files.discard(f"{target}.reason.txt")
            raise


class Due:
    """Says when the next look at a folder is worth its price: never more than about a twentieth of the time.

    A folder whose modification time stands still need not be read again, once that time has been known for longer
    than the coarsest clock of a file system ticks: a name may come right after a look, in the same tick.
    """

    COARSEST_TICK_SECONDS = 2.5
    """FAT counts in steps of 2 s, ext3 and HFS+ of 1 s."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._seen = -1
        self._seen_at = 0.0
        self._confirmed = -1
        self._not_before = 0.0

    def is_due(self) -> bool:
        """Whether a name may have come or gone since the last look, and a look is affordable."""
        return self._clock.monotonic() >= self._not_before and files.changed_at(self._path) != self._confirmed

    def look(self) -> list[str]:
        """The names now. One caller at a time."""
        began = self._clock.monotonic()
        changed_at = files.changed_at(self._path)
        names = files.names(self._path)
        if changed_at != self._seen:
            self._seen, self._seen_at = changed_at, began
        self._confirmed = changed_at if began - self._seen_at >= self.COARSEST_TICK_SECONDS else -1
        took = self._clock.monotonic() - began
        self._not_before = began + took * 40 if took > 0.001 else 0.0
        return names
