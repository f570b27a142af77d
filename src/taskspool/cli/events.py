"""``taskspool events``: what happens to tasks, line by line."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, url_option
from taskspool.cli.place import place
from taskspool.cli.printing import COLOURS, json_text, safe
from taskspool.clock import from_text
from taskspool.engine.task import State


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(0), metavar="N", help="Only the last N; with -f, the last N first.")
@click.option("--task", "task_id", metavar="ID", help="Only what happens to this task.")
@click.option("--after", metavar="EVENT",
              help="What came after this one: the id of an event, as --json shows it; 0: all that is known.")
@url_option
@folder_options
@json_option
def events(follow: bool, lines: int | None, task_id: str | None, after: str | None, url: str | None,
           root: Path | None, queue: str | None, as_json: bool) -> int:
    """Tell what has happened to tasks, oldest first; with -f, what happens.

    With --json each line is an object. A line "reset" says that what came between is not known any more.
    """
    with place(url, root, queue) as asked:
        if lines or not follow:
            past = asked.events(after, task_id, follow=False)
            for event in past if lines is None else deque(past, maxlen=lines):
                _show(event, as_json)
                after = event["id"]
        if follow:
            for event in asked.events(after, task_id, follow=True):
                _show(event, as_json)
    return ExitCode.OK


def _show(event: Mapping[str, Any], as_json: bool) -> None:
    click.echo(json_text(event) if as_json else event_text(event))


def event_text(event: Mapping[str, Any]) -> str:
    """``2026-01-31 12:00:00.123  claim     ID  TYPE  by office-1, attempt 1: why``"""
    state = event.get("state")
    words = [f"by {event['worker']}"] if event.get("worker") else []
    if event.get("attempt"):
        words.append(f"attempt {event['attempt']}")
    told = ", ".join(words) + (f": {event['reason']}" if event.get("reason") else "")
    verb = click.style(f"{safe(event['event']):<8}", fg=COLOURS[State(state)] if state else None)
    when = f"{from_text(event['at']):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    return f"{when}  {verb}  {safe(event['task_id'] or '-')}  {safe(event.get('type') or '-')}  {safe(told)}".rstrip()
