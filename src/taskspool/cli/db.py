"""``taskspool db``: the tables of the records, in a file or on a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from taskspool.cli.codes import ExitCode
from taskspool.cli.options import json_option, root_option
from taskspool.cli.printing import echo_json, safe, table
from taskspool.errors import NotFound
from taskspool.settings import from_environment

if TYPE_CHECKING:
    from taskspool.records.database import Database

Command = TypeVar("Command", bound=Callable[..., Any])


def database_options(command: Command) -> Command:
    """``--root`` and ``--database-url``: which database."""
    url = click.option("--database-url", metavar="URL", help="A database on a server, or another file "
                       "(TASKSPOOL_DATABASE_URL; taskspool.db below the root).")
    return root_option(url(command))


@click.group()
def db() -> None:
    """The database of to-dos and tagged tasks: make its tables, and bring them up to date.

    A file is made by itself at the first start. A database on a server is changed by `db upgrade` alone.
    """


@db.command()
@database_options
@json_option
def upgrade(root: Path | None, database_url: str | None, as_json: bool) -> int:
    """Make the tables, or bring them to this version's. Keep a copy of the database first.

    Several may run at once: they take turns, and the first does the work.
    """
    from taskspool.records.database import refuse
    from taskspool.records.revisions import Standing, newest

    with _connected(root, database_url, must_exist=False) as database:
        standing, before = database.upgrade()
        if standing in (Standing.NEWER, Standing.FOREIGN):
            refuse(database.name, standing)
        if as_json:
            echo_json({"database": database.name, "before": before, "revision": newest()})
        elif before == newest():
            click.echo(f"{safe(database.name)} is at revision {before}: nothing to do")
        else:
            click.echo(f"{safe(database.name)}: from {before or 'nothing'} to revision {newest()}")
    return ExitCode.OK


@db.command()
@database_options
@json_option
def current(root: Path | None, database_url: str | None, as_json: bool) -> int:
    """Show which revision the database holds. Exit code 0: this version's; 1: any other."""
    from taskspool.records.revisions import Standing, newest

    with _connected(root, database_url, must_exist=True) as database:
        standing, revision = database.standing()
    if as_json:
        echo_json({"database": database.name, "revision": revision, "newest": newest(), "state": standing.value})
    else:
        click.echo(f"{safe(database.name)}: {revision or 'no revision'}, {standing.value} (newest: {newest()})")
    return ExitCode.OK if standing is Standing.CURRENT else ExitCode.FAILED


@db.command()
@json_option
def history(as_json: bool) -> int:
    """List the revisions there are, the newest first."""
    from taskspool.records.revisions import steps

    found = [*reversed(steps())]
    if as_json:
        echo_json([{"revision": step.revision, "after": step.after, "message": step.message} for step in found])
    else:
        click.echo(table(("REVISION", "AFTER", "WHAT"),
                         [(step.revision, step.after or "-", safe(step.message)) for step in found]))
    return ExitCode.OK


@contextmanager
def _connected(root: Path | None, database_url: str | None, *, must_exist: bool) -> Iterator[Database]:
    """The database, closed at the end. Raises NotFound when its file must be there and is not."""
    from taskspool.records.database import connect
    from taskspool.records.urls import is_embedded, url_of

    settings = from_environment(root=root, database_url=database_url)
    url = url_of(settings)
    if must_exist and is_embedded(url) and not Path(str(url.database)).exists():
        raise NotFound(f"there is no database {url.database}", hint="taskspool db upgrade makes it")
    database = connect(settings)
    try:
        yield database
    finally:
        database.close()
