"""The guard of a worker's programs: a process that outlives the worker by a moment, and ends what it left running.

A worker killed by ``kill -9`` can clean up nothing. But its end of a pipe closes with it: the guard reads that pipe,
and at its end ends whatever carries the worker's mark, and removes the worker's temporary folder. It heads a session
of its own, so that a Ctrl-C meant for the worker does not end it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import taskspool
from taskspool.errors import RefusedToStart
from taskspool.worker.process_tree import MARK, OWN_TREE, end_marked

CLOSE_SECONDS = 15.0
ROUNDS = 2
"""A program that was being started while the worker died carries the mark a moment later: look twice."""


class Guard:
    """A mark for processes and a folder for their files; and the process that watches over both, until ``close``."""

    def __init__(self, grace_seconds: float) -> None:
        """``grace_seconds``: how long what is left has to obey. Raises RefusedToStart."""
        self.mark = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="taskspool-"))
        self._numbers = count(1)
        command = [sys.executable, "-P", "-m", "taskspool.worker.guard", self.mark, str(self.folder),
                   str(grace_seconds)]
        environ = {name: value for name, value in os.environ.items() if name != MARK}
        home = str(Path(taskspool.__file__).parents[1])  # where this package came from, which need not be installed
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, [home, environ.get("PYTHONPATH")]))
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environ,
                                             **OWN_TREE)
        except OSError as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise RefusedToStart(f"the guard of the programs cannot be started: {error}") from error

    @contextmanager
    def watching(self) -> Iterator[tuple[str, Path]]:
        """For one run: the value of MARK its processes must be started with, and an empty folder that goes with it."""
        number = next(self._numbers)
        folder = self.folder / str(number)
        folder.mkdir(0o700)
        try:
            yield f"{self.mark}/{number}", folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Nothing is left when this returns; unless it takes very long, then the guard goes on alone."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # it ends by itself, and needs nobody


def main() -> None:
    """``guard MARK FOLDER GRACE_SECONDS``: wait for the end of stdin, then clean up."""
    mark, folder, grace_seconds = sys.argv[1:4]
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    sys.stdin.buffer.read()
    for _ in range(ROUNDS):
        end_marked(mark, float(grace_seconds))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
