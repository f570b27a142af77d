"""``taskspool logs``: what the worker of a task says, line by line."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import place
from taskspool.cli.printing import json_text, safe
from taskspool.clock import to_text
from taskspool.engine.log_lines import LogLine
from taskspool.engine.task import State


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until the task has ended.")
@click.option("--after", type=click.IntRange(-1), default=-1, metavar="N",
              help="Only what came after line N: lines are numbered from 0.")
@click.option("--time", "with_time", is_flag=True, help="Show when each line was said, by which attempt, and where.")
@url_option
@folder_options
@json_option
def logs(task_id: str, follow: bool, after: int, with_time: bool, url: str | None, root: Path | None,
         queue: str | None, as_json: bool) -> int:
    """Show the live log of a task: what its worker says while it works.

    Exit code with -f: 0 when the task succeeded, 1 when it failed or was cancelled. On a terminal what would steer it
    is shown as an escape.
    """
    shown = json_text if as_json else None
    with place(url, root, queue) as asked:
        for line in asked.log(task_id, after, follow=follow):
            if line.number > after + 1:
                click.echo(f"({line.number - after - 1} older lines were dropped: the log grew too large)", err=True)
            after = line.number
            text = shown(line_json(line)) if shown else line_text(line, with_time=with_time)
            click.echo(text, color=not sys.stdout.isatty() or None)  # a pipe gets the colours of the worker's program
        is_well = not follow or asked.task(task_id)["state"] == State.DONE
    return ExitCode.OK if is_well else ExitCode.FAILED


def line_json(line: LogLine) -> dict[str, object]:
    return {"number": line.number, "at": None if line.at is None else to_text(line.at), "attempt": line.attempt,
            "stream": line.stream, "text": line.text}


def line_text(line: LogLine, *, with_time: bool) -> str:
    """``2026-01-31 12:00:00.123  1 err  what was said``; a pipe gets the text as it was said."""
    text = safe(line.text, but="\t") if sys.stdout.isatty() else line.text
    if not with_time:
        return text
    when = "-" * 23 if line.at is None else f"{line.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return f"{when}  {line.attempt} {line.stream}  {text}"
