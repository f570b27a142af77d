"""The bridge under strace, which kills it at the Nth system call of a kind: at its entry, so the call is not made."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from faults.server_load import ENVIRONMENT, LEASE_SECONDS
from waiting import eventually

KINDS = {
    "open": "?open,openat",
    "rename": "?rename,?renameat,?renameat2",
    "link": "?link,?linkat",
    "unlink": "?unlink,?unlinkat,?rmdir",
    "sync": "fsync,?fdatasync,syncfs",
    "write": "write",
    "any": "%file,fsync,syncfs,write",
}
"""What strace calls the system calls of a kind, on every machine. It counts each call, and each thread, apart."""

LATEST = {"open": 300, "rename": 30, "link": 12, "unlink": 12, "sync": 30, "write": 40, "any": 300}
"""The latest call of a kind worth dying at: by then tasks have been accepted, done and swept."""
_KILLED = re.compile(r"^\d+ +(?:(\w+)\(|<\.\.\. (\w+) resumed>).* = \?$", re.MULTILINE)
_UNFINISHED = re.compile(r"^\d+ +(\w+)\(.*()<unfinished \.\.\.>$", re.MULTILINE)


@dataclass(frozen=True)
class Blow:
    """Die at the entry of the ``number``-th call (from 1) of ``kind`` that any one thread makes."""

    kind: str
    number: int


class TracedServer:
    """A bridge that dies again and again on one folder. ``url`` is where it is now, '' while it is nowhere."""

    def __init__(self, root: Path) -> None:
        self.url = ""
        self.was_up = False
        self._root = root
        self._log = root / "server.log"
        self._calls = root / "calls.log"
        self._child = 0
        self._tracer: subprocess.Popen[bytes] | None = None
        self._source = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("start_server.py"))], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={**ENVIRONMENT, "PYTHONUNBUFFERED": "1"})

    def start(self, blow: Blow) -> None:
        """Start it under strace, from its first instruction after the imports. Does not wait for anything."""
        self._end_child()
        self._log.unlink(missing_ok=True)
        self._calls.unlink(missing_ok=True)
        arguments = ["serve", "bridge", "--port", "0", "--root", str(self._root / "out"), "--lease-seconds",
                     str(LEASE_SECONDS)]
        assert self._source.stdin is not None
        assert self._source.stdout is not None
        self._source.stdin.write(json.dumps({"arguments": arguments, "log": str(self._log)}) + "\n")
        self._source.stdin.flush()
        self._child = int(self._source.stdout.readline())
        self.was_up = False
        self._tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-p", str(self._child), "-o", str(self._calls), "-e", f"trace={KINDS[blow.kind]}",
             "-e", f"inject={KINDS[blow.kind]}:signal=KILL:when={blow.number}"], stderr=subprocess.DEVNULL)
        eventually(self._is_traced, why="strace must attach")
        os.kill(self._child, signal.SIGCONT)

    def _is_traced(self) -> bool:
        assert self._tracer is not None
        assert self._tracer.poll() is None, "strace cannot attach"
        status = Path(f"/proc/{self._child}/status").read_text(encoding="ascii", errors="replace")
        return "TracerPid:\t0\n" not in status

    def is_dead(self) -> bool:
        """Whether the blow has fallen. Finds out its address as soon as there is one."""
        assert self._tracer is not None
        if self._tracer.poll() is not None:
            self.url = ""
            return True
        if not self.url or not self.was_up:
            found = re.search(rb"listens on (http://\S+),", self._log.read_bytes() if self._log.exists() else b"")
            self.was_up = found is not None
            self.url = found[1].decode() if found else ""
        return False

    def last_call(self) -> str:
        """The name of the call it died at; '' when it was killed from outside."""
        said = self._calls.read_text(encoding="utf-8", errors="replace") if self._calls.exists() else ""
        for pattern in (_KILLED, _UNFINISHED):
            if found := pattern.search(said):
                return found[1] or found[2]
        return ""

    def said(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""

    def _end_child(self) -> None:
        if self._tracer is not None:
            with suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)
            self._tracer.wait(10)
            self._tracer = None
        self.url = ""

    def end(self) -> None:
        """Kill it, and no more starts. May be called again."""
        self._end_child()
        assert self._source.stdin is not None
        self._source.stdin.close()
        self._source.wait(10)


def has_strace() -> bool:
    """Whether there is a strace here that can attach to another process."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "5"]) as sleeper:
        try:
            tracer = subprocess.run(["strace", "-qq", "-e", "trace=none", "-p", str(sleeper.pid)], timeout=0.5,
                                    capture_output=True)
        except subprocess.TimeoutExpired:
            return True     # attached, and stays so
        finally:
            sleeper.kill()
    return tracer.returncode == 0
