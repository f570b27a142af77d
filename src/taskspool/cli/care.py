"""``taskspool sweep`` and ``doctor``: mending, and looking for what cannot be."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import existing, folder_options, json_option, opened
from taskspool.cli.printing import echo_json, safe
from taskspool.settings import Settings

LOOKS = 3
LOOK_AGAIN_SECONDS = 0.7
"""A task on its way from one folder to the next looks like a problem; a problem is what is still there later. A running
bridge or worker sweeps twice a second."""


@click.command()
@folder_options
@json_option
def sweep(root: Path | None, queue: str | None, as_json: bool) -> int:
    """Sweep once: mend what can be mended.

    That is: promote what is due, adopt what others dropped, finish half-made moves, quarantine what cannot be read, and
    give back what dead workers held.

    A running bridge or worker does this twice a second. What a silent remote worker holds is given back by a process
    that watched it for a whole lease, so not by this command.
    """
    with opened(root, queue) as folder:
        report = folder.sweep()
    numbers = asdict(report)
    if as_json:
        echo_json(numbers)
    else:
        mended = [f"{number} {name.replace('_', ' ')}" for name, number in numbers.items()
                  if number and name != "adopted"]  # adopted: seen by this process, which saw nothing before
        click.echo(", ".join(mended) or "nothing to do")
    return ExitCode.OK


@click.command()
@folder_options
@json_option
def doctor(root: Path | None, queue: str | None, as_json: bool) -> int:
    """Look for files that should not be.

    Whatever is not a legal combination of files is a line; nothing is changed.

    Exit code 0: sound; 1: problems, a line each.
    """
    settings = existing(root, queue)
    problems = lasting_problems(settings)
    if as_json:
        echo_json({"folder": str(settings.folder.absolute()), "problems": problems})
    else:
        for problem in problems:
            click.echo(f"{click.style('problem', fg='red')}  {safe(problem)}")
        if not problems:
            click.echo(f"{click.style('sound', fg='green')}  {safe(str(settings.folder.absolute()))}")
        elif len(problems) > 1:
            click.echo(f"{len(problems)} problems", err=True)
    return ExitCode.FAILED if problems else ExitCode.OK


def lasting_problems(settings: Settings) -> list[str]:
    """What is wrong at several looks in a row; one look is enough when it finds nothing."""
    from taskspool.clock import SystemClock
    from taskspool.engine.file_store import FileStore

    store = FileStore(settings, SystemClock())
    found: list[str] = []
    for look in range(LOOKS):
        with _working(f"looking at {settings.folder}"):
            now = list(dict.fromkeys(store.problems()))
        found = now if look == 0 else [problem for problem in now if problem in set(found)]
        if not found:
            break
        if look < LOOKS - 1:
            threading.Event().wait(LOOK_AGAIN_SECONDS)
    return found


@contextmanager
def _working(what: str) -> Iterator[None]:
    """Says on a terminal what is being done, and takes it away again."""
    if not sys.stderr.isatty():
        yield
        return
    click.echo(f"{what} ...", nl=False, err=True)
    try:
        yield
    finally:
        click.echo("\r\033[K" if click.get_current_context().color is not False else "\r", nl=False, err=True)
