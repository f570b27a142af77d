"""The commands as users start them, for tests: a bridge on a port of its own and workers, on a temporary root."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from waiting import eventually

PROJECT = Path(__file__).parents[1]
SOURCE = PROJECT / "src"
_LISTENS = re.compile(r"listens on http://127\.0\.0\.1:(\d+)")


def environment(**more: str) -> dict[str, str]:
    """This process's environment, the package of this tree, UTF-8, and ``more``."""
    return {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", **more}


def taskspool(*arguments: str | Path, given: str = "", cwd: Path | None = None, seconds: float = 60,
              **more: str) -> subprocess.CompletedProcess[str]:
    """``taskspool ARGUMENTS``, run to its end."""
    return subprocess.run([sys.executable, "-m", "taskspool", *map(str, arguments)], capture_output=True,
                          input=given, encoding="utf-8", timeout=seconds, cwd=cwd, env=environment(**more))


class Service:
    """A process that stays up; what it says goes to a file."""

    def __init__(self, arguments: list[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen([sys.executable, *arguments], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=output, env=environment(**(environ or {})), cwd=log.parent)

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def port(self) -> int:
        """The port the bridge listens on, as soon as it does."""
        return int(eventually(self._listening, 20, "the bridge listens")[1])

    def _listening(self) -> re.Match[str] | None:
        assert self.process.poll() is None, self.said()
        return _LISTENS.search(self.said())

    def end(self, seconds: float = 10) -> int:
        """Ask it to stop; its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


class Services:
    """Everything a test started; all of it is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Service] = []

    def start(self, *arguments: str | Path, **more: str) -> Service:
        """``python ARGUMENTS``"""
        log = self._folder / f"service-{len(self._all)}.log"
        service = Service([str(argument) for argument in arguments], log, more)
        self._all.append(service)
        return service

    def bridge(self, root: Path, *options: str) -> Service:
        """A bridge on a free port."""
        return self.start("-m", "taskspool", "serve", "bridge", "--port", "0", "--root", root, *options)

    def worker(self, *options: str | Path) -> Service:
        return self.start("-m", "taskspool", "work", *options)

    def end_all(self) -> None:
        """Ask first: a process that started others must have time to stop them."""
        for service in self._all:
            service.process.terminate()
        for service in self._all:
            try:
                service.process.wait(6)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait(10)


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    made = Services(folder)
    try:
        yield made
    finally:
        made.end_all()
