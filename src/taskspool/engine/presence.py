"""Taking part in a folder: is it safe, which slot is ours, which epoch is it, and who else is alive.

A process that uses the folder holds the lock of one slot for its lifetime. The kernel frees it in the moment the
process dies, however it dies; who can take the lock knows that its owner is gone.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from filelock import FileLock, Timeout

from taskspool.engine import files
from taskspool.engine.disk import in_need
from taskspool.engine.layout import FOLDERS
from taskspool.engine.place import Place
from taskspool.engine.seal import Broken, seal, unseal
from taskspool.errors import RefusedToStart, StoreFull

MAX_SLOTS = 4096
MAX_EPOCH_BYTES = 256
UNWRITTEN = 1 << 40
"""On a disk without room for a number the epoch is a random one above this, which nobody counts up to."""
_NETWORK_TYPES = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ncpfs", "glusterfs", "fuse.sshfs", "ceph",
                  "fuse.glusterfs", "fuse.rclone", "davfs", "fuse.davfs2"}


class Presence:
    """From ``take`` to ``leave`` this process is alive in the folder, as ``place.slot`` in ``place.epoch``."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.disk = place.disk
        self._lock: FileLock | None = None

    def take(self) -> None:
        """Make the folders, take the first free slot, count the epoch up. Raises RefusedToStart, StoreUnavailable.

        On a full disk the ballast is given up for it, once.
        """
        try:
            self._take()
        except StoreFull:
            self.leave()
            if not self._place.disk.give_up_ballast():
                raise
            self._take()

    def _take(self) -> None:
        _refuse_network(self._place)
        for name in FOLDERS:
            files.make_folder(self._place.path(name))
        _refuse_unsafe(self._place)
        self._place.moves.open()
        self._place.keys.open()
        self._place.uniques.open()
        self._place.group.open(self._place.folder)
        self._lock, self._place.slot = self._first_free()
        self._remove_predecessors()
        with self._place.keys.of("epoch"):
            self._place.epoch = self._next_epoch()

    def leave(self) -> None:
        self._place.moves.close()
        self._place.keys.close()
        self._place.uniques.close()
        self._place.group.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def is_alive(self, slot: int, epoch: int) -> bool:
        """Whether the process that had ``slot`` in ``epoch`` still lives."""
        if slot == self._place.slot:
            return epoch == self._place.epoch
        lock = self._slot_lock(slot)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    def _slot_lock(self, slot: int) -> FileLock:
        return FileLock(self._place.path("locks", f"slot-{slot}.lock"), mode=0o600, fallback_to_soft=False)

    def _first_free(self) -> tuple[FileLock, int]:
        for slot in range(1, MAX_SLOTS):
            lock = self._slot_lock(slot)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            except OSError as error:
                if isinstance(refusal := files.translate(error, "lock a slot"), StoreFull):
                    raise refusal from error
                raise RefusedToStart(f"{self._place.folder}: its file system has no working file locks ({error})",
                                     hint="put the queue on a local disk") from error
            return lock, slot
        raise RefusedToStart(f"{self._place.folder} is used by {MAX_SLOTS} processes already")

    def _remove_predecessors(self) -> None:
        """The slot is ours: what its last owner left in ``tmp/`` goes, before it can stand in the way of a name, and so
        does what says that a worker of that process lives."""
        files.discard(self._place.path("locks", f"slot-{self._place.slot}.epoch"))
        for name in files.names(self._place.path("tmp")):
            if name.startswith(f"{self._place.slot}-"):
                files.discard(self._place.path("tmp", name))

    def _next_epoch(self) -> int:
        path = self._place.path("meta", "epoch")
        try:
            epoch = _epoch_in(files.read(path, MAX_EPOCH_BYTES)[0]) + 1
        except FileNotFoundError:
            epoch = 1
        except (ValueError, files.NotRegular):  # damaged: go on where no count of starts has come, and none is repeated
            epoch = int(self._place.clock.now().timestamp())
        self._place.epoch = epoch
        try:
            self._write_epoch(path, epoch)
        except StoreFull:
            if self._place.disk.is_degraded:
                raise
            return UNWRITTEN + secrets.randbits(40)
        return epoch

    @in_need
    def _write_epoch(self, path: str, epoch: int) -> None:
        self._place.install(seal(b"%d\n" % epoch), path)
        self._place.sync("meta")


def _epoch_in(content: bytes) -> int:
    """The number in the file, with its seal or, as the first version wrote it, without. Raises ValueError."""
    try:
        epoch = int(unseal(content)[0])
    except Broken as error:
        raise ValueError(str(error)) from error
    if not 0 < epoch < UNWRITTEN:
        raise ValueError(f"{epoch} is no epoch")
    return epoch


def _refuse_unsafe(place: Place) -> None:
    """Every folder is a real folder, ours, and closed to others: who may write here may run tasks."""
    for name in ("", *FOLDERS):
        path = place.path(name) if name else place.folder
        try:
            files.refuse_foreign_folder(path, may_be_link=not name)
        except files.NotRegular as error:
            raise RefusedToStart(f"{path} {error}", hint="use a folder of your own: --root DIR") from error


def _refuse_network(place: Place) -> None:
    if place.settings.allow_network_filesystem:
        return
    kind = "UNC path" if place.folder.startswith(("\\\\", "//")) else _mount_type(Path(place.folder))
    if kind == "UNC path" or kind in _NETWORK_TYPES:
        raise RefusedToStart(f"{place.folder} is on a network file system ({kind}): its locks and renames are not "
                             "reliable enough", hint="use a local disk, or set TASKSPOOL_ALLOW_NETWORK_FILESYSTEM=1")


def _mount_type(folder: Path) -> str:
    """The file system type below ``folder`` as Linux names it; empty elsewhere."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    resolved = str(folder.resolve())
    mounts = [line.split()[1:3] for line in lines if len(line.split()) > 2]
    fitting = [(len(at), kind) for at, kind in mounts if resolved == at or resolved.startswith(at.rstrip("/") + "/")]
    return max(fitting, default=(0, ""))[1]
