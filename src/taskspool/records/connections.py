"""How a connection to each of the three databases begins: its guarantees, its patience, its clock."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import IntegrityError, NoSuchModuleError

from taskspool.errors import RefusedToStart
from taskspool.records.urls import EXTRAS, is_embedded

BUSY_SECONDS = 10.0
"""How long a writer waits for another before it gives up."""
CONNECT_SECONDS = 5
ANSWER_SECONDS = 60
"""A server that says nothing for so long is taken for gone."""
UPGRADE_ANSWER_SECONDS = 3_600
"""The same while tables are changed: an index of a large one takes its time."""
MARIADB_CHECK_FAILED = 4025
"""Source: MariaDB's list of error codes, ER_CONSTRAINT_FAILED."""
POOL = {"pool_size": 8, "max_overflow": 40, "pool_timeout": BUSY_SECONDS}
"""More than the threads of a door, so that none of them waits for a connection of another."""


def make_engine(url: URL, *, is_reading: bool, is_durable: bool, answer_seconds: int = ANSWER_SECONDS) -> Engine:
    """An engine whose connections only read, and see one instant of the database in a transaction; or one that writes.

    Raises RefusedToStart when the driver is not installed.
    """
    options = _OPTIONS[url.get_backend_name()](is_reading, answer_seconds)
    try:
        engine = create_engine(url, hide_parameters=True, **POOL, **options)
    except (ImportError, NoSuchModuleError):
        extra = EXTRAS[url.get_backend_name()]
        raise RefusedToStart(f"the driver for {url.get_backend_name()} is not installed",
                             hint=f"pip install 'taskspool[{extra}]'") from None
    if is_embedded(url):
        _prepare_sqlite(engine, is_reading, is_durable)
    elif engine.dialect.name == "postgresql":
        _prepare_postgresql(engine, is_reading)
    else:
        event.listen(engine, "handle_error", _name_check_failure)
    return engine


def _sqlite_options(_is_reading: bool, _answer_seconds: int) -> dict[str, Any]:
    return {"connect_args": {"timeout": BUSY_SECONDS, "check_same_thread": False}}


def _postgresql_options(is_reading: bool, answer_seconds: int) -> dict[str, Any]:
    level = "REPEATABLE READ" if is_reading else "READ COMMITTED"
    return {"pool_pre_ping": True, "isolation_level": level,
            "connect_args": {"connect_timeout": CONNECT_SECONDS, "tcp_user_timeout": answer_seconds * 1000,
                             "application_name": "taskspool"}}


def _mariadb_options(is_reading: bool, answer_seconds: int) -> dict[str, Any]:
    level = "REPEATABLE READ" if is_reading else "READ COMMITTED"
    begin = (f"SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00', "
             f"innodb_lock_wait_timeout = {int(BUSY_SECONDS)}, tx_read_only = {int(is_reading)}")
    return {"pool_pre_ping": True, "isolation_level": level, "pool_recycle": 1800,
            "connect_args": {"connect_timeout": CONNECT_SECONDS, "read_timeout": answer_seconds,
                             "write_timeout": answer_seconds, "charset": "utf8mb4", "init_command": begin}}


_OPTIONS = {"sqlite": _sqlite_options, "postgresql": _postgresql_options, "mysql": _mariadb_options}


def _prepare_sqlite(engine: Engine, is_reading: bool, is_durable: bool) -> None:
    """Foreign keys, the write-ahead log, and transactions that begin when we say so: a writer's with the lock in hand.

    The driver's own way begins one at the first write, after reads that may be stale by then.
    """

    def on_connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for order in (f"busy_timeout = {int(BUSY_SECONDS * 1000)}", "foreign_keys = ON",
                      f"synchronous = {'FULL' if is_durable else 'NORMAL'}", "cache_size = -65536",
                      f"query_only = {'ON' if is_reading else 'OFF'}"):
            connection.execute(f"PRAGMA {order}")

    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if is_reading else "BEGIN IMMEDIATE")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _prepare_postgresql(engine: Engine, is_reading: bool) -> None:
    def on_connect(connection: Any, _record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
        connection.commit()
        connection.read_only = is_reading

    event.listen(engine, "connect", on_connect)


def _name_check_failure(context: ExceptionContext) -> None:
    """MariaDB's driver takes a value that a check refuses for a failure of the server."""
    error = context.original_exception
    if error.args and error.args[0] == MARIADB_CHECK_FAILED:
        raise IntegrityError(context.statement, None, error) from error
