"""Kinds of fields that requests of several doors are made of: whole numbers, and instants of time."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from taskspool.clock import from_text

INSTANT_RULE = "an RFC 3339 time with its offset, like 2026-01-31T12:00:00Z"
INSTANT_SCHEMA = {"type": "string", "format": "date-time"}

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,12})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _whole(value: Any) -> Any:
    """JSON knows one kind of number: 3.0 is a whole one."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def instant_of(text: str) -> datetime:
    """The instant that ``text`` tells. Raises ValueError with the rule."""
    if _RFC3339.fullmatch(text) is None:
        raise ValueError(f"must be {INSTANT_RULE}")
    try:
        return from_text(text.upper())
    except ValueError:
        raise ValueError(f"must be {INSTANT_RULE}: there is no such time") from None


def _instant(value: Any) -> Any:
    return instant_of(value) if isinstance(value, str) else value


WHOLE = BeforeValidator(_whole)
Instant = Annotated[datetime | None, BeforeValidator(_instant),
                    WithJsonSchema({"anyOf": [INSTANT_SCHEMA, {"type": "null"}]})]
