"""What every table has in common: the names of its constraints, and how MariaDB keeps its text."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData
from sqlalchemy.orm import DeclarativeBase

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s", "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""Names that do not depend on the database, so that a later migration can speak of them."""
TABLE_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_nopad_bin",
}
"""Text is compared letter by letter on all three: MariaDB's usual way takes "a", "A" and "a " for the same."""


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    __table_args__: Any = TABLE_OPTIONS
