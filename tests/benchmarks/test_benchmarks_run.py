"""The benchmarks are commands of the project, so they are kept running: each at a smoke size, its figures ignored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
RATIO_OF = {
    "engine_vs_disk": "claim + complete, fast",
    "engine_vs_peers": "submit, fast",
    "end_to_end": "end to end, fast",
    "over_http": "cycle, strict, 8 connections",
    "depth": "claim, p50",
    "several_workers": "four workers, fast",
    "latency": "p50 of others' requests meanwhile",
    "managed_performance": "tasks done per second",
    "todos_list": "a session and status, by due_date",
}
"""Command -> a row of its table that has a ratio whatever is installed here (peers may be absent)."""
NEEDS_A_PEER = {"engine_vs_peers", "end_to_end"}


def run(name: str, folder: Path, *options: str) -> tuple[str, list[dict[str, Any]]]:
    rows = folder / "rows.json"
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--quick", "--folder", str(folder), "--json", str(rows), *options],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, json.loads(rows.read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(RATIO_OF))
def test_every_command_runs_and_prints_ratios(name: str, tmp_path: Path) -> None:
    """A command ends with exit code 0, prints its table, and compares at least one pair of things."""
    printed, rows = run(name, tmp_path)
    compared = [row for row in rows if row["what"].startswith(RATIO_OF[name]) and row["ratio"] is not None]
    if name in NEEDS_A_PEER and not compared:
        assert all(row["note"].startswith("skipped: ") for row in rows), "no ratio, and no reason why"
        return
    assert compared, "no ratio"
    assert all(row["ratio"] > 0 for row in compared)
    assert "ratio" in printed.splitlines()[3], "the table has its head"


@pytest.mark.slow
def test_the_disk_benchmark_leaves_nothing_behind(tmp_path: Path) -> None:
    """What a benchmark wrote to the disk is gone when it has ended."""
    run("engine_vs_disk", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.json"]


def test_a_missed_bar_is_called_missed() -> None:
    """A ratio below its bar is reported as missed, one that reaches it as met, one without a bar as neither."""
    from benchmarks.measuring import Table, cells

    table = Table("t")
    for bar in (2.0, 1.5, None):
        table.at_least(bar, 1.5, target="1", what="w", ours="", other="")
    table.at_most(1.4, 1.5, target="1", what="w", ours="")
    table.at_most(50, 12, target="1", what="w", ours="12 ms", unit="ms")
    assert [cells(row)[6] for row in table.rows] == ["missed", "met", "", "missed", "met"]
    assert cells(table.rows[4])[4] == "", "a figure in milliseconds is no ratio"


def test_the_report_counts_what_is_met_and_lists_what_is_missed() -> None:
    """The report opens with how many bars are met, and names every one that is missed with its figure."""
    from benchmarks.__main__ import verdict
    from benchmarks.measuring import Table

    table = Table("t")
    table.at_least(2.0, 1.5, target="2", what="submit", ours="1/s", other="2/s peer")
    table.at_least(1.0, 1.5, target="2", what="claim", ours="1/s", other="2/s peer")
    table.skip(target="2", what="end to end", reason="not installed")
    said = list(verdict(table.rows))
    assert said[0] == "**1 of 2 bars met.** Missed:"
    assert said[2:] == ["- target 2, submit: 1.50x (1/s beside 2/s peer), asked >= 2x"]


def test_a_run_that_measured_nothing_leaves_the_report_that_stands(tmp_path: Path,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    """When every command failed, exit code 1, and an older report is not overwritten."""
    from benchmarks import __main__ as everything

    standing = tmp_path / "REPORT.md"
    standing.write_text("good figures", encoding="utf-8")
    monkeypatch.setattr(everything, "measured", lambda name, is_quick, folder: None)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "--report", str(standing)])
    assert everything.main() == 1
    assert standing.read_text(encoding="utf-8") == "good figures"
