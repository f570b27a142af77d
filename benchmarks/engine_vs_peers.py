"""Target 2: the engine against other queues, the same 300 bytes of work, in the same run and on the same disk.

    python -m benchmarks.engine_vs_peers [--quick] [--folder DIR]

One process, one thread, first all enqueued, then all taken and acknowledged. Ours keeps every task and writes a result
for each; the peers throw theirs away. End to end with a worker process: ``benchmarks.end_to_end``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks import peers
from benchmarks.bare import all_at_once
from benchmarks.engine_vs_disk import CALLERS, opened, submit, work_off
from benchmarks.measuring import WORK, Ground, Options, Table, ground, median, pair_of, per_second, rate, run

PAYLOAD = json.dumps({"type": "noop", "data": WORK}, ensure_ascii=False).encode()


@dataclass(slots=True)
class Figures:
    """What one queue did in each round, per second."""

    enqueued: list[float] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    absent: str = ""


def measure(options: Options) -> Table:
    table = Table("Target 2: the engine against other queues, in turns")
    rounds, count = options.size(3, 1), options.size(2000, 20)
    with ground(options.folder) as place:
        fast, strict = Figures(), Figures()
        others = {kind: Figures() for kind in peers.KINDS}
        for _ in range(rounds):
            _ours(place, "fast", count, fast)
            _ours(place, "strict", max(20, count // 8), strict)
            for kind, figures in others.items():
                _peer(place, kind, count, figures)
        for kind, figures in others.items():
            _compare(table, kind, figures, fast)
        for kind, figures in others.items():
            if kind.is_durable and not figures.absent:
                _inform(table, kind, figures, strict)
        _durable_callers(table, place, rounds, options.size(100, 3))
    return table


def _ours(place: Ground, durability: Literal["strict", "fast"], count: int, figures: Figures) -> None:
    queue = opened(place.fresh(), durability)
    figures.enqueued.append(per_second(count, lambda: submit(queue, count)))
    figures.taken.append(per_second(count, lambda: work_off(queue, count)))
    queue.close()


def _peer(place: Ground, kind: peers.Kind, count: int, figures: Figures) -> None:
    try:
        peer = peers.open_peer(kind, place.fresh())
    except peers.Absent as error:
        figures.absent = str(error)
        return
    try:
        figures.enqueued.append(per_second(count, lambda: _repeat(count, lambda: peer.enqueue(PAYLOAD))))
        figures.taken.append(per_second(count, lambda: _repeat(count, peer.take)))
    finally:
        peer.close()


def _repeat(count: int, action: Callable[[], Any]) -> None:
    for _ in range(count):
        action()


def _compare(table: Table, kind: peers.Kind, theirs: Figures, ours: Figures) -> None:
    if theirs.absent:
        table.skip(target="2", what=f"{kind.name}", reason=theirs.absent)
        return
    submit_bar, take_bar = peers.BARS.get(kind.name, (None, None))
    note = "it is durable, ours here is not" if kind.is_durable else ""
    for what, bar, mine, its in (("submit", submit_bar, ours.enqueued, theirs.enqueued),
                                 ("claim + complete", take_bar, ours.taken, theirs.taken)):
        pair = pair_of(mine, its)
        table.at_least(bar, pair.ratio, target="2", what=f"{what}, fast", ours=rate(pair.ours),
                       other=f"{rate(pair.other)} {kind.name}", note=note)


def _inform(table: Table, kind: peers.Kind, theirs: Figures, ours: Figures) -> None:
    for what, mine, its in (("submit", ours.enqueued, theirs.enqueued), ("claim + complete", ours.taken, theirs.taken)):
        pair = pair_of(mine, its)
        table.at_least(None, pair.ratio, target="2", what=f"{what}, durable, 1 caller", ours=rate(pair.ours),
                       other=f"{rate(pair.other)} {kind.name}")


def _durable_callers(table: Table, place: Ground, rounds: int, each: int) -> None:
    """Many callers at once, each waiting until its work is safe: what a server does."""
    bars = {"huey SqliteStorage": 1.5, "PostgreSQL SKIP LOCKED": 2.0}
    ours: list[float] = []
    others: dict[str, list[float]] = {}
    for _ in range(rounds):
        queue = opened(place.fresh(), "strict")
        ours.append(per_second(each * CALLERS, lambda: all_at_once(CALLERS, lambda _: submit(queue, each))))
        queue.close()
        for kind in peers.KINDS:
            if kind.has_many_callers:
                _callers_of(kind, place.fresh(), each, others.setdefault(kind.name, []))
    for name, figures in others.items():
        what = f"submit, durable, {CALLERS} callers"
        if len(figures) < rounds:
            table.skip(target="2", what=f"{what}, {name}", reason="not here")
            continue
        pair = pair_of(ours, figures)
        table.at_least(bars[name], pair.ratio, target="2", what=what, ours=rate(median(ours)),
                       other=f"{rate(pair.other)} {name}")


def _callers_of(kind: peers.Kind, folder: Path, each: int, figures: list[float]) -> None:
    try:
        peer = peers.open_peer(kind, folder)
    except peers.Absent:
        return
    callers = [peer.another() if isinstance(peer, peers.PostgreSQL) else peer for _ in range(CALLERS)]
    try:
        figures.append(per_second(each * CALLERS, lambda: all_at_once(
            CALLERS, lambda caller: _repeat(each, lambda: callers[caller].enqueue(PAYLOAD)))))
    finally:
        for caller in callers:
            if caller is not peer:
                caller.close()
        peer.close()


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
