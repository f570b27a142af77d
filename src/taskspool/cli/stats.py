"""``taskspool stats``: how many, how well, how long, how fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import place
from taskspool.cli.printing import age_text, echo_json, safe, table
from taskspool.clock import SystemClock, from_text
from taskspool.engine.task import State

HEADS = ("WAIT", "RUN", "DONE", "DEAD", "CANCELLED", "GOOD")
TIMES = ("MEAN", "P50", "P90", "P99")


@click.command()
@click.option("--type", "type_", metavar="TYPE", help="Only this type.")
@click.option("--group", metavar="NAME", help="Only this group.")
@url_option
@folder_options
@json_option
def stats(type_: str | None, group: str | None, url: str | None, root: Path | None, queue: str | None,
          as_json: bool) -> int:
    """Count tasks by type and by group: how many ended well, how long they took, how many a minute.

    Times are those of whole runs, from claim to result; half of them took at most P50, 99 in a hundred at most P99.
    """
    with place(url, root, queue) as asked:
        told = asked.stats(type_, group)
    if as_json:
        echo_json(told)
        return ExitCode.OK
    now = SystemClock().now()
    rows = [(safe(name), *_counts(counts), *_times(counts.get("durations")))
            for name, counts in sorted(told["by_type"].items())]
    if type_ is None and group is None:
        rows.append((click.style("all", bold=True), *_counts(told["by_state"]), *_times(told["durations"])))
    click.echo(table(("TYPE", *HEADS, *TIMES), rows))
    if told["by_group"] and type_ is None:
        click.echo()
        click.echo(table(("GROUP", *HEADS), [(safe(name), *_counts(counts))
                                             for name, counts in sorted(told["by_group"].items())]))
    click.echo()
    for line in _pace(told, now):
        click.echo(line)
    return ExitCode.OK


def _counts(counts: Mapping[str, Any]) -> Sequence[str]:
    waiting = counts.get(State.READY, 0) + counts.get(State.SCHEDULED, 0)
    done, dead = counts.get(State.DONE, 0), counts.get(State.DEAD, 0)
    good = f"{100 * done / (done + dead):.1f} %" if done + dead else "-"
    return (*map(str, (waiting, counts.get(State.CLAIMED, 0), done, dead, counts.get(State.CANCELLED, 0))), good)


def _times(durations: Mapping[str, Any] | None) -> Sequence[str]:
    if durations is None:
        return ("-",) * len(TIMES)
    return tuple(span_of(durations[f"{name.lower()}_ms"]) for name in TIMES)


def span_of(milliseconds: float) -> str:
    """``3 ms``, ``1.2 s``, ``5.0 m``, ``2.1 h``."""
    for size, unit in ((3_600_000.0, "h"), (60_000.0, "m"), (1000.0, "s")):
        if milliseconds >= size:
            return f"{milliseconds / size:.1f} {unit}"
    return f"{milliseconds:.0f} ms" if milliseconds >= 1 else "<1 ms"


def _pace(told: Mapping[str, Any], now: datetime) -> list[str]:
    minutes = told["throughput"]
    recent = [minute for minute in minutes if from_text(minute["at"]) > now - timedelta(minutes=61)]
    number = sum(minute["completed"] + minute["failed"] + minute["cancelled"] for minute in recent)
    lines = [f"finished in the last hour: {number}" + (f" ({number / 60:.1f} a minute)" if number else "")]
    if told.get("oldest_pending_at"):
        lines.append(f"the oldest that waits: {age_text(from_text(told['oldest_pending_at']), now)}")
    if not told.get("is_complete", True):
        lines.append("the index is being filled: these counts are too low yet")
    return lines
