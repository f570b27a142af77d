"""The queue's folder as one object: paths, temporary names, locks, and what "durable" means here."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from taskspool.clock import Clock
from taskspool.engine import files
from taskspool.engine.disk import Disk, prove_alive
from taskspool.engine.folders import slices_of
from taskspool.engine.group_commit import GroupCommit, system_syncfs
from taskspool.engine.layout import FOLDER_OF, FOLDERS, claim_name
from taskspool.engine.task import Lease, State
from taskspool.errors import StoreUnavailable, TaskspoolError
from taskspool.settings import Settings

SYNCED_FOLDERS = ("tasks", "scheduled", "results", "keys", "meta", "batches", "done", "dead", "cancelled",
                  "cancelling", "quarantine")

OWN_BYTES = 524_288
"""What a task's file may hold beside what was submitted: its history, its last error, a checkpoint."""

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
        self.max_file_bytes = settings.max_task_bytes + OWN_BYTES
        self.slot = 0
        self.epoch = 0
        self.moves = files.ShardLocks(self.path("locks", "move"))
        self.keys = files.ShardLocks(self.path("locks", "key"))
        self.uniques = files.ShardLocks(self.path("locks", "unique"))
        self.disk = Disk(self.folder, clock, settings.min_free_bytes)
        self.group = GroupCommit(clock, system_syncfs())
        self._flush = self.disk.watched(self.group.flush)
        self._numbers = itertools.count(1)
        flush_names = self.disk.watched(self._flush_names)
        self._syncs = {name: files.DirectorySync(self.path(name), flush_names) for name in SYNCED_FOLDERS}
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
        self._in_folders(lambda: files.write_new(path, content, sync=self.is_durable, flush=self._flush), path)
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
            self._in_folders(lambda: files.move(temporary, target), target)
        except BaseException:  # whatever it was, it goes on upward: only the litter is ours
            files.discard(temporary)
            raise

    def install_lightly(self, content: bytes, target: str) -> None:
        """As ``install``, without a wait for the disk: for what is told anew soon, and has no use after a power cut."""
        temporary = f"{self._prefix['tmp']}{self.slot}-{self.epoch}-{next(self._numbers)}.json"
        self._in_folders(lambda: files.write_new(temporary, content, sync=False), temporary)
        try:
            self._in_folders(lambda: files.move(temporary, target), target)
        except BaseException:  # whatever it was, it goes on upward: only the litter is ours
            files.discard(temporary)
            raise

    def publish(self, temporary: str, target: str) -> None:
        """Give the temporary file the name ``target``. Raises FileExistsError when it is taken."""
        self._in_folders(lambda: files.publish(temporary, target), target)

    def remake_folders(self) -> None:
        """What somebody removed under us is there again, empty: people tidy up, and delete ``results/`` whole."""
        for name in FOLDERS:
            if not files.exists(self.path(name)):
                files.make_folder(self.path(name))

    def _in_folders(self, step: Callable[[], None], path: str) -> None:
        """``step``, a second time when a folder was missing. Raises StoreUnavailable when it is missing again."""
        try:
            step()
        except FileNotFoundError:
            self.remake_folders()
            try:
                step()
            except FileNotFoundError as error:
                raise StoreUnavailable(f"the folder of {path} does not stay") from error

    def _flush_names(self, descriptor: int) -> None:
        files.flush(descriptor)
        prove_alive(self.path("locks", f"slot-{self.slot}.lock"))

    def sync(self, folder: str) -> None:
        """The names in ``folder`` are on the disk when this returns, if the store is durable."""
        if self.is_durable:
            self._syncs[folder].wait()

    def quarantine(self, folder: str, name: str, reason: str) -> None:
        """Move ``folder/name`` to ``quarantine/``, with the reason beside it; the reason is written first."""
        stamp = f"{int(self.clock.now().timestamp() * 1000):x}"
        kept = name.encode("utf-8", "replace")[:200].decode("utf-8", "replace")
        target = self._reserve(stamp, kept, f"{folder}/{name}: {reason}\n".encode("utf-8", "replace"))
        try:
            files.move(self.path(folder, name), target)
        except FileNotFoundError:
            files.discard(f"{target}.reason.txt")  # somebody was faster
        except TaskspoolError:
            files.discard(f"{target}.reason.txt")
            raise

    def _reserve(self, stamp: str, name: str, reason: bytes) -> str:
        """A path in ``quarantine/`` that nobody has: the reason stands beside it, and it is free for the file."""
        target, number = self.path("quarantine", f"{stamp}-{name}"), 1
        while True:
            try:
                with self.beside(reason) as (note,):
                    self.publish(note, f"{target}.reason.txt")  # never over another: what lies there may be a task
                return target
            except FileExistsError:
                target, number = self.path("quarantine", f"{stamp}.{number}-{name}"), number + 1


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
        self._last_look = (-1, 0.0, 0.0)

    def is_due(self) -> bool:
        """Whether a name may have come or gone since the last look, and a look is affordable."""
        return self._clock.monotonic() >= self._not_before and files.changed_at(self._path) != self._confirmed

    def slices(self) -> Iterator[list[str]]:
        """The names now, in slices; ``confirm`` when all of them have been looked at. One caller at a time."""
        began = since = self._clock.monotonic()
        changed_at, took = files.changed_at(self._path), 0.0
        for names in slices_of(self._path):
            took += self._clock.monotonic() - since
            yield names
            since = self._clock.monotonic()
        self._last_look = (changed_at, began, took)

    def confirm(self) -> None:
        """What the last ``slices`` told is known now."""
        changed_at, began, took = self._last_look
        if changed_at != self._seen:
            self._seen, self._seen_at = changed_at, began
        self._confirmed = changed_at if began - self._seen_at >= self.COARSEST_TICK_SECONDS else -1
        self._not_before = began + took * 40 if took > 0.001 else 0.0
