"""Server processes to measure: started here, waited for, ended here, by their own process id."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_SECONDS = 60.0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def get(port: int, path: str, seconds: float = 5.0) -> dict[str, Any]:
    """Raises OSError while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        told: dict[str, Any] = json.loads(answer.read() or b"{}")
        return told
    except (http.client.HTTPException, ValueError) as error:
        raise OSError(str(error)) from error
    finally:
        connection.close()


def wait_for(port: int, process: subprocess.Popen[bytes], path: str = "/health") -> None:
    """Until ``path`` answers. Raises RuntimeError when the process ends first, or it takes too long."""
    ends_at = time.monotonic() + START_SECONDS
    while time.monotonic() < ends_at:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {process.returncode}")
        with contextlib.suppress(OSError):
            get(port, path)
            return
        time.sleep(0.02)
    raise RuntimeError("the server did not answer in time")


@contextmanager
def running(command: Sequence[str], port: int, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m command...`` until the block ends. What it says goes to the file ``log``."""
    with log.open("ab") as said:
        process = subprocess.Popen([sys.executable, "-m", *command], stdout=said, stderr=said,
                                   env={**os.environ, **environment})
        try:
            wait_for(port, process)
            yield process
        finally:
            end(process)


def end(process: subprocess.Popen[bytes], seconds: float = 10.0) -> float:
    """Ask it to stop, insist after ``seconds``, it and the processes it started; how long it took."""
    began = time.monotonic()
    started = children(process.pid) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    took = time.monotonic() - began
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, getattr(signal, "SIGKILL", signal.SIGTERM))
    return took


def children(process_id: int) -> list[int]:
    """The process ids of its children; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == process_id:
                found.append(int(path.parent.name))
    return found


def bridge(root: Path, durability: str, port: int) -> list[str]:
    """The command line of our real server."""
    return ["taskspool", "serve", "bridge", "--port", str(port), "--root", str(root), "--durability", durability]


def resident_mb(process_id: int) -> float | None:
    """Memory of one process (RSS); None where there is no /proc."""
    try:
        lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), None)


def cpu_seconds(process_id: int) -> float | None:
    """Processor time one process has used so far, all its threads; None where there is no /proc."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
