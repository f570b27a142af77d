"""``taskspool result`` and how a result is shown."""

from __future__ import annotations

import math
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import connected, folder_options, json_option, opened, url_option
from taskspool.cli.printing import COLOURS, echo_json, json_text, result_json, safe
from taskspool.cli.waiting import wait_for_result
from taskspool.engine.task import Result, State
from taskspool.errors import InvalidRequest

LONGEST_WAIT_SECONDS = 86_400.0


@click.command()
@click.argument("task_id", metavar="ID")
@click.option("--wait", "wait_seconds", is_flag=False, flag_value="30", metavar="[SECONDS]",
              help="Wait for it (30 s).")
@url_option
@folder_options
@json_option
def result(task_id: str, wait_seconds: str | None, url: str | None, root: Path | None, queue: str | None,
           as_json: bool) -> int:
    """Show the result of a task.

    Its data goes to stdout, an error to stderr.

    Exit code 0: success; 1: the task failed, or there is no such task; 4: not finished yet.
    """
    seconds = 0.0 if wait_seconds is None else wait_text(wait_seconds)
    if url is not None:
        with connected(url) as client:
            return show_result(client.result(task_id, wait=seconds or None), as_json)
    with opened(root, queue) as folder:
        found = wait_for_result(folder, task_id, seconds) if seconds else None
        return show_result(found or folder.result(task_id), as_json)


def show_result(found: Result, as_json: bool) -> int:
    """Print it; the exit code."""
    if as_json:
        echo_json(result_json(found))
    elif found.is_success:
        click.echo(json_text(found.data, indent=2))
    else:
        word = "cancelled" if found.state is State.CANCELLED else "failed"
        click.echo(f"{click.style(word, fg=COLOURS[found.state])} ({safe(found.worker)}): "
                   f"{safe(found.error_message or '')}", err=True)
        if found.data is not None:
            click.echo(json_text(found.data, indent=2))
    return ExitCode.OK if found.is_success else ExitCode.FAILED


def wait_text(text: str) -> float:
    """Seconds. Raises InvalidRequest."""
    rule = f"a number of seconds in 0..{LONGEST_WAIT_SECONDS:.0f}"
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        raise InvalidRequest(f"--wait must be {rule}, not {text!r}", field="wait", rule=rule)
    return seconds
