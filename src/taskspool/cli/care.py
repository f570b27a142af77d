"""``taskspool sweep``, ``prune`` and ``doctor``: mending, forgetting, and looking for what cannot be."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import existing, folder_options, json_option, opened
from taskspool.cli.printing import echo_json, safe
from taskspool.cli.times import SPAN
from taskspool.engine.store import Finding, Store
from taskspool.engine.task import State
from taskspool.errors import InvalidRequest
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
@click.argument("states", nargs=-1, metavar="[STATE]...", type=click.Choice([s.value for s in State if s.is_final]))
@click.option("--older-than", "seconds", type=SPAN, required=True, metavar="SPAN",
              help="What ended longer ago than this: 30d, 12h, 90.")
@folder_options
@json_option
def prune(states: tuple[str, ...], seconds: float, root: Path | None, queue: str | None, as_json: bool) -> int:
    """Remove finished tasks and their results, for good.

    Those of STATE (done, dead, cancelled; may be several); without it, all that are finished. Nothing that waits or is
    worked on is touched. TASKSPOOL_KEEP_DONE_SECONDS and its sisters do the same in every sweep.
    """
    with opened(root, queue) as folder:
        before = folder.clock.now() - timedelta(seconds=seconds)
        number = folder.store.prune(before, [State(state) for state in states] or None)
    if as_json:
        echo_json({"pruned": number})
    else:
        click.echo(f"{number} pruned")
    return ExitCode.OK


@click.command()
@click.option("--repair", is_flag=True, help="Mend what can be mended. Nothing that may hold a task is deleted: it is "
                                             "moved to quarantine/.")
@click.option("--dry-run", is_flag=True, help="Say what --repair would do.")
@folder_options
@json_option
def doctor(repair: bool, dry_run: bool, root: Path | None, queue: str | None, as_json: bool) -> int:
    """Look for files that should not be.

    Whatever is not a legal combination of files is a line; nothing is changed without --repair. Leftovers that do no
    harm are told too. The queue may go on working.

    Exit code 0: sound, or all mended; 1: problems, a line each.
    """
    if repair and dry_run:
        raise InvalidRequest("--repair and --dry-run exclude each other", field="repair", rule="one of them")
    settings = existing(root, queue)
    mended: list[Finding] = []
    if repair:
        with opened(root, queue) as folder:
            folder.sweep()
            mended, found = mend_all(folder.store, settings)
    else:
        found = lasting(settings)
    problems = [finding for finding in found if not finding.is_legal]
    if as_json:
        echo_json({"folder": str(settings.folder.absolute()), "problems": [one.sentence for one in problems],
                   "findings": [asdict(one) for one in found], "mended": [asdict(one) for one in mended]})
    else:
        _tell(found, mended, str(settings.folder.absolute()), with_cures=dry_run)
    return ExitCode.FAILED if problems else ExitCode.OK


def _tell(found: Sequence[Finding], mended: Sequence[Finding], folder: str, *, with_cures: bool) -> None:
    for finding in mended:
        click.echo(f"{click.style('mended', fg='green')}    {safe(finding.sentence)}: {finding.cure}")
    for finding in found:
        word = click.style("leftover", fg="yellow") if finding.is_legal else click.style("problem", fg="red") + " "
        click.echo(f"{word}  {safe(finding.sentence)}" + (f": {finding.cure}" if with_cures else ""))
    problems = sum(not finding.is_legal for finding in found)
    if not problems:
        click.echo(f"{click.style('sound', fg='green')}     {safe(folder)}")
    elif not with_cures:
        click.echo(f"{problems} problem{'s' if problems > 1 else ''}; see what --dry-run would do", err=True)


def lasting(settings: Settings, store: Store | None = None) -> list[Finding]:
    """What is found at several looks in a row; one look is enough when it finds nothing."""
    from taskspool.clock import SystemClock
    from taskspool.engine.file_store import FileStore

    store = store or FileStore(settings, SystemClock())
    found: list[Finding] = []
    for look in range(LOOKS):
        with _working(f"looking at {settings.folder}"):
            now = list(dict.fromkeys(store.findings()))
        found = now if look == 0 else [finding for finding in now if finding in set(found)]
        if not found:
            break
        if look < LOOKS - 1:
            threading.Event().wait(LOOK_AGAIN_SECONDS)
    return found


def mend_all(store: Store, settings: Settings) -> tuple[list[Finding], list[Finding]]:
    """(what was mended, what is left). One cure can bring the next to light: so in rounds, until none helps."""
    mended: list[Finding] = []
    found = lasting(settings, store)
    for _ in range(LOOKS):
        helped = [finding for finding in found if store.mend(finding)]
        mended += helped
        if not helped:
            break
        found = list(dict.fromkeys(store.findings()))
    return mended, found


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
