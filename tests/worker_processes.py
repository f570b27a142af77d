"""Real worker processes and a real bridge for tests: started here, ended here, by their own process id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskspool.client import Client
from taskspool.errors import ServerUnreachable
from waiting import eventually

SOURCE = Path(__file__).parents[1] / "src"
JOBS = Path(__file__).parent / "worker" / "jobs.py"
FOLDER_WORKER = """
import sys, logging
from pathlib import Path
from taskspool.settings import Settings
from taskspool.worker.handlers import load_handlers
from taskspool.worker.loop import run_folder_worker
logging.basicConfig(level=logging.INFO)
settings = Settings(root=Path(sys.argv[1]), durability="fast")
sys.exit(run_folder_worker(settings, handlers=load_handlers([sys.argv[2]]), name=sys.argv[3],
                           concurrency=int(sys.argv[4])))
"""
HTTP_WORKER = """
import sys, logging
from taskspool.worker.handlers import load_handlers
from taskspool.worker.loop import run_http_worker
logging.basicConfig(level=logging.INFO)
sys.exit(run_http_worker(sys.argv[1], handlers=load_handlers([sys.argv[2]]), name=sys.argv[3],
                         concurrency=int(sys.argv[4]), lease_seconds=int(sys.argv[5]) or None))
"""


class Process:
    """A child process with its log in a file."""

    def __init__(self, arguments: list[str], log: Path, environ: Mapping[str, str] | None = None) -> None:
        self.log = log
        own = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONUNBUFFERED": "1", **(environ or {})}
        with log.open("ab") as output:
            self.popen = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=output, env=own,
                                          stdin=subprocess.DEVNULL)

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.popen.kill()
        self.popen.wait(10)

    def end(self, seconds: float = 10.0) -> int:
        """SIGTERM, and its exit code."""
        self.popen.terminate()
        return self.popen.wait(seconds)

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


class Processes:
    """Everything a test started; all of it is ended with the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._all: list[Process] = []

    def folder_worker(self, root: Path, *, name: str = "folder-worker", concurrency: int = 1) -> Process:
        return self._start(name, ["-c", FOLDER_WORKER, str(root), str(JOBS), name, str(concurrency)])

    def http_worker(self, url: str, *, name: str = "http-worker", concurrency: int = 1,
                    lease_seconds: int = 0) -> Process:
        return self._start(name, ["-c", HTTP_WORKER, url, str(JOBS), name, str(concurrency), str(lease_seconds)])

    def bridge(self, root: Path, port: int) -> Process:
        """``taskspool serve bridge`` on ``port``, answering when this returns."""
        command = ["-m", "taskspool", "serve", "bridge", "--port", str(port), "--root", str(root)]
        process = self._start("bridge", command, {"TASKSPOOL_DURABILITY": "fast"})
        with Client(f"http://127.0.0.1:{port}", retries=0) as client:
            eventually(lambda: _is_up(client, process), 40, f"the bridge answers; its log: {process.log}")
        return process

    def command(self, *arguments: object) -> Process:
        """``taskspool ARGUMENTS``."""
        return self._start("command", ["-m", "taskspool", *(str(each) for each in arguments)])

    def end_all(self) -> None:
        for process in self._all:
            if process.popen.poll() is None:
                process.signal(getattr(signal, "SIGCONT", signal.SIGTERM))
                process.kill()

    def _start(self, name: str, arguments: list[str], environ: Mapping[str, str] | None = None) -> Process:
        process = Process(arguments, self._folder / f"{name}-{len(self._all)}.log", environ)
        self._all.append(process)
        return process


def _is_up(client: Client, process: Process) -> dict[str, Any] | None:
    assert process.popen.poll() is None, process.text()
    try:
        return client.health()
    except ServerUnreachable:
        return None


@contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    made = Processes(folder)
    try:
        yield made
    finally:
        made.end_all()
