"""Target 3: a queue of 1,000 beside one of 1,000,000 waiting tasks: claim, list, statistics, start-up, memory.

    python -m benchmarks.depth [--quick] [--folder DIR]

Each figure comes from a fresh process on the folder (``benchmarks.depth_probe``), with its sweeper running. The
million takes about 4 GiB of disk and some minutes to make.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measuring import Options, Table, ground, median, run

DEPTHS = (1_000, 100_000, 1_000_000)
QUICK_DEPTHS = (100, 1_000)
START_SECONDS = 5.0
MEMORY_MIB = 400.0
ROUNDS = 9
FIGURES = {
    "claim_us": ("claim", 1.2, "us"), "list_ms": ("a page of 50, newest first", 2.0, "ms"),
    "list_type_ms": ("a page of 50 of one type", 2.0, "ms"),
    "list_priority_ms": ("a page of 50, highest priority first", 2.0, "ms"),
    "deep_page_ms": ("the page behind the first", 2.0, "ms"),
    "waiting_ms": ("what waits, 10 (GET /api/tasks)", 2.0, "ms"), "statistics_ms": ("statistics", 2.0, "ms"),
    "counts_ms": ("counts (GET /api/stats)", 2.0, "ms"),
}
"""Figure of the probe -> what it is, the most it may grow by, its unit."""


def measure(options: Options) -> Table:
    table = Table("Target 3: depth; the same work with few and with very many tasks waiting")
    depths = QUICK_DEPTHS if options.is_quick else DEPTHS
    with ground(options.folder) as place:
        roots = {depth: place.fresh() for depth in depths}
        for depth, root in roots.items():
            subprocess.run(_command(root, "fill", depth), check=True)
        for depth in depths[1:]:
            with Probe(roots[depths[0]], depths[0]) as few, Probe(roots[depth], depth) as many:
                rounds = [(few.round(), many.round()) for _ in range(options.size(ROUNDS, 1))]
            _compare(table, rounds, depths[0], depth)
            _start(table, many.found, f"start with {depth:,} waiting")
            _start_without_index(table, roots[depth], depth)
    return table


def _command(root: Path, what: str, depth: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.depth_probe", str(root), what, str(depth)]


class Probe:
    """A process that has the queue below ``root`` open from ``with`` to its end. ``found``: what its start told."""

    def __init__(self, root: Path, depth: int) -> None:
        self._command = _command(root, "start", depth)
        self.found: dict[str, Any] = {}

    def __enter__(self) -> Probe:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.found = self._heard()
        return self

    def round(self) -> dict[str, Any]:
        """One round of figures."""
        print(file=self._process.stdin, flush=True)
        return self._heard()

    def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def __exit__(self, *failure: object) -> None:
        self._process.communicate()


def _compare(table: Table, rounds: list[tuple[dict[str, Any], dict[str, Any]]], shallow: int, depth: int) -> None:
    """The medians of rounds in turns, and of their ratios."""
    for name, (what, bar, unit) in FIGURES.items():
        few, many = ([one[name] for one in side] for side in zip(*rounds, strict=True))
        ratio = median([mine / other for mine, other in zip(many, few, strict=True)])
        table.at_most(bar, ratio, target="3", what=f"{what}, p50, {depth:,} waiting",
                      ours=f"{median(many):.2f} {unit}", other=f"{median(few):.2f} {unit} with {shallow:,}")


def _start(table: Table, found: dict[str, Any], what: str) -> None:
    table.at_most(START_SECONDS, found["first_claim_s"], target="3", what=f"{what}: first claim", unit="s",
                  ours=f"{found['first_claim_s']:.2f} s", note=f"all in line after {found['full_s']:.1f} s")
    table.at_most(MEMORY_MIB, found["peak_mib"], target="3", what=f"{what}: memory at its highest", unit="MiB",
                  ours=f"{found['peak_mib']:.0f} MiB", note=f"{found['memory_mib']:.0f} MiB at the end")


def _start_without_index(table: Table, root: Path, depth: int) -> None:
    for path in (root / "task_queue").glob("index.sqlite*"):
        path.unlink()
    with Probe(root, depth) as probe:
        pass
    _start(table, probe.found, f"start with {depth:,} waiting and no index")


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
