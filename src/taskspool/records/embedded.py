"""The file of an embedded database: made for its owner alone, a database indeed, with a write-ahead log."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from taskspool.errors import RefusedToStart

WAIT_SECONDS = 10.0
"""How long others may be in the way of the change to a write-ahead log: for that SQLite itself does not wait."""


def prepare_file(path: Path) -> None:
    """The file is there, 0600, and keeps a write-ahead log; SQLite gives its companions the same mode.

    Raises RefusedToStart with the reason: a folder that cannot be written, a file that is something else.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise RefusedToStart(f"the database {path} cannot be opened: {error.strerror}",
                             hint="name another file: TASKSPOOL_DATABASE_URL=sqlite:////...") from error
    deadline = time.monotonic() + WAIT_SECONDS
    while not _keeps_log(path, is_last_try=time.monotonic() > deadline):
        time.sleep(0.02)


def _keeps_log(path: Path, *, is_last_try: bool) -> bool:
    try:
        with closing(sqlite3.connect(path, timeout=1.0)) as connection:
            [mode] = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY and not is_last_try:
            return False
        raise RefusedToStart(f"the database {path} cannot be used: {error}",
                             hint="is it a file of taskspool, whole, and yours?") from error
    if mode != "wal":
        raise RefusedToStart(f"the database {path} can keep no write-ahead log where it lies",
                             hint="put it on a disk of this machine: TASKSPOOL_DATABASE_URL=sqlite:////...")
    return True
