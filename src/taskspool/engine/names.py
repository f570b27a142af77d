"""What may be a name or an id: the only texts that get near a path."""

from __future__ import annotations

import re

from taskspool.errors import InvalidRequest

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
MAX_TYPE_CHARS = 128
MAX_NAME_CHARS = 128


def is_task_id(text: object) -> bool:
    """Whether ``text`` is a lower-case UUID text: the only thing that may become part of a path."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def check_name(field: str, text: object, max_chars: int = MAX_NAME_CHARS) -> str:
    """``text`` if it is a name: 1..max_chars characters, none of them a control character or half a character.

    Raises InvalidRequest naming ``field``.
    """
    rule = f"a text of 1..{max_chars} characters without control characters"
    if not isinstance(text, str) or not 1 <= len(text) <= max_chars or not text.isprintable():
        raise InvalidRequest(f"{field} must be {rule}", field=field, rule=rule)
    return text
