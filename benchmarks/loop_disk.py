"""A small disk of its own, whose power can be cut: a file system in a file, mounted through a loop device.

The cut is the ioctl FS_IOC_SHUTDOWN, which ext4 and XFS have for exactly this: from that instant nothing more reaches
the disk, and what was in memory only is gone. Mounting it again is the recovery after a power cut, by the kernel's own
journal. Needs root and loop devices; ``why_not`` says what is missing.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FS_IOC_SHUTDOWN = 0x8004587D
"""_IOR('X', 125, __u32), include/uapi/linux/fs.h and fs/ext4/ext4.h of Linux."""
LOG_FLUSHED, LOG_LOST = 1, 2
"""How the power goes: after the journal in memory was written out, or at once."""
MIBIBYTES = {"ext4": 64, "xfs": 320}
"""mkfs.xfs makes none smaller than 300 MiB. The file is sparse."""
MEMORY = Path("/dev/shm")
UNMOUNT_SECONDS = 3.0


class Unusable(Exception):
    """No such disk can be made here; the text says why."""


@dataclass(slots=True)
class LoopDisk:
    """One file system of ``kind`` (ext4, xfs) in the file ``image``, mounted at ``path``."""

    kind: str
    image: Path
    path: Path
    device: str = ""

    def mount(self) -> None:
        run("mount", "-t", self.kind, self.device, str(self.path))

    def cut(self, how: int) -> None:
        """The power is gone: every write from now on fails, whoever has files open. ``how``: LOG_FLUSHED, LOG_LOST."""
        import fcntl

        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, FS_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(descriptor)

    def restore(self) -> None:
        """The power is back: the kernel repairs from its journal. Nobody may have a file open there."""
        self.unmount()
        self.mount()

    def leave(self) -> None:
        """Unmount it for good; whoever has a file open there keeps it until that is closed."""
        try:
            self.unmount()
        except Unusable:
            run("umount", "--lazy", str(self.path))

    def unmount(self) -> None:
        ends_at = time.monotonic() + UNMOUNT_SECONDS
        while True:
            try:
                return run("umount", str(self.path))
            except Unusable:  # a process that was killed is not quite gone yet
                if time.monotonic() > ends_at:
                    raise
                time.sleep(0.02)


@contextmanager
def loop_disk(kind: str, mibibytes: int = 0, folder: Path | None = None,
              options: Sequence[str] = ()) -> Iterator[LoopDisk]:
    """A fresh disk, mounted; its file lies in ``folder`` (None: in memory). ``options`` are mkfs's. Raises Unusable."""
    place = Path(tempfile.mkdtemp(prefix="taskspool-disk-", dir=folder or (MEMORY if MEMORY.is_dir() else None)))
    disk = LoopDisk(kind, place / "image", place / "mounted")
    disk.path.mkdir()
    try:
        with disk.image.open("wb") as image:
            image.truncate((mibibytes or MIBIBYTES[kind]) << 20)
        run(f"mkfs.{kind}", "-q", *options, "-F" if kind == "ext4" else "-f", str(disk.image))
        disk.device = said("losetup", "--show", "-f", str(disk.image))
        try:
            disk.mount()
            try:
                yield disk
            finally:
                disk.leave()
        finally:
            run("losetup", "-d", disk.device)
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def memory_disk(kibibytes: int, inodes: int = 0) -> Iterator[Path]:
    """A tmpfs of exactly this size, mounted; ``inodes`` 0: as many as fit. Raises Unusable."""
    path = Path(tempfile.mkdtemp(prefix="taskspool-disk-"))
    try:
        run("mount", "-t", "tmpfs", "-o", f"size={kibibytes}k,nr_inodes={inodes or kibibytes}", "tmpfs", str(path))
        try:
            yield path
        finally:
            LoopDisk("tmpfs", path, path).leave()
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def thin_disk(options: Sequence[str] = ()) -> Iterator[LoopDisk]:
    """An ext4 that promises more than is below it, once that is made small by ``resize_below``. Raises Unusable."""
    with memory_disk(2048 * MIBIBYTES["ext4"]) as below, loop_disk("ext4", folder=below, options=options) as disk:
        yield disk


def resize_below(disk: LoopDisk, free_kibibytes: int) -> None:
    """Below a thin disk so much is free from now on: an fsync that needs more fails, as that of a broken disk does."""
    below = disk.image.parents[1]
    found = os.statvfs(below)
    used = (found.f_blocks - found.f_bfree) * found.f_frsize // 1024
    run("mount", "-o", f"remount,size={used + free_kibibytes}k", str(below))


@cache
def why_not(kinds: tuple[str, ...] = tuple(MIBIBYTES)) -> str:
    """What stands in the way of such disks here; "" when nothing does."""
    if sys.platform != "linux":
        return "loop devices are Linux's"
    if os.geteuid() != 0:
        return "to mount a loop device needs root"
    missing = [tool for tool in ("losetup", "mount", *(f"mkfs.{kind}" for kind in kinds)) if shutil.which(tool) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    try:
        for kind in kinds:
            with loop_disk(kind):
                pass
    except Unusable as error:
        return str(error)
    return ""


def run(*command: str) -> None:
    """Raises Unusable with what the command said."""
    said(*command)


def said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except OSError as error:
        raise Unusable(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise Unusable(f"{command[0]}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()
