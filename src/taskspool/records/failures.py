"""What a failure of the database means to who called: again, later, no room, or a mistake of ours that goes through."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from taskspool.errors import StoreFull, StoreUnavailable, TaskspoolError

_log = logging.getLogger(__name__)

SQLITE_AGAIN = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
SQLITE_FULL = {sqlite3.SQLITE_FULL}
SQLITE_GONE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM,
               sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM}
POSTGRESQL_AGAIN = {"40001", "40P01", "55P03"}
"""serialization_failure, deadlock_detected, lock_not_available. Source: PostgreSQL's manual, appendix A."""
POSTGRESQL_FULL = {"53100"}
POSTGRESQL_GONE = ("08", "28", "3D", "53", "57", "58", "XX")
"""Classes: connection, authorization, no such database, resources, operator intervention, system, internal error."""
MARIADB_AGAIN = {1020, 1205, 1213}
"""Record has changed, lock wait timeout, deadlock. Source: MariaDB's list of error codes."""
MARIADB_FULL = {1021, 1041, 1114}
MARIADB_GONE = {1030, 1040, 1043, 1044, 1045, 1049, 1053, 1129, 1130, 1158, 1159, 1160, 1161, 1203, 1226, 1317, 1836,
                1927, 1969, *range(2000, 3000)}
"""The storage, too many connections, no right, no such database, shutting down, the network, killed, too slow."""


class Contended(StoreUnavailable):
    """Somebody else was in the way; the whole transaction may be run again at once."""


@contextmanager
def translated(name: str, secret: str | None = None, *, is_logged: bool = True) -> Iterator[None]:
    """Failures of the database ``name`` inside are StoreUnavailable, StoreFull or Contended; others go through.

    Their messages travel to whoever asked, so they name no host and no file. The log does, and what the driver said,
    without ``secret`` should it repeat that.
    """
    try:
        yield
    except (DBAPIError, DisconnectionError, PoolTimeout) as error:
        meaning = meaning_of(error)
        if meaning is None:
            raise
        if is_logged and not isinstance(meaning, Contended):
            _log.warning("%s: %s", name, cause_of(error, secret))
        raise meaning from error


def meaning_of(error: Exception) -> TaskspoolError | None:
    """What ``error`` is to who called; None when the statement itself was wrong (a key twice, bad SQL)."""
    if not isinstance(error, DBAPIError):
        return StoreUnavailable("the database had no connection free in time")
    mark = _mark_of(error.orig)
    if mark in SQLITE_AGAIN | MARIADB_AGAIN or mark in POSTGRESQL_AGAIN:
        return Contended("others write the same rows of the database; ask again")
    if mark in SQLITE_FULL | MARIADB_FULL or mark in POSTGRESQL_FULL:
        return StoreFull("the database has no room left")
    return StoreUnavailable("the database is not available") if _is_gone(error, mark) else None


def _is_gone(error: DBAPIError, mark: int | str | None) -> bool:
    """Whether the database, not the statement, was the reason. Without a statement it was the way in; a driver
    without a code never reached a server."""
    is_of_statement = mark is not None and error.statement is not None
    if error.connection_invalidated or (not is_of_statement and isinstance(error, InterfaceError | OperationalError)):
        return True
    if isinstance(mark, str):
        return mark.startswith(POSTGRESQL_GONE)
    return mark in SQLITE_GONE | MARIADB_GONE


def _mark_of(error: BaseException | None) -> int | str | None:
    """The driver's own code: SQLite's without its extension (below 256), PostgreSQL's five letters, MariaDB's number
    (from 1000 on)."""
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        return None if code is None else int(code) & 0xFF
    number = error.args[0] if error is not None and error.args else None
    if isinstance(number, int):  # MariaDB's: its five letters (which its driver knows too) say less
        return number if number >= 1000 else None
    state = getattr(error, "sqlstate", None)
    return None if state is None else str(state)


def cause_of(error: Exception, secret: str | None) -> str:
    """What the driver said, in a line: without the statement and its values, and without ``secret``."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    said = " ".join(str(original).split())[:500] or type(original).__name__
    return said.replace(secret, "***") if secret else said
