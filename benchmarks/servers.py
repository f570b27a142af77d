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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import load
from benchmarks.measuring import Ground, Options, Row, Table, ground, median, pair_of, rate, run
from benchmarks.processes import children, end, free_port, get, resident_mb, running

GRANIAN = ("granian", "--interface", "wsgi", "--no-ws", "--log-level", "warning", "--host", "127.0.0.1")
PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A server to compare: its name, and ``python -m`` what with the port at the end."""

    name: str
    command: tuple[str, ...]

    @property
    def is_granian(self) -> bool:
        return self.command[0] == "granian"


CANDIDATES = (
    Candidate("64 threads", (*GRANIAN, "--blocking-threads", "64", "benchmarks.server_apps:app", "--port")),
    Candidate("600 threads", (*GRANIAN, "--blocking-threads", "600", "benchmarks.server_apps:app", "--port")),
    Candidate("inline", ("benchmarks.server_apps", "inline", "--port")),
    Candidate("in a thread", ("benchmarks.server_apps", "pooled", "--port")),
)


def measure(options: Options) -> Table:
    table = Table("The HTTP server: one Flask app, an empty POST. Ours: uvicorn + our front (the view is called "
                  "inline, or in a thread), beside it = Granian, WSGI (its blocking threads)")
    candidates = CANDIDATES[2:3] if options.is_quick else CANDIDATES
    if importlib.util.find_spec("granian") is None:
        candidates = [one for one in candidates if not one.is_granian]
        table.skip(target="4", what="Granian", reason="granian is not installed")
    with ground(options.folder) as place:
        _requests(table, place, candidates, options)
        figures: dict[str, dict[Candidate, str]] = {}
        for candidate in candidates:
            for what, figure in _examined(candidate, place, options):
                figures.setdefault(what, {})[candidate] = figure
        for what, found in figures.items():
            table.rows.append(Row("4", what, *_told(found), None))
    return table


def _told(found: dict[Candidate, str]) -> tuple[str, str]:
    """Our candidates' figures in one text, Granian's in another."""
    ours = [f"{one.name} {figure}" for one, figure in found.items() if not one.is_granian]
    theirs = [f"{one.name} {figure}" for one, figure in found.items() if one.is_granian]
    return "; ".join(ours), "; ".join(theirs)


def _requests(table: Table, place: Ground, candidates: Sequence[Candidate], options: Options) -> None:
    """Requests a second, in turns; the ratio is ours inline to Granian with as many threads as polls need."""
    seconds, rounds = (0.2, 1) if options.is_quick else (1.5, 3)
    seen: dict[int, dict[Candidate, list[float]]] = {1: {}, 8: {}}
    with ExitStack() as stack:
        ports = {candidate: free_port() for candidate in candidates}
        for candidate, port in ports.items():
            stack.enter_context(running([*candidate.command, str(port)], port, place.fresh() / "log.txt"))
        for _ in range(rounds):
            for connections, figures in seen.items():
                for candidate, port in ports.items():
                    told = load.loaded(port, "empty", connections, seconds)
                    figures.setdefault(candidate, []).append(told["per_second"])
    for connections, figures in seen.items():
        named = {candidate.name: numbers for candidate, numbers in figures.items()}
        ratio = pair_of(named["inline"], named["600 threads"]).ratio if "600 threads" in named else None
        texts = _told({candidate: rate(median(numbers)) for candidate, numbers in figures.items()})
        at = "1 connection" if connections == 1 else f"{connections} connections"
        table.rows.append(Row("4", f"requests, {at}", *texts, ratio))


def _examined(candidate: Candidate, place: Ground, options: Options) -> Iterator[tuple[str, str]]:
    seconds, pause = (0.2, 0.2) if options.is_quick else (2.0, 2.0)
    held = options.size(400, 20)
    port = free_port()
    command = [*candidate.command, str(port)]
    with running(command, port, place.fresh() / "log.txt") as process:
        load.loaded(port, "empty", 8, seconds)
        yield "memory after some requests", _memory(process.pid)
        with beside(["benchmarks.load", json.dumps(_held(port, held))]):
            time.sleep(pause)
            yield f"requests while {held} long polls are held", _others(port, seconds)
            yield "memory meanwhile", _memory(process.pid)
    with running(command, port, place.fresh() / "log.txt") as process:
        slow = options.size(300, 20)
        with beside(["benchmarks.slow_clients", str(port), str(slow), str(seconds + 6)]):
            time.sleep(pause)
            yield f"requests beside {slow} slow clients", _others(port, seconds)
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
        seen = load.loaded(port, "empty", 8, seconds, patience=PATIENCE_SECONDS)
    except RuntimeError:
        return f"no answer within {seconds + PATIENCE_SECONDS:.0f} s"
    return f"{rate(seen['per_second'])}, p99 {seen['p99_ms']:.1f} ms"


def _memory(process_id: int) -> str:
    sizes = [resident_mb(one) for one in (process_id, *children(process_id))]
    known = [size for size in sizes if size is not None]
    return f"{sum(known):.0f} MB in {len(known)} process{'es' if len(known) > 1 else ''}" if known else "unknown here"


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
