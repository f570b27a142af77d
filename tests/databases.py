"""Fresh databases for tests, of each of the three kinds; what was made is dropped at the end.

PostgreSQL and MariaDB are looked for where ``TEST_POSTGRESQL_URL`` and ``TEST_MARIADB_URL`` say, else on 127.0.0.1;
a test of a server that is not there is skipped with the reason.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from taskspool.records.database import Database
from taskspool.records.revisions import upgrade

DATABASES = ("sqlite", "postgresql", "mariadb")
KINDS = ["sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in DATABASES[1:])]
"""For ``parametrize``: the servers in the long run only, where they are sure to be there."""
ON_SERVERS = KINDS[1:]
SERVERS = {
    "postgresql": ("TEST_POSTGRESQL_URL", "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"),
    "mariadb": ("TEST_MARIADB_URL", "mysql+pymysql://root@127.0.0.1:3306/mysql"),
}
"""Kind -> the variable that names a server where databases may be made, and where it is looked for otherwise."""


@contextmanager
def database_url(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of ``kind``, which is dropped at the end. Skips the test where there is none."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / f'{uuid.uuid4().hex}.db'}"
        return
    server = server_url(kind)
    name = f"taskspool_test_{uuid.uuid4().hex[:12]}"
    tell(server, f"CREATE DATABASE {name}")
    try:
        yield server.set(database=name).render_as_string(hide_password=False)
    finally:
        tell(server, f"DROP DATABASE {name}" + (" WITH (FORCE)" if kind == "postgresql" else ""))


@contextmanager
def open_fresh(kind: str, folder: Path) -> Iterator[Database]:
    """An open database of ``kind`` with all tables, all of them empty."""
    with database_url(kind, folder) as url:
        database = Database(url, is_durable=False)
        try:
            upgrade(database.engine)
            yield database
        finally:
            database.close()


def server_url(kind: str) -> URL:
    """Where the server of ``kind`` is. Skips the test when none answers."""
    variable, usual = SERVERS[kind]
    url = make_url(os.environ.get(variable, usual))
    reason = why_not(url)
    if reason:
        pytest.skip(f"no {kind} answers at {url.host}:{url.port} ({variable} names another): {reason}")
    return url


@cache
def why_not(url: URL) -> str:
    """Why the server cannot be used; "" when it can."""
    try:
        tell(url, "SELECT 1")
    except (SQLAlchemyError, ImportError) as error:
        return str(error).splitlines()[0]
    return ""


def tell(url: URL, statement: str) -> None:
    """Run one statement outside of a transaction, as making a database asks for."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", connect_args={"connect_timeout": 5})
    try:
        with engine.connect() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def clear(database: Database) -> None:
    """Every table empty again: cheaper than a new database for each test."""
    from taskspool.records.tables import METADATA

    with database.session() as session:
        for table in reversed(METADATA.sorted_tables):
            session.execute(table.delete())
