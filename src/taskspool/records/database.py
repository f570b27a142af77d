"""The records: one open database, SQLite, PostgreSQL or MariaDB, and its sessions.

``session()`` writes: all of it at the end, or nothing. ``reading()`` sees one instant and changes nothing. ``run()`` is
``session()`` around a function that may be called again: what others were in the way of is done anew.

On SQLite a writing session has the lock from its first statement on: what it reads stays true until it ends. On a
server read what you are about to change ``with_for_update=True`` (SQLite takes no notice): then that holds there too.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from taskspool.errors import RefusedToStart, StoreUnavailable
from taskspool.records.connections import BUSY_SECONDS, UPGRADE_ANSWER_SECONDS, make_engine
from taskspool.records.embedded import prepare_file
from taskspool.records.failures import Contended, cause_of, translated
from taskspool.records.revisions import Standing, revision_of, standing_of, upgrade
from taskspool.records.urls import is_embedded, parse, shown, url_of
from taskspool.settings import Settings

Value = TypeVar("Value")

TRIES = 12
PAUSE_SECONDS = 0.02
"""The longest pause before a second try; before each further one it is half as long again."""


class Database:
    """An open database. Threads share it; a process that forks does not take it along."""

    def __init__(self, url: str, *, is_durable: bool = True) -> None:
        """Nothing is connected yet, but a file is made when there is none. Raises RefusedToStart with the reason."""
        self.url = parse(url)
        self.name = shown(self.url)
        self.is_embedded = is_embedded(self.url)
        if self.is_embedded:
            prepare_file(Path(str(self.url.database)))
        self.engine = make_engine(self.url, is_reading=False, is_durable=is_durable)
        self.dialect = self.engine.dialect.name
        self._reading = make_engine(self.url, is_reading=True, is_durable=is_durable)
        self._writers = threading.Lock() if self.is_embedded else None
        """SQLite has one writer. In this process they stand in line here: its own way is to sleep and to look again."""

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back when something is raised. Not inside another one.

        Objects stay readable after it. Raises StoreUnavailable, StoreFull.
        """
        with self._translated(), self._turn(), Session(self.engine, expire_on_commit=False) as session, \
                session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one instant of the database, and in which a change is refused by the database itself."""
        with self._translated(), Session(self._reading, expire_on_commit=False, autoflush=False) as session:
            yield session

    def run(self, function: Callable[[Session], Value]) -> Value:
        """What ``function`` returns, committed. It is called again, in a new session, when others were in its way: it
        must do nothing but read and write in the session it is given. Raises as ``session()``."""
        for number in range(TRIES):
            try:
                with self.session() as session:
                    return function(session)
            except Contended:
                if number == TRIES - 1:
                    raise
            time.sleep(random.random() * PAUSE_SECONDS * 1.5**number)  # noqa: S311  # spreads tries, guards nothing
        raise AssertionError("the last try returns or raises")

    def standing(self) -> tuple[Standing, str | None]:
        """What the database is to this version, and its revision. Raises RefusedToStart when it cannot be asked."""
        with self._starting(), self.engine.connect() as connection:
            return standing_of(connection), revision_of(connection)

    def upgrade(self) -> tuple[Standing, str | None]:
        """Make the tables or bring them up to date, and tell what was there before. Raises RefusedToStart."""
        patient = make_engine(self.url, is_reading=False, is_durable=True, answer_seconds=UPGRADE_ANSWER_SECONDS)
        try:
            with self._starting():
                return upgrade(patient)
        finally:
            patient.dispose()

    @contextmanager
    def _starting(self) -> Iterator[None]:
        """Who starts is told why the database cannot be used, in the driver's own words but for the password."""
        try:
            with translated(self.name, is_logged=False):
                yield
        except StoreUnavailable as error:
            cause = error.__cause__
            said = cause_of(cause, self.url.password) if isinstance(cause, Exception) else error.message
            hint = ("is it a file of taskspool, whole, and yours?" if self.is_embedded
                    else "is the server running, and are its name, user and password right?")
            raise RefusedToStart(f"{self.name} is not available: {said}", hint=hint) from error

    def _translated(self) -> AbstractContextManager[None]:
        return translated(self.name, self.url.password)

    def close(self) -> None:
        self.engine.dispose()
        self._reading.dispose()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """On SQLite, one writer of this process after the other."""
        if self._writers is None:
            yield
            return
        if not self._writers.acquire(timeout=BUSY_SECONDS):
            raise StoreUnavailable("other writers of the database did not end in time")
        try:
            yield
        finally:
            self._writers.release()


def open_database(settings: Settings) -> Database:
    """The database that ``settings`` name, with this version's tables. An empty file gets them; nothing else does.

    Raises RefusedToStart with the reason, and the command that helps.
    """
    database = connect(settings)
    try:
        _make_sure(database)
    except BaseException:  # whatever it was, it goes on upward: only the connections are ours
        database.close()
        raise
    return database


def connect(settings: Settings) -> Database:
    """The database that ``settings`` name, whatever it holds. Raises RefusedToStart."""
    url = url_of(settings).render_as_string(hide_password=False)
    return Database(url, is_durable=settings.durability == "strict")


def _make_sure(database: Database) -> None:
    standing, _ = database.standing()
    if standing is Standing.EMPTY and database.is_embedded:
        database.upgrade()
        standing, _ = database.standing()
    refuse(database.name, standing)


def refuse(name: str, standing: Standing) -> None:
    """Raise RefusedToStart unless the database holds just this version's tables."""
    command = "taskspool db upgrade"
    if standing is Standing.EMPTY:
        raise RefusedToStart(f"{name} holds no tables yet", hint=f"make them: {command}")
    if standing is Standing.BEHIND:
        raise RefusedToStart(f"{name} holds the tables of an older version",
                             hint=f"keep a copy of it, then bring it up to date: {command}")
    if standing is Standing.NEWER:
        raise RefusedToStart(f"{name} holds the tables of a newer version than this one",
                             hint="install that version, or name another database")
    if standing is Standing.FOREIGN:
        raise RefusedToStart(f"{name} holds tables that are not taskspool's",
                             hint="name an empty database, or a file that does not exist yet")


def is_healthy(database: Database) -> bool:
    """Whether the database answers this moment."""
    if database.is_embedded and not Path(str(database.url.database)).is_file():
        return False  # an open file answers on after it was removed
    try:
        with database.reading() as session:
            return bool(session.scalar(text("SELECT 1")))
    except StoreUnavailable:
        return False
