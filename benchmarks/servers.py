"""The measurement behind docs/decisions/0002-http-server.md: Granian (WSGI) beside our own front on uvicorn.

    python -m benchmarks.servers [--quick]

The same Flask app on each, three routes, no queue: requests a second, what 400 held long polls and 300 slow clients
do to others, memory, how long a stop takes, and what a kill -9 of the main process leaves behind.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.measuring import Ground, Options, Row, Table, ground, rate, run
from benchmarks.processes import end, free_port, get, resident_mb, running

GRANIAN = ["granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning", "--host", "127.0.0.1"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server to compare: its name, and ``python -m`` what with the port at the end."""

    name: str
    command: Sequence[str]


CANDIDATES = (
    Candidate("Granian, WSGI, 64 threads", [*GRANIAN, "--blocking-threads", "64", "benchmarks.server_apps:app",
                                            "--port"]),
    Candidate("Granian, WSGI, 600 threads", [*GRANIAN, "--blocking-threads", "600", "benchmarks.server_apps:app",
                                             "--port"]),
    Candidate("uvicorn + our front, inline", ["benchmarks.server_apps", "inline", "--port"]),
    Candidate("uvicorn + our front, thread", ["benchmarks.server_apps", "pooled", "--port"]),
)


def measure(options: Options) -> Table:
    table = Table("The HTTP server: the same Flask app, an empty POST")
    with ground(options.folder) as place:
        for candidate in CANDIDATES[1:3] if options.is_quick else CANDIDATES:
            if candidate.command[0] == "granian" and importlib.util.find_spec("granian") is None:
                table.skip(target="4", what=candidate.name, reason="granian is not installed")
                continue
            for what, figure in _examined(candidate, place, options):
                table.rows.append(Row("4", candidate.name, figure, what, None))
    return table


def _examined(candidate: Candidate, place: Ground, options: Options) -> Iterator[tuple[str, str]]:
    seconds = 0.2 if options.is_quick else 2.0
    pause = 0.2 if options.is_quick else 2.0
    port = free_port()
    command = [*candidate.command, str(port)]
    with running(command, port, place.fresh() / "log.txt") as process:
        yield "requests with 1 connection", rate(load.loaded(port, "empty", 1, seconds)["per_second"])
        yield "requests with 8 connections", rate(load.loaded(port, "empty", 8, seconds)["per_second"])
        yield "memory after that", _memory(process.pid)
        with beside(["benchmarks.load", json.dumps(_held(port, options.size(400, 20)))]):
            time.sleep(pause)
            yield f"the same while {options.size(400, 20)} long polls are held", _others(port, seconds)
            yield "memory meanwhile", _memory(process.pid)
    with running(command, port, place.fresh() / "log.txt") as process:
        slow = options.size(300, 20)
        with beside(["benchmarks.slow_clients", str(port), str(slow), str(seconds + 6)]):
            time.sleep(pause)
            yield f"the same beside {slow} slow clients", _others(port, seconds)
    with running(command, port, place.fresh() / "log.txt") as process, \
            beside(["benchmarks.load", json.dumps(_held(port, 50))]):
        time.sleep(pause / 2)
        yield "a stop (SIGTERM) with 50 held polls took", f"{end(process, 20):.1f} s"
    yield "after kill -9 of the main process", _after_kill(command, port, place.fresh() / "log.txt")


def _held(port: int, count: int) -> dict[str, object]:
    return {"port": port, "script": "wait", "connections": count, "seconds": 1.0, "rounds": 1}


@contextmanager
def beside(command: Sequence[str]) -> Iterator[None]:
    """``python -m command`` in the background, ended with the block."""
    process = subprocess.Popen([sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        end(process, 0.5)


def _others(port: int, seconds: float) -> str:
    try:
        seen = load.loaded(port, "empty", 8, seconds)
    except RuntimeError as error:
        return f"no answer ({error})"
    return f"{rate(seen['per_second'])}, p99 {seen['p99_ms']:.1f} ms"


def _memory(process_id: int) -> str:
    sizes = [resident_mb(one) for one in (process_id, *children(process_id))]
    known = [size for size in sizes if size is not None]
    return f"{sum(known):.0f} MB in {len(known)} process{'es' if len(known) > 1 else ''}" if known else "unknown here"


def children(process_id: int) -> list[int]:
    """The process ids of its children; none where there is no /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == process_id:
                found.append(int(path.parent.name))
    return found


def _after_kill(command: Sequence[str], port: int, log: Path) -> str:
    """Kill the main process and look whether somebody still answers on its port, then end what is left."""
    if sys.platform == "win32":
        return "not measured on Windows"
    with running(command, port, log) as process:
        left = children(process.pid)
        process.kill()
        process.wait(10)
        time.sleep(1.5)
        still = [one for one in left if Path(f"/proc/{one}").exists()]
        answers = _answers(port)
        for one in still:  # children of the server started here, by their own ids
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    return f"{len(still)} process{'es' if len(still) != 1 else ''} left, the port " + (
        "is still answered" if answers else "is free")


def _answers(port: int) -> bool:
    try:
        get(port, "/health", 2.0)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
