"""What the schema-driven fuzzer is told beyond the description: what a name surely is, and not to wait for long."""

from __future__ import annotations

import string
from typing import Any

import schemathesis
from hypothesis import strategies

NAME_CHARACTERS = string.ascii_letters + string.digits + "-_"
SHORT_SECONDS = 0.05

schemathesis.openapi.format("name", strategies.text(NAME_CHARACTERS, min_size=1, max_size=100))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """A wait that is allowed is cut short; one that is not stays, to be refused."""
    for values in (case.query, case.body):
        wait = values.get("wait") if isinstance(values, dict) else None
        if isinstance(wait, int | float | str) and not isinstance(wait, bool) and _is_long(str(wait)):
            values["wait"] = type(wait)(SHORT_SECONDS) if not isinstance(wait, int) else 0


def _is_long(text: str) -> bool:
    try:
        return SHORT_SECONDS < float(text) <= 25
    except ValueError:
        return False
