"""``taskspool ls`` and ``show``: what is where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import connected, folder_options, json_option, opened, url_option
from taskspool.cli.printing import (
    COLOURS, age_text, counts_json, echo_json, json_text, safe, state_text, table, task_json,
)
from taskspool.engine.task import JsonValue, Snapshot, State

UNFINISHED = (State.CLAIMED, State.READY, State.SCHEDULED)


@click.command()
@click.argument("state", required=False, type=click.Choice([state.value for state in State]))
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only tasks of this type; may be repeated.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N",
              help="At most so many of each state.")
@folder_options
@json_option
def ls(state: str | None, types: tuple[str, ...], limit: int, root: Path | None, queue: str | None,
       as_json: bool) -> int:
    """List tasks under a line of counts.

    Those of STATE; without it, all that are not finished.
    """
    states = UNFINISHED if state is None else (State(state),)
    with opened(root, queue) as folder:
        found = [snapshot for each in states
                 for snapshot in folder.listing(each, types=types or None, limit=limit)]
        counts, now = counts_json(folder.counts()), folder.clock.now()
    if as_json:
        echo_json({"counts": counts, "tasks": [task_json(snapshot) for snapshot in found]})
        return ExitCode.OK
    click.echo(_counts_line(counts))
    if found:
        click.echo()
        click.echo(table(("STATE", "ID", "TYPE", "AGE", "WORKER", "REQUESTER"), _rows(found, now)))
    return ExitCode.OK


def _counts_line(counts: Mapping[str, int]) -> str:
    colours: Mapping[str, str] = {state.value: colour for state, colour in COLOURS.items()}
    return " · ".join(f"{name} {click.style(str(number), fg=colours.get(name), bold=number > 0)}"
                      for name, number in counts.items())


def _rows(found: Sequence[Snapshot], now: datetime) -> list[Sequence[str]]:
    return [(state_text(one.state), one.task.id, safe(one.task.type), age_text(one.task.created_at, now),
             safe(one.worker or "-"), safe(one.task.requester)) for one in found]


@click.command()
@click.argument("task_id", metavar="ID")
@url_option
@folder_options
@json_option
def show(task_id: str, url: str | None, root: Path | None, queue: str | None, as_json: bool) -> int:
    """Show everything about one task. Exit code 1: there is no such task."""
    if url is not None:
        with connected(url) as client:
            found: Mapping[str, JsonValue] = client.task(task_id)
    else:
        with opened(root, queue) as folder:
            found = task_json(folder.task(task_id))
    if as_json:
        echo_json(dict(found))
    else:
        width = max(map(len, found))
        for name, value in found.items():
            text = safe(value) if isinstance(value, str) else json_text(value)
            click.echo(f"{click.style(name.ljust(width), bold=True)}  {text}")
    return ExitCode.OK
