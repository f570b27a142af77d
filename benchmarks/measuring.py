"""How everything here is measured: two things side by side in one run, in turns, in fresh folders; medians of ratios.

Absolute numbers drift with the machine and its other work; a ratio of two measurements a moment apart holds.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

WORK = {"text": "x" * 180, "numbers": [1, 2, 3], "unit": "grüße", "deep": {"a": [True, None, 1.5], "b": "y" * 40}}
"""The data of every task measured: about 300 bytes of JSON."""
SPREADS_CHILDREN = 0x00020000
"""FS_TOPDIR_FL of ext4: folders below are laid far apart on the disk, as below the root."""
KEEP = "BENCHMARK_KEEP"
"""Set by ``python -m benchmarks``, which deletes what all its commands wrote when the last has ended."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table. ``ratio`` is the figure; ``bar`` what performance.md asks of it ("" when it asks nothing).

    ``is_met`` None: no bar, or not measured (``note`` says why).
    """

    target: str
    what: str
    ours: str
    other: str
    ratio: float | None
    bar: str = ""
    is_met: bool | None = None
    note: str = ""


@dataclass(slots=True)
class Table:
    """What one command found out."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def at_least(self, bar: float | None, ratio: float, *, target: str, what: str, ours: str, other: str,
                 note: str = "") -> None:
        """A row whose ratio has to reach ``bar`` (None: for information)."""
        self.rows.append(Row(target, what, ours, other, ratio, "" if bar is None else f">= {bar:g}x",
                             None if bar is None else ratio >= bar, note))

    def at_most(self, bar: float | None, figure: float, *, target: str, what: str, ours: str, other: str = "",
                unit: str = "x", note: str = "") -> None:
        """A row whose figure must not pass ``bar`` (None: for information)."""
        self.rows.append(Row(target, what, ours, other, figure if unit == "x" else None,
                             "" if bar is None else f"<= {bar:g}{unit if unit == 'x' else ' ' + unit}",
                             None if bar is None else figure <= bar, note))

    def skip(self, *, target: str, what: str, reason: str) -> None:
        self.rows.append(Row(target, what, "", "", None, note=f"skipped: {reason}"))

    def print(self) -> None:
        print(f"\n{self.title}\n")
        for line in aligned([HEAD, *(cells(row) for row in self.rows)]):
            print(line)
        sys.stdout.flush()


HEAD = ("target", "what", "ours", "beside it", "ratio", "bar", "", "note")


def cells(row: Row) -> tuple[str, ...]:
    verdict = {True: "met", False: "missed", None: ""}[row.is_met]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x" if row.ratio < 20 else f"{row.ratio:.0f}x"
    return (row.target, row.what, row.ours, row.other, ratio, row.bar, verdict, row.note)


def aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def per_second(count: int, action: Callable[[], object]) -> float:
    """How many of the ``count`` things that ``action`` does are done in a second."""
    began = time.perf_counter()
    action()
    return count / (time.perf_counter() - began)


def rate(number: float) -> str:
    return f"{number / 1000:.1f}k/s" if number >= 1000 else f"{number:.0f}/s"


def median(numbers: Sequence[float]) -> float:
    return statistics.median(numbers)


def percentile(numbers: Sequence[float], percent: float) -> float:
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


@dataclass(frozen=True, slots=True)
class Pair:
    """What two things did in a second, and the ratio."""

    ours: float
    other: float
    ratio: float


Measurement = Callable[[Path], float]
"""Does its work in the fresh folder given; how much of it a second."""


def in_turns(ground: Ground, rounds: int, *measurements: Measurement) -> list[list[float]]:
    """Each measurement once a round, every round in another order, each time in a fresh folder."""
    figures: list[list[float]] = [[] for _ in measurements]
    for number in range(rounds):
        order = list(range(len(measurements)))
        for index in order[number % len(order):] + order[: number % len(order)]:
            figures[index].append(measurements[index](ground.fresh()))
    return figures


def side_by_side(ground: Ground, rounds: int, ours: Measurement, other: Measurement) -> Pair:
    """Many short rounds in turns: the medians, and the median of the rounds' ratios."""
    return pair_of(*in_turns(ground, rounds, ours, other))


def pair_of(ours: Sequence[float], other: Sequence[float]) -> Pair:
    """The medians of two rows of rounds, and the median of the rounds' ratios."""
    ratios = [mine / theirs for mine, theirs in zip(ours, other, strict=True)]
    return Pair(median(ours), median(other), median(ratios))


class Ground:
    """Fresh folders on the disk that is measured. Nothing is deleted before the end.

    On an ext4 without a journal, creating files where many were just unlinked is 20 times slower (inodes freshly
    freed are passed over): so nothing is unlinked between rounds, and the folders are spread over the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def fresh(self) -> Path:
        self._made += 1
        path = self.folder / f"{time.time_ns():x}-{self._made}"
        path.mkdir()
        return path


@contextmanager
def ground(parent: Path | None) -> Iterator[Ground]:
    folder = Path(tempfile.mkdtemp(prefix="taskspool-benchmark-", dir=parent))
    spread_children(folder)
    try:
        yield Ground(folder)
    finally:
        if KEEP not in os.environ:
            shutil.rmtree(folder, ignore_errors=True)


def spread_children(folder: Path) -> None:
    """chattr +T where that exists; elsewhere nothing is lost but a little steadiness."""
    try:
        import fcntl  # not on Windows

        descriptor = os.open(folder, os.O_RDONLY)
        try:
            flags = int.from_bytes(fcntl.ioctl(descriptor, 0x80086601, bytes(8)), sys.byteorder)
            fcntl.ioctl(descriptor, 0x40086602, (flags | SPREADS_CHILDREN).to_bytes(8, sys.byteorder))
        finally:
            os.close(descriptor)
    except (ImportError, OSError):
        return


@dataclass(frozen=True, slots=True)
class Options:
    """``is_quick``: a smoke size, its ratios mean nothing. ``folder``: on which disk to measure (None: temporary)."""

    is_quick: bool
    folder: Path | None
    json_file: Path | None

    def size(self, usual: int, quick: int) -> int:
        return quick if self.is_quick else usual


def run(description: str, measure: Callable[[Options], Table]) -> int:
    """The command around ``measure``: its options, its table on stdout. Exit code 0: measured, met or not."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smoke size of seconds; its figures mean nothing")
    parser.add_argument("--folder", type=Path, help="measure on this folder's disk (usual: the temporary folder's)")
    parser.add_argument("--json", type=Path, dest="json_file", metavar="FILE", help="write the rows there too")
    given = parser.parse_args()
    table = measure(Options(given.quick, given.folder, given.json_file))
    table.print()
    if given.json_file is not None:
        given.json_file.write_text(json.dumps([asdict(row) for row in table.rows]), encoding="utf-8")
    return 0
