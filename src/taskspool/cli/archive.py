"""``taskspool export`` and ``import``: a queue as a tar of its plain files."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import folder_options, json_option, opened
from taskspool.cli.printing import echo_json, safe
from taskspool.engine.store import Exported, Imported
from taskspool.errors import InvalidRequest, StoreUnavailable

STANDARD = "-"


@click.command("export")
@click.argument("file", metavar="FILE|-")
@folder_options
def export_(file: str, root: Path | None, queue: str | None) -> int:
    """Write the queue as a tar of plain files to FILE, or to stdout.

    The queue goes on working. What is claimed is written as waiting, its history kept. A FILE that is there is
    replaced when the new one is whole.

    Exit code 1: some tasks could not be read and are not in it.
    """
    with opened(root, queue) as folder, _target(file) as stream:
        done = folder.store.export(stream)
    click.echo(f"{done.tasks} tasks, {done.records} records", err=True)
    return _tell(done)


@click.command("import")
@click.argument("file", metavar="FILE|-")
@folder_options
@json_option
def import_(file: str, root: Path | None, queue: str | None, as_json: bool) -> int:
    """Bring in what `taskspool export` wrote, from FILE or stdin.

    Tasks that exist already, in whatever state, are left as they are: the same FILE twice is the same FILE once. A tar
    that holds anything but the plain files of a queue is refused as a whole.

    Exit code 1: some tasks were left out, a line each.
    """
    with _source(file) as stream, opened(root, queue, must_exist=False) as folder:
        done = folder.store.bring_in(stream)
    if as_json:
        echo_json({"tasks": done.tasks, "records": done.records, "existed": done.existed,
                   "left_out": list(done.left_out)})
    else:
        click.echo(f"{done.tasks} tasks and {done.records} records came in, {done.existed} tasks existed")
    return _tell(done)


def _tell(done: Exported | Imported) -> int:
    for sentence in done.left_out:
        click.echo(f"left out  {safe(sentence)}", err=True)
    return ExitCode.FAILED if done.left_out else ExitCode.OK


@contextmanager
def _target(file: str) -> Iterator[IO[bytes]]:
    """Where the tar goes. A file gets its name when it is whole and on the disk."""
    if file == STANDARD:
        if sys.stdout.isatty():
            raise InvalidRequest("a tar is not for a terminal", field="file", rule="FILE, or | program")
        with click.open_file(STANDARD, "wb") as stdout:
            yield stdout
        return
    beside = Path(f"{file}.part")
    try:
        with beside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except OSError as error:
        raise StoreUnavailable(f"cannot write {file}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _source(file: str) -> Iterator[IO[bytes]]:
    """Where the tar comes from. It is looked through before it is believed, so what cannot be read twice is kept in a
    temporary file meanwhile."""
    try:
        with click.open_file(file, "rb") as stream:  # knows what - stands for
            if stream.seekable():
                yield stream
                return
            with tempfile.TemporaryFile() as kept:
                shutil.copyfileobj(stream, kept)
                kept.seek(0)
                yield kept
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror or error}", field="file",
                             rule="a readable file") from error
