"""Target 4: the bridge over HTTP, beside the original service and beside an empty Flask route on the same server.

    python -m benchmarks.over_http [--quick] [--folder DIR]

A cycle is submit, next, result, get result. The load comes from another process over raw connections. The original
is a reconstruction: see ``benchmarks/original_service.py``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import load
from benchmarks.measuring import WORK, Ground, Options, Table, ground, median, pair_of, rate, run
from benchmarks.processes import bridge, cpu_seconds, free_port, get, running
from taskspool.clock import IdMaker, SystemClock, to_text

CALLS = 4
"""Requests in a cycle."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its port, and the script its cycles follow."""

    port: int
    script: str
    process_id: int


@dataclass(slots=True)
class Seen:
    """What a server did in each round: requests a second, and its processor time per request in seconds."""

    per_second: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)


def measure(options: Options) -> Table:
    table = Table("Target 4: the bridge over HTTP, in turns")
    rounds, seconds = options.size(3, 1), 2.0 if not options.is_quick else 0.3
    with ground(options.folder) as place:
        _empty_queue(table, place, rounds, seconds)
        _full_queue(table, place, options.size(100_000, 300), options.size(3, 1))
    return table


@contextmanager
def ours(root: Path, durability: str) -> Iterator[Server]:
    port = free_port()
    with running(bridge(root, durability, port), port, root / "log.txt") as process:
        yield Server(port, "cycle", process.pid)


@contextmanager
def original(root: Path) -> Iterator[Server]:
    port = free_port()
    command = ["benchmarks.original_service", "--port", str(port), "--root", str(root)]
    with running(command, port, root / "log.txt") as process:
        yield Server(port, "old_cycle", process.pid)


@contextmanager
def empty(root: Path, kind: str) -> Iterator[Server]:
    port = free_port()
    with running(["benchmarks.empty_server", kind, "--port", str(port)], port, root / "log.txt") as process:
        yield Server(port, "empty", process.pid)


def _empty_queue(table: Table, place: Ground, rounds: int, seconds: float) -> None:
    with ExitStack() as stack:
        started = {
            "fast": stack.enter_context(ours(place.fresh(), "fast")),
            "strict": stack.enter_context(ours(place.fresh(), "strict")),
            "original": stack.enter_context(original(place.fresh())),
            "onion": stack.enter_context(empty(place.fresh(), "onion")),
            "bare": stack.enter_context(empty(place.fresh(), "bare")),
        }
        for connections in (1, 8):
            seen = _requests(started, connections, rounds, seconds)
            _cycles(table, seen, connections)
            _request_cost(table, seen, connections)


def _requests(servers: dict[str, Server], connections: int, rounds: int, seconds: float) -> dict[str, Seen]:
    """Server -> what it did in each round."""
    seen = {name: Seen() for name in servers}
    for _ in range(rounds):
        for name, server in servers.items():
            before = cpu_seconds(server.process_id)
            told = load.loaded(server.port, server.script, connections, seconds)
            after = cpu_seconds(server.process_id)
            seen[name].per_second.append(told["per_second"])
            if before is not None and after is not None:
                seen[name].cpu_seconds.append((after - before) / told["requests"])
    return seen


def _cycles(table: Table, seen: dict[str, Seen], connections: int) -> None:
    original = seen["original"].per_second
    for durability, bar in (("fast", 4.0), ("strict", 2.5)):
        pair = pair_of(seen[durability].per_second, original)
        table.at_least(bar, pair.ratio, target="4", what=f"cycle, {durability}, {_connections(connections)}",
                       ours=rate(pair.ours / CALLS), other=f"{rate(pair.other / CALLS)} original, empty queue")


def _request_cost(table: Table, seen: dict[str, Seen], connections: int) -> None:
    """The mean cost of the four requests of a cycle, beside that of an empty one."""
    at = _connections(connections)
    for kind, text, bar in (("onion", "empty route, same onion", 1.7), ("bare", "empty route, plain Flask", None)):
        pair = pair_of(seen[kind].per_second, seen["fast"].per_second)
        table.at_most(bar, pair.ratio, target="4", what=f"time of a bridge request, {at}",
                      ours=f"{1e6 / pair.other:.0f} us", other=f"{1e6 / pair.ours:.0f} us {text}")
    if seen["fast"].cpu_seconds:
        pair = pair_of(seen["fast"].cpu_seconds, seen["onion"].cpu_seconds)
        table.at_most(None, pair.ratio, target="4", what=f"processor time of a bridge request, {at}",
                      ours=f"{pair.ours * 1e6:.0f} us", other=f"{pair.other * 1e6:.0f} us empty route, same onion",
                      note="steadier than time while the machine does other work; with all threads of the server")


def _connections(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


def _full_queue(table: Table, place: Ground, pending: int, cycles: int) -> None:
    """Both with ``pending`` tasks waiting: how long one cycle takes."""
    theirs, mine = (filled(place.fresh(), pending) for _ in range(2))
    with original(theirs) as old:
        took_old = [_one_cycle(old) for _ in range(cycles)]
    with ours(mine, "fast") as new:
        wait_until(lambda: _waiting(new.port) >= pending)
        took_new = [_one_cycle(new) for _ in range(cycles * 20)]
    table.at_least(500, median(took_old) / median(took_new), target="4", what=f"cycle with {pending:,} pending, fast",
                   ours=f"{median(took_new) * 1000:.2f} ms", other=f"{median(took_old) * 1000:.1f} ms original")


def _one_cycle(server: Server) -> float:
    began = time.perf_counter()
    load.generate(server.port, server.script, 1, seconds=60.0, rounds=1)
    return time.perf_counter() - began


def _waiting(port: int) -> int:
    return int(get(port, "/api/stats", seconds=60.0)["pending_tasks"])


def wait_until(is_so: Callable[[], bool], seconds: float = 120.0, pause_seconds: float = 0.05) -> None:
    ends_at = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > ends_at:
            raise TimeoutError("it did not come to that in time")
        time.sleep(pause_seconds)


def filled(root: Path, count: int) -> Path:
    """``root`` with ``count`` waiting tasks in it, written as any program may write them."""
    tasks = root / "task_queue" / "tasks"
    tasks.mkdir(parents=True)
    ids, now = IdMaker(), to_text(SystemClock().now())
    for _ in range(count):
        task: dict[str, Any] = {"id": ids(), "type": "noop", "requester": "benchmark", "data": WORK,
                                "status": "pending", "created_at": now, "assigned_to": None, "updated_at": None}
        (tasks / f"{task['id']}.json").write_text(json.dumps(task, ensure_ascii=False), encoding="utf-8")
    return root


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
