"""The queues beside us, each behind the same four words: enqueue, take (dequeue and acknowledge), open, close.

Every peer is used the way its documentation shows, with its own defaults. None of them is needed: what is not
installed, or not running, is skipped with the reason (``pip install -r benchmarks/requirements.txt``).
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

POSTGRESQL = os.environ.get("BENCHMARK_POSTGRESQL", "host=127.0.0.1 port=5432 dbname=test user=postgres")
REDIS = os.environ.get("BENCHMARK_REDIS", "redis://127.0.0.1:6379/15")


class Absent(Exception):
    """The peer cannot be measured here; the text says why."""


class Peer(Protocol):
    """One open queue of a peer. May be used by many threads only where ``PEERS`` says so."""

    def enqueue(self, work: bytes) -> None: ...

    def take(self) -> bytes:
        """Take one piece of work and acknowledge it."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind:
    """A peer: how to open it in a folder, and what it promises."""

    name: str
    open: Callable[[Path], Peer]
    is_durable: bool
    has_many_callers: bool = False


class Dirq:
    def __init__(self, folder: Path) -> None:
        from dirq.QueueSimple import QueueSimple

        self._queue = QueueSimple(str(folder / "dirq"))
        self._names: Any = None

    def enqueue(self, work: bytes) -> None:
        self._queue.add(work)

    def take(self) -> bytes:
        while True:
            name = self._queue.first() if self._names is None else self._queue.next()
            self._names = name or None
            if name and self._queue.lock(name):
                work: bytes = self._queue.get(name)
                self._queue.remove(name)
                return work

    def close(self) -> None:
        pass


class Huey:
    def __init__(self, storage: Any) -> None:
        self._storage = storage

    def enqueue(self, work: bytes) -> None:
        self._storage.enqueue(work)

    def take(self) -> bytes:
        work: bytes = self._storage.dequeue()
        return work

    def close(self) -> None:
        if hasattr(self._storage, "close"):
            self._storage.close()


def huey_file(folder: Path) -> Peer:
    from huey.storage import FileStorage

    return Huey(FileStorage("b", str(folder / "huey")))


def huey_sqlite(folder: Path) -> Peer:
    from huey.storage import SqliteStorage

    return Huey(SqliteStorage("b", str(folder / "huey.db")))


class PersistFile:
    def __init__(self, folder: Path) -> None:
        from persistqueue import Queue

        self._queue = Queue(str(folder / "persist"))

    def enqueue(self, work: bytes) -> None:
        self._queue.put(work)

    def take(self) -> bytes:
        work: bytes = self._queue.get()
        self._queue.task_done()
        return work

    def close(self) -> None:
        pass


class PersistAck:
    def __init__(self, folder: Path) -> None:
        from persistqueue import SQLiteAckQueue

        self._queue = SQLiteAckQueue(str(folder / "ack"), multithreading=True)

    def enqueue(self, work: bytes) -> None:
        self._queue.put(work)

    def take(self) -> bytes:
        work: bytes = self._queue.get()
        self._queue.ack(work)
        return work

    def close(self) -> None:
        self._queue.close()


class Lite:
    def __init__(self, folder: Path) -> None:
        from litequeue import LiteQueue

        self._queue = LiteQueue(str(folder / "lite.db"))

    def enqueue(self, work: bytes) -> None:
        self._queue.put(work.decode())

    def take(self) -> bytes:
        message = self._queue.pop()
        self._queue.done(message.message_id)
        work: bytes = message.data.encode()
        return work

    def close(self) -> None:
        self._queue.close()


class PostgreSQL:
    """A table, and the usual ``FOR UPDATE SKIP LOCKED``: claimed in one transaction, deleted in a second."""

    def __init__(self, folder: Path, table: str | None = None) -> None:
        import psycopg

        self._own = table is None
        self.table = table or f"taskspool_benchmark_{uuid.uuid4().hex[:12]}"
        try:
            self._connection = psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3)
        except psycopg.OperationalError as error:
            raise Absent(f"no PostgreSQL: {str(error).splitlines()[0]}") from error
        name = self.table
        if self._own:
            self._connection.execute(f"CREATE TABLE {name} (id bigserial PRIMARY KEY, work bytea NOT NULL, "
                                     "state text NOT NULL DEFAULT 'ready')")
            self._connection.execute(f"CREATE INDEX ON {name} (id) WHERE state = 'ready'")
        self._insert = f"INSERT INTO {name} (work) VALUES (%b)"
        self._claim = (f"UPDATE {name} SET state = 'claimed' WHERE id = (SELECT id FROM {name} WHERE state = 'ready' "
                       "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, work")
        self._done = f"DELETE FROM {name} WHERE id = %s"

    def enqueue(self, work: bytes) -> None:
        self._connection.execute(self._insert, (work,))

    def take(self) -> bytes:
        row = self._connection.execute(self._claim).fetchone()
        assert row is not None
        self._connection.execute(self._done, (row[0],))
        return bytes(row[1])

    def another(self) -> PostgreSQL:
        """A second connection to the same table: one caller, one connection."""
        return PostgreSQL(Path(), self.table)

    def close(self) -> None:
        if self._own:
            self._connection.execute(f"DROP TABLE {self.table}")
        self._connection.close()


class Redis:
    """A list, moved to a second list while it is worked on."""

    def __init__(self, folder: Path) -> None:
        import redis

        self._redis = redis.Redis.from_url(REDIS)
        try:
            self._redis.ping()
        except redis.exceptions.ConnectionError as error:
            raise Absent(f"no Redis: {error}") from error
        self._ready = f"taskspool-benchmark-{uuid.uuid4().hex}"
        self._taken = f"{self._ready}-taken"

    def enqueue(self, work: bytes) -> None:
        self._redis.lpush(self._ready, work)

    def take(self) -> bytes:
        work: bytes = self._redis.lmove(self._ready, self._taken, "RIGHT", "LEFT")
        self._redis.lrem(self._taken, 1, work)
        return work

    def close(self) -> None:
        self._redis.delete(self._ready, self._taken)
        self._redis.close()


KINDS = (
    Kind("python-dirq", Dirq, is_durable=False),
    Kind("huey FileStorage", huey_file, is_durable=False),
    Kind("huey SqliteStorage", huey_sqlite, is_durable=True, has_many_callers=True),
    Kind("persist-queue file", PersistFile, is_durable=False),
    Kind("persist-queue SQLiteAck", PersistAck, is_durable=True),
    Kind("litequeue", Lite, is_durable=False),
    Kind("PostgreSQL SKIP LOCKED", PostgreSQL, is_durable=True, has_many_callers=True),
    Kind("Redis list", Redis, is_durable=False),
)
BARS: Mapping[str, tuple[float | None, float | None]] = {
    "python-dirq": (1.2, None), "huey SqliteStorage": (None, 2.0), "PostgreSQL SKIP LOCKED": (None, 2.0),
    "persist-queue file": (None, 2.0), "persist-queue SQLiteAck": (None, 2.0), "litequeue": (None, 2.0),
}
"""Peer -> what performance.md asks of our (submit, claim + complete) in relation to it."""


def open_peer(kind: Kind, folder: Path) -> Peer:
    """Raises Absent."""
    try:
        return kind.open(folder)
    except ImportError as error:
        raise Absent(f"{error.name} is not installed") from error
