"""Which revision of the tables a database holds, and the way to the newest. Alembic does the steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, text

from taskspool.errors import StoreUnavailable
from taskspool.records.migrations.env import VERSION_TABLE
from taskspool.records.tables import METADATA

UPGRADE_SECONDS = 60
"""How long an upgrade waits for another one of the same database."""
LOCK_NAME = "taskspool-upgrade"
LOCK_NUMBER = 0x7461736B  # the letters "task": PostgreSQL's advisory locks are numbers


class Standing(Enum):
    EMPTY = "empty"
    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Step:
    """One revision: its name, what it does in a sentence, the name of the one before."""

    revision: str
    message: str
    after: str | None


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings: the migrations lie in this package."""
    config = Config()
    config.set_main_option("script_location", "taskspool.records:migrations")
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def steps() -> list[Step]:
    """All revisions, the oldest first."""
    script = ScriptDirectory.from_config(configuration())
    return [Step(one.revision, one.doc, _only(one.down_revision)) for one in reversed([*script.walk_revisions()])]


def newest() -> str:
    return steps()[-1].revision


def revision_of(connection: Connection) -> str | None:
    """The revision a database says it holds; None when it says none."""
    options = {"version_table": VERSION_TABLE}
    return MigrationContext.configure(connection, opts=options).get_current_revision()


def standing_of(connection: Connection) -> Standing:
    """What a database is to this version. A file with other tables is foreign, a server's database only when a table
    of one of our names stands there without a revision."""
    revision = revision_of(connection)
    if revision is not None:
        known = [step.revision for step in steps()]
        if revision not in known:
            return Standing.NEWER
        return Standing.CURRENT if revision == known[-1] else Standing.BEHIND
    tables = {*inspect(connection).get_table_names()} - {VERSION_TABLE}
    ours = tables if connection.dialect.name == "sqlite" else tables & {*METADATA.tables}
    return Standing.FOREIGN if ours else Standing.EMPTY


def upgrade(engine: Engine) -> tuple[Standing, str | None]:
    """Bring an empty or older database to the newest revision, alone: (what it was, the revision it had).

    A newer or foreign one is left as it is. Where the database can (SQLite, PostgreSQL) it is one transaction.
    """
    with engine.begin() as connection, _alone(connection):
        standing, before = standing_of(connection), revision_of(connection)
        if standing in (Standing.EMPTY, Standing.BEHIND):
            command.upgrade(configuration(connection), "head")
        return standing, before


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """No other upgrade of this database runs. On SQLite the transaction itself is the lock (BEGIN IMMEDIATE)."""
    if connection.dialect.name == "postgresql":  # until the transaction ends
        connection.execute(text(f"SET LOCAL lock_timeout = '{UPGRADE_SECONDS}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK_NUMBER})
    if connection.dialect.name != "mysql":
        yield
        return
    name = {"name": f"{LOCK_NAME} {connection.engine.url.database}"[:64]}
    if connection.scalar(text("SELECT GET_LOCK(:name, :seconds)"), name | {"seconds": UPGRADE_SECONDS}) != 1:
        raise StoreUnavailable("another upgrade of this database does not end")
    try:
        yield
    finally:
        connection.execute(text("SELECT RELEASE_LOCK(:name)"), name)


def _only(revision: str | tuple[str, ...] | list[str] | None) -> str | None:
    """The one before: our history has no branches."""
    return revision if revision is None or isinstance(revision, str) else revision[0]
