"""What the schema-driven fuzzer is told beyond the description: what names and times are, and not to wait long."""

from __future__ import annotations

import string
from datetime import datetime
from typing import Any

import schemathesis
from hypothesis import strategies

NAME_CHARACTERS = string.ascii_letters + string.digits + "-_"
SHORT_SECONDS = 0.05

schemathesis.openapi.format("name", strategies.text(NAME_CHARACTERS, min_size=1, max_size=60))
schemathesis.openapi.format("date-time", strategies.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(
    lambda instant: instant.isoformat() + "Z"))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A wait that is allowed is cut short; one that is not stays, to be refused. Events are asked for as a list, logs
    as a page."""
    if case.path.endswith("/events"):
        case.headers = {**(case.headers or {}), "Accept": "application/json"}
    if case.path.endswith("/log") and isinstance(case.query, dict) and case.query.get("follow") == "1":
        case.query["follow"] = "0"
    if case.path.endswith("/polling/status") and isinstance(case.query, dict):
        case.query.setdefault("timeout", 0)
    for values in (case.query, case.body):
        wait = values.get("wait") if isinstance(values, dict) else None
        if isinstance(wait, int | float | str) and not isinstance(wait, bool) and _is_long(str(wait)):
            values["wait"] = type(wait)(SHORT_SECONDS) if not isinstance(wait, int) else 0


def _is_long(text: str) -> bool:
    try:
        return SHORT_SECONDS < float(text) <= 25
    except ValueError:
        return False
