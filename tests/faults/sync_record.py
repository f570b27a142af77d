"""Writing down every call that matters for a power cut, and judging the order without one.

What a disk may lose: content that was not fsynced, and a name whose folder was not fsynced after it came. Hence the
rules: content is fsynced before it gets its public name; a name is fsynced before anything that builds on it gets
one, and before it is acknowledged.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from faults.shim import ShimmedOs

PROMISED = ("tasks", "scheduled", "results", "keys", "meta", "cancelling", "batches")
"""Folders whose names are acknowledged. A claim may be lost (its lease runs out), a move to done is repeated."""


class SyncRecord(ShimmedOs):
    """Tells of each broken rule in ``broken``. ``acknowledge`` is called when a verb has returned."""

    def __init__(self, fails: Callable[[str, str], bool] = lambda name, path: False) -> None:
        super().__init__(self._note, ("write", "fsync", "rename", "replace", "link", "unlink", "read"))
        self.broken: list[str] = []
        self.flushes: list[str] = []
        self.unflushed: set[str] = set()
        self.pending: dict[str, set[str]] = defaultdict(set)
        self._fails = fails
        self._paths: dict[int, str] = {}

    def acknowledge(self, verb: str) -> None:
        for folder in PROMISED:
            if self.pending[folder]:
                self.broken.append(f"{verb} acknowledged before the names in {folder}/ were on the disk")

    def _note(self, name: str, arguments: tuple[Any, ...], call: Callable[[], Any]) -> Any:
        path = self._path_of(name, arguments)
        if name == "fsync" and self._fails(name, path):
            raise OSError(5, os.strerror(5))
        answer = call()
        if name == "open":
            self._paths[answer] = path
        elif name == "write":
            self.unflushed.add(path)
        elif name == "fsync":
            self._flushed(path)
        elif name in ("rename", "replace", "link"):
            self._named(path, os.fspath(arguments[1]), is_link=name == "link")
        elif name == "unlink":
            self.unflushed.discard(path)
        return answer

    def _path_of(self, name: str, arguments: tuple[Any, ...]) -> str:
        return self._paths.get(arguments[0], "?") if name in ("write", "fsync", "read") else os.fspath(arguments[0])

    def _flushed(self, path: str) -> None:
        self.flushes.append(path)
        self.unflushed.discard(path)
        self.pending[os.path.basename(path)].clear()

    def _named(self, source: str, target: str, *, is_link: bool) -> None:
        folder = target.split("/task_queue/")[1].split("/", maxsplit=1)[0]
        if source in self.unflushed:
            self.broken.append(f"{target} has its name before its content was on the disk")
        if folder in ("tasks", "scheduled") and (self.pending["keys"] or self.pending["meta"]):
            self.broken.append(f"{target} is visible before its key, or its batch, was on the disk")
        if not is_link:
            self.unflushed.discard(source)
            for names in self.pending.values():
                names.discard(source)
        self.pending[folder].add(target)
