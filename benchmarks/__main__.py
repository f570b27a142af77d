"""All targets, one after the other, and the report: ``python -m benchmarks [--quick] [--report FILE]``.

Each command runs in a process of its own. The report tells ratios of things measured side by side in the same run,
each target with its bar, the figure, and met or missed. Exit code 0 when everything ran, whatever the figures say.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measuring import HEAD, KEEP, Row, cells, spread_children

COMMANDS = ("engine_vs_disk", "engine_vs_peers", "end_to_end", "several_workers", "over_http", "latency", "servers",
            "depth", "todos_list", "managed_performance")
REPORT = Path(__file__).with_name("REPORT.md")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke size; its figures mean nothing")
    parser.add_argument("--folder", type=Path, help="measure on this folder's disk (usual: the temporary folder's)")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report goes")
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=COMMANDS, help="run these alone")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="taskspool-benchmarks-", dir=given.folder) as place:  # see measuring.KEEP
        spread_children(Path(place))
        sections = [(name, measured(name, given.quick, Path(place))) for name in given.only]
    if all(rows is None for _, rows in sections):
        print("\nnothing was measured: the report that stands is left as it is", file=sys.stderr)
        return 1
    folder = given.folder or Path(tempfile.gettempdir())
    given.report.write_text("\n".join(report(sections, folder, is_quick=given.quick)) + "\n", encoding="utf-8")
    print(f"\n{given.report.name} is written")
    return 0 if all(rows is not None for _, rows in sections) else 1


def measured(name: str, is_quick: bool, folder: Path) -> list[Row] | None:
    """The rows of one command; None when it failed (what it said stands on the screen)."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        rows = Path(place) / "rows.json"
        options = ["--json", str(rows), *(["--quick"] if is_quick else [])]
        options += ["--folder", str(folder)]
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *options], check=False, env=environment())
        if done.returncode != 0:
            return None
        return [Row(**row) for row in json.loads(rows.read_text(encoding="utf-8"))]


def environment() -> dict[str, str]:
    """This tree's own package is measured, installed or not; the commands start further processes, which inherit it."""
    root = Path(__file__).parents[1]
    paths = [str(root / "src"), str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), KEEP: "1"}


def report(sections: Sequence[tuple[str, list[Row] | None]], folder: Path, *, is_quick: bool) -> Iterator[str]:
    yield "# What taskspool does in a second, beside what others do"
    yield ""
    yield f"Written by `python -m benchmarks` on {datetime.now(UTC):%d %B %Y}. {machine(folder)}"
    yield "Ratios hold, absolute numbers drift: each row's two figures were measured in turns, in the same run, and the"
    yield "ratio is the median of the rounds' ratios. The targets are in the head of each command's file."
    if is_quick:
        yield ""
        yield "**A smoke run (`--quick`): the sizes are tiny, the figures mean nothing.**"
    yield ""
    yield from verdict([row for _, rows in sections for row in rows or []])
    for name, rows in sections:
        yield from section(name, rows)


def verdict(rows: Sequence[Row]) -> Iterator[str]:
    met = sum(row.is_met is True for row in rows)
    missed = [row for row in rows if row.is_met is False]
    yield f"**{met} of {met + len(missed)} bars met.**" + (" Missed:" if missed else "")
    yield ""
    for row in missed:
        figure = row.ours if row.ratio is None else f"{row.ratio:.2f}x ({row.ours} beside {row.other})"
        yield f"- target {row.target}, {row.what}: {figure}, asked {row.bar}"


def section(name: str, rows: list[Row] | None) -> Iterator[str]:
    yield ""
    yield f"## `python -m benchmarks.{name}`"
    yield ""
    if rows is None:
        yield "It failed; nothing was measured."
        return
    table = [cells(row) for row in rows]
    kept = [column for column in range(len(HEAD)) if any(line[column] for line in table)]
    yield "| " + " | ".join(HEAD[column] for column in kept) + " |"
    yield "|" + " --- |" * len(kept)
    for line in table:
        yield "| " + " | ".join(line[column].replace("|", "\\|") for column in kept) + " |"


def machine(folder: Path) -> str:
    """The machine in words: no path, no host name."""
    cores = os.cpu_count() or 1
    busy = f", load {os.getloadavg()[0]:.1f} when it was written" if hasattr(os, "getloadavg") else ""
    return (f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {cores} cores"
            f"{memory()}, {disk(folder)}{busy}.")


def memory() -> str:
    try:
        total: Any = Path("/proc/meminfo").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return ""
    return f", {int(total) / 1048576:.0f} GiB"


def disk(folder: Path) -> str:
    """The kind of file system measured on; whether an ext4 has a journal matters most for fsync."""
    try:
        mounts = [line.split()[:4] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return "the file system's kind is not known"
    at = str(folder.resolve())
    fitting = [mount for mount in mounts if at == mount[1] or at.startswith(mount[1].rstrip("/") + "/")]
    if not fitting:
        return "the file system's kind is not known"
    device, _, kind, _ = max(fitting, key=lambda mount: len(mount[1]))
    if kind != "ext4":
        return f"on {kind}"
    has_journal = any(path.name.startswith(Path(device).name + "-") for path in Path("/proc/fs/jbd2").glob("*"))
    return f"on ext4 {'with' if has_journal else 'without'} a journal"


if __name__ == "__main__":
    sys.exit(main())
