"""Types of columns that hold the same values on SQLite, PostgreSQL and MariaDB, and give back what was put in."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BINARY, BigInteger, DateTime, Dialect, Integer, LargeBinary, String, Text, Uuid
from sqlalchemy.dialects.mysql import DATETIME, LONGTEXT
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: aware in, aware UTC out, to the microsecond, from year 1 to 9999.

    Text on SQLite (it sorts as the instants do), ``timestamptz`` on PostgreSQL, ``DATETIME(6)`` in UTC on MariaDB.
    Raises ValueError for a time without a zone: which instant it means is decided where it comes in.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "mysql":
            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=dialect.name == "postgresql"))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be kept: it may be any of 26 hours")
        instant = value.astimezone(UTC)
        return instant if dialect.name == "postgresql" else instant.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None,
                             dialect: Dialect) -> datetime | None:  # noqa: ARG002  # SQLAlchemy's shape
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class JsonText(TypeDecorator[Any]):
    """A JSON value as text: the order of keys, numbers and depth stay as they are. None is NULL.

    Not the databases' own JSON: PostgreSQL's jsonb sorts keys and refuses ``\\u0000``, MariaDB's ends at depth 32.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(LONGTEXT() if dialect.name == "mysql" else Text())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002  # SQLAlchemy's shape
        return None if value is None else json.dumps(value, separators=(",", ":"), allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002  # SQLAlchemy's shape
        return None if value is None else json.loads(value)


class UuidBytes(TypeDecorator[uuid.UUID]):
    """``uuid.UUID`` in and out, ordered as its digits are: PostgreSQL's own type, 16 bytes elsewhere.

    Not the 32 digits: they stand in every index of the to-dos. Not MariaDB's own type: it sorts otherwise.
    """

    impl = Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid())
        return dialect.type_descriptor(BINARY(16) if dialect.name == "mysql" else LargeBinary(16))

    def process_bind_param(self, value: uuid.UUID | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return value if value is None or dialect.name == "postgresql" else uuid.UUID(bytes=value)


UUID = UuidBytes()
LONG_TEXT = Text().with_variant(LONGTEXT(), "mysql")
"""Text without a bound: MariaDB's plain TEXT ends at 64 KiB."""
NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A key that the database counts up: on SQLite only INTEGER does, and it has 64 bits there."""
UUID_TEXT = String(36)
"""A UUID as the engine writes it."""
