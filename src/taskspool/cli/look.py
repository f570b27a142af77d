"""``taskspool ls``: what is where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import Found, Wanted, place
from taskspool.cli.printing import COLOURS, age_text, ahead_text, echo_json, safe, state_text, table
from taskspool.cli.times import BACK
from taskspool.cli.wishes import PRIORITIES
from taskspool.clock import SystemClock, from_text
from taskspool.engine.index_query import SORT_KEYS, Filter
from taskspool.engine.task import Priority, State

UNFINISHED = (State.CLAIMED, State.READY, State.SCHEDULED)
HEADS = ("STATE", "ID", "TYPE", "AGE", "WORKER", "REQUESTER", "NOTE")


@click.command()
@click.argument("state", required=False, type=click.Choice([*(state.value for state in State), "all"]))
@click.option("--type", "types", multiple=True, metavar="TYPE", help="Only tasks of this type; may be repeated.")
@click.option("--group", metavar="NAME", help="Only tasks of this group.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Only tasks with this tag; may be repeated.")
@click.option("--priority", "priorities", multiple=True, type=click.Choice(PRIORITIES), help="May be repeated.")
@click.option("--requester", metavar="NAME", help="Only what NAME asked for.")
@click.option("--worker", metavar="NAME", help="Only what NAME holds, or finished.")
@click.option("--batch", "batch_id", metavar="ID", help="Only tasks of this batch.")
@click.option("--parent", metavar="ID", help="Only tasks that belong to this one.")
@click.option("--since", "created_after", type=BACK, metavar="TIME", help="Created since: 2h, 2026-01-31T09:00.")
@click.option("--finished-since", "finished_after", type=BACK, metavar="TIME", help="Finished since: 30m, 2d.")
@click.option("--sort", metavar="KEY", help=f"By {', '.join(SORT_KEYS)}; -KEY: the other way round.")
@click.option("--limit", type=click.IntRange(1, 100_000), default=20, show_default=True, metavar="N",
              help="At most so many; without STATE and --sort, of each state.")
@click.option("--offset", type=click.IntRange(0), default=0, metavar="N", help="Leave out the first N.")
@url_option
@folder_options
@json_option
def ls(state: str | None, sort: str | None, limit: int, offset: int, url: str | None, root: Path | None,
       queue: str | None, as_json: bool, **filters: Any) -> int:
    """List tasks under a line of counts.

    Those of STATE, of all states with "all"; without it, those that are not finished.

    \b
    taskspool ls dead --type report --since 2d --sort created_at
    taskspool ls all --group import-7 --limit 100
    """
    states = tuple(State) if state == "all" else UNFINISHED if state is None else (State(state),)
    is_one_list = sort is not None or state == "all"
    with place(url, root, queue) as asked:
        overview = asked.overview()
        found = [asked.tasks(Wanted(_filter(each, filters), sort, limit, offset))
                 for each in ([states] if is_one_list else [(one,) for one in states])]
    if as_json:
        total = None if any(each.total is None for each in found) else sum(each.total or 0 for each in found)
        echo_json({"counts": overview["counts"], "tasks": [task for each in found for task in each.tasks],
                   "total": total})
        return ExitCode.OK
    click.echo(counts_line(overview["counts"]))
    show_pauses(overview)
    show_tasks(found)
    return ExitCode.OK


def _filter(states: Sequence[State], filters: Mapping[str, Any]) -> Filter:
    given = {name: value for name, value in filters.items() if value}
    for name in ("types", "priorities"):
        if name in given:
            given[name] = frozenset(given[name])
    if "priorities" in given:
        given["priorities"] = frozenset(Priority[word.upper()] for word in given["priorities"])
    return Filter(frozenset(states), **given)


def counts_line(counts: Mapping[str, int]) -> str:
    colours: Mapping[str, str] = {state.value: colour for state, colour in COLOURS.items()}
    return " · ".join(f"{name} {click.style(str(number), fg=colours.get(name), bold=number > 0)}"
                      for name, number in counts.items())


def show_pauses(overview: Mapping[str, Any]) -> None:
    """A line for each thing that is not handed out; none when all is."""
    notes = [("the queue", overview["pause"])] if overview.get("paused") else []
    for what, note in [*notes, *overview.get("paused_types", {}).items()]:
        reason = f": {note['reason']}" if note.get("reason") else ""
        since = age_text(from_text(note["at"]), SystemClock().now())
        click.echo(click.style("paused", fg="yellow") + safe(f" {what}, {since} ago by {note['by']}{reason}"))


def show_tasks(found: Sequence[Found]) -> None:
    """A table of them, and on stderr how many there are beyond it."""
    tasks, now = [task for each in found for task in each.tasks], SystemClock().now()
    rows = [_row(task, now) for task in tasks]
    if not rows:
        return
    has_notes = any(row[-1] for row in rows)
    click.echo()
    click.echo(table(HEADS, rows) if has_notes else table(HEADS[:-1], [row[:-1] for row in rows]))
    for each in found:
        if each.tasks and (each.total is None or each.total > len(each.tasks)):
            more = "more" if each.total is None else f"of {each.total}"
            click.echo(f"{len(each.tasks)} {more} shown: --limit and --offset show others", err=True)


def _row(task: Mapping[str, Any], now: datetime) -> Sequence[str]:
    return (state_text(State(task["state"])), safe(task["id"]), safe(task["type"]),
            age_text(from_text(task["created_at"]), now), safe(task.get("assigned_to") or "-"),
            safe(task["requester"]), safe(_note(task, now)))


def _note(task: Mapping[str, Any], now: datetime) -> str:
    """How far it is, when it goes on, or what went wrong last."""
    progress = task.get("progress")
    if progress is not None and task["state"] == State.CLAIMED:
        percent = "" if progress["percent"] is None else f"{progress['percent']:g} %"
        return " ".join(part for part in (percent, progress["message"] or "") if part)[:60]
    if task["state"] == State.SCHEDULED and task.get("not_before"):
        return ahead_text(from_text(task["not_before"]), now)
    error = task.get("last_error") or task.get("previous_error")
    return "" if not error else error.splitlines()[0][:60]
