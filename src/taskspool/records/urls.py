"""Which database: what a URL says, with one driver each, and how it is shown without its password."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from taskspool.errors import RefusedToStart
from taskspool.settings import Settings

FILE_NAME = "taskspool.db"
DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg",
           "mysql": "mysql+pymysql", "mariadb": "mysql+pymysql"}
"""The first word of a URL -> the dialect and driver it stands for."""
EXTRAS = {"postgresql": "postgres", "mysql": "mariadb"}
"""Dialect -> the extra of the package that brings its driver."""
EXAMPLES = "sqlite:////var/lib/taskspool/taskspool.db, postgresql://user:password@host/name or mariadb://..."


def url_of(settings: Settings) -> URL:
    """The database that ``settings`` name; without one it is a file below the root."""
    if settings.database_url:
        return parse(settings.database_url)
    return URL.create(DRIVERS["sqlite"], database=str((settings.root / FILE_NAME).absolute()))


def parse(text: str) -> URL:
    """``text`` as a URL of one of the three databases. Raises RefusedToStart; a password is never in the message."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise RefusedToStart("the database URL cannot be read", hint=f"it looks like {EXAMPLES}") from None
    name, _, driver = url.drivername.partition("+")
    wanted = DRIVERS.get(name)
    if wanted is None:
        raise RefusedToStart(f"there is no database of the kind {name!r} here: SQLite, PostgreSQL and MariaDB are",
                             hint=f"the URL looks like {EXAMPLES}")
    if driver and driver != wanted.partition("+")[2]:
        raise RefusedToStart(f"the driver {driver!r} is not used here: {name} is spoken to by "
                             f"{wanted.partition('+')[2]}", hint=f"leave it out of the URL: {name}://...")
    if name == "sqlite":
        return _file_url(url.set(drivername=wanted))
    if not url.database:
        raise RefusedToStart("the database URL names no database", hint=f"it looks like {EXAMPLES}")
    return url.set(drivername=wanted)


def _file_url(url: URL) -> URL:
    if not url.database or url.database.startswith((":memory:", "file:")):
        raise RefusedToStart("a database in memory, or a file: address, keeps nothing for the next start",
                             hint="name a file: sqlite:////var/lib/taskspool/taskspool.db (an absolute path)")
    return url.set(database=str(Path(url.database).absolute()), query={})


def is_embedded(url: URL) -> bool:
    """Whether the database is a file of ours, and no server's."""
    return url.get_backend_name() == "sqlite"


def shown(url: URL) -> str:
    """``url`` for people and logs: no user, no password, no options."""
    if is_embedded(url):
        return str(url.database)
    port = f":{url.port}" if url.port else ""
    name = {"mysql": "MariaDB", "postgresql": "PostgreSQL"}[url.get_backend_name()]
    return f"the {name} database {url.database!r} at {url.host or 'this machine'}{port}"
