"""A worker of each kind, with the same job, restarted whenever it dies."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from service import PROJECT, environment
from waiting import eventually

HERE = Path(__file__).parent
DIST = PROJECT / "clients" / "typescript" / "dist" / "index.js"
NODE = shutil.which("node")
JOBS = str(HERE / "fate_jobs.py")
KINDS = ("folder-thread", "folder-process", "http-thread", "exec", "typescript")
KILLABLE = {"folder-process", "exec"}
"""What runs there has a process of its own, which a worker can end."""
NO_TYPESCRIPT = "" if NODE and DIST.exists() else "no node on this machine, or clients/typescript is not built"
SETTINGS = {"TASKSPOOL_MAX_CRASHES": "100", "TASKSPOOL_CANCEL_GRACE_SECONDS": "600", "TASKSPOOL_DURABILITY": "fast"}
"""A death takes others with it, time and again; and nobody but the worker itself is to end what is cancelled."""


def command(kind: str, root: Path, url: str) -> list[str]:
    if kind == "typescript":
        return [NODE or "node", str(HERE / "fate_poller.mjs"), url, kind]
    place = ["--root", str(root)] if kind.startswith("folder") else ["--url", url, "--wait", "5"]
    work = [sys.executable, "-m", "taskspool", "work", *place, "--name", kind, "--concurrency", "4", "--grace", "0.3s"]
    if kind == "exec":
        return [*work, "--exec", "--type", kind, "--", sys.executable, JOBS]
    executor = kind.rpartition("-")[2]
    return [*work, "--no-builtin", "--handlers", JOBS, "--executor", executor]


class Fleet:
    """Workers of ``kinds``; all their processes carry ``mark`` in their environment."""

    def __init__(self, kinds: Sequence[str], root: Path, url: str, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.deaths = 0
        self._folder = folder
        self._commands = {kind: command(kind, root, url) for kind in kinds}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._is_ending = threading.Event()
        self._nurse = threading.Thread(target=self._nurse_them, daemon=True)
        folder.mkdir(exist_ok=True)

    def start(self) -> None:
        for kind in self._commands:
            self._start(kind)
        self._nurse.start()

    def _start(self, kind: str) -> None:
        own = {"FATE_TYPE": kind, "FATE_FOLDER": str(self._folder), "FATE_MARK": self.mark, "FATE_DIST": DIST.as_uri()}
        with (self._folder / f"{kind}.log").open("ab") as log:
            self._processes[kind] = subprocess.Popen(self._commands[kind], env=environment(**SETTINGS, **own),
                                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _nurse_them(self) -> None:
        while not self._is_ending.wait(0.05):
            for kind, process in list(self._processes.items()):
                if process.poll() is not None:
                    self.deaths += 1
                    self._start(kind)

    def end(self) -> None:
        """Ask all to stop; they have."""
        self._is_ending.set()
        self._nurse.join(30)
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(30)

    def left_behind(self) -> list[str]:
        """The command lines of whatever carries the mark and lives."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("FATE_MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):
                pass  # another's, or gone
        return found

    def stamps(self) -> list[list[str]]:
        """(task, what, process, word) of every line the jobs wrote."""
        stamps = self._folder / "stamps"
        return [line.split() for line in stamps.read_text().splitlines()] if stamps.exists() else []

    def begun(self) -> set[str]:
        return {task_id for task_id, what, *_ in self.stamps() if what == "begin"}

    def logs(self) -> str:
        texts = {path.name: path.read_text(errors="replace")[-3000:] for path in self._folder.glob("*.log")}
        return "\n".join(f"{name}: {text}" for name, text in texts.items())


@contextmanager
def fleet(kinds: Sequence[str], root: Path, url: str, folder: Path) -> Iterator[Fleet]:
    made = Fleet(kinds, root, url, folder)
    made.start()
    try:
        yield made
    finally:
        made.end()
        try:
            eventually(lambda: not made.left_behind(), 20, "no process of the workers is left")
        finally:
            for process in psutil.process_iter():
                try:
                    if process.environ().get("FATE_MARK") == made.mark:
                        process.kill()
                except (psutil.Error, OSError):
                    pass  # another's, or gone
