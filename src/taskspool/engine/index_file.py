"""The file ``index.sqlite``: opening it, and making it anew when it is missing, damaged, foreign or of another version.

It is a cache. Nothing is synced to the disk; a file that cannot be used is removed, and the queue goes on without it
until the next try. A person, or another process, may remove it at any moment: it is looked for before every use.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from secrets import token_hex
from typing import Any

from taskspool.engine import files
from taskspool.engine.index_schema import TABLES, TRIGGERS, VERSION
from taskspool.engine.place import Place
from taskspool.errors import TaskspoolError

BUSY_SECONDS = 2.0
"""How long to wait for another process that writes."""
MAX_IDLE = 4
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM,
            sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_INTERRUPT}
"""Errors that say nothing against the file: the disk is full, somebody else writes."""


class IndexUnusable(Exception):
    """The index cannot be asked, or written, this moment. The queue goes on without it."""


class IndexFile:
    """Connections to the file as it is now. ``generation`` tells one file from the next: events are counted in each."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = place.path("index.sqlite")
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._inode = 0
        self._idle: list[sqlite3.Connection] = []
        self._is_closed = False
        self.generation = ""

    def exists(self) -> bool:
        return self._number() != 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to ask. Raises IndexUnusable."""
        connection, inode = self._take()
        try:
            yield connection
        except sqlite3.Error as error:
            connection.close()
            raise self._judged(error, inode) from error
        except BaseException:  # whatever it was, it goes on upward: only the connection is ours
            connection.close()
            raise
        self._give_back(connection, inode)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction of its own, committed at the end, or all undone. Raises IndexUnusable."""
        self._leave_room()
        with self._writing, self.reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection  # what it raises closes the connection: that undoes the transaction
            connection.execute("COMMIT")  # the instant: every reader sees all of it

    def close(self) -> None:
        self._is_closed = True
        self._drop_idle()

    # -- connections ---------------------------------------------------------------------------------------------

    def _take(self) -> tuple[sqlite3.Connection, int]:
        inode = self._number()
        with self._lock:
            if inode and inode == self._inode and self._idle:
                return self._idle.pop(), inode
        try:
            return self._open()
        except sqlite3.Error as error:
            raise self._judged(error, inode) from error
        except TaskspoolError as error:
            raise IndexUnusable(error.message) from error

    def _leave_room(self) -> None:
        """What little is left on the disk is for those who finish, not for a cache. Raises IndexUnusable."""
        if self._place.disk.is_scarce():
            raise IndexUnusable("the disk is nearly full")

    def _give_back(self, connection: sqlite3.Connection, inode: int) -> None:
        with self._lock:
            if inode == self._inode and len(self._idle) < MAX_IDLE and not self._is_closed:
                self._idle.append(connection)
                return
        connection.close()

    def _drop_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _number(self) -> int:
        """The inode of the file; 0 when it is not there."""
        try:
            return files.file_number(self._path)[0]
        except (FileNotFoundError, TaskspoolError):
            return 0

    def _open(self) -> tuple[sqlite3.Connection, int]:
        if self._is_closed:
            raise IndexUnusable("it is closed")
        self._leave_room()
        with self._place.keys.of("index"):  # one process at a time makes it, or removes it
            connection = self._connected()
            if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
                if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    connection.close()
                    self._remove()
                    connection = self._connected()
                _make(connection)
            inode = self._number()
        generation = connection.execute("SELECT value FROM about WHERE name = 'generation'").fetchone()[0]
        if (inode, generation) != (self._inode, self.generation):  # a new file may get the number of the old one
            self._drop_idle()
            with self._lock:
                self._inode, self.generation = inode, generation
        return connection, inode

    def _connected(self) -> sqlite3.Connection:
        if not self.exists():
            self._remove()  # what was left beside a file that was removed does not belong to the next one
            files.write_new(self._path, b"", sync=False)  # closed to others; SQLite makes the rest likewise
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("PRAGMA journal_size_limit = 16777216")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _judged(self, error: sqlite3.Error, inode: int) -> IndexUnusable:
        """What to raise for ``error``; a file that is damaged is removed, unless somebody was faster."""
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.DatabaseError) and code is not None and code & 0xFF not in _PASSING and inode:
            try:
                with self._place.keys.of("index"):
                    if self._number() == inode:
                        self._remove()
            except TaskspoolError as refused:
                return IndexUnusable(refused.message)
        return IndexUnusable(str(error))

    def _remove(self) -> None:
        """Holding the lock. Others that have it open go on with a file that has no name, and notice."""
        self._drop_idle()
        for end in ("", "-wal", "-shm"):
            files.discard(self._path + end)


def _make(connection: sqlite3.Connection) -> None:
    """All tables, in one transaction: who finds the version finds the tables."""
    about: dict[str, Any] = {"generation": token_hex(4), "is_complete": 0, "checked_at": 0.0, "checking_at": 0.0,
                             "written_at": 0.0}
    connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {TRIGGERS} PRAGMA user_version = {VERSION};")
    connection.executemany("INSERT INTO about VALUES (?, ?)", about.items())
    connection.execute("COMMIT")
