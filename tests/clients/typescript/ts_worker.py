"""A TypeScript poller in a process of its own (``worker.mjs``), as its tests see it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from clients.typescript.typescript_package import NODE, PACKAGE

SCRIPT = Path(__file__).with_name("worker.mjs")


class TypeScriptWorker:
    """Started with its making; ``said`` is all it has told so far."""

    def __init__(self, url: str, name: str, folder: Path, lease_seconds: int) -> None:
        self.name = name
        self._told = folder / f"{name}.jsonl"
        self.store = folder / f"{name}.json"
        with self._told.open("ab") as output:
            self.process = subprocess.Popen(
                [NODE, str(SCRIPT), str(PACKAGE), url, name, str(self.store), str(lease_seconds)],
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)

    def said(self) -> list[dict[str, Any]]:
        whole = self._told.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def has_said(self, **words: Any) -> bool:
        """Whether one of its lines has all of ``words``."""
        return any(words.items() <= line.items() for line in self.said())

    def last_state(self) -> dict[str, Any]:
        return next((line for line in reversed(self.said()) if line["event"] == "state"), {})

    def end(self) -> int:
        """Ask it to stop; its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


@contextmanager
def typescript_worker(url: str, name: str, folder: Path, lease_seconds: int = 30) -> Iterator[TypeScriptWorker]:
    worker = TypeScriptWorker(url, name, folder, lease_seconds)
    try:
        yield worker
    finally:
        worker.kill()
