"""What the routes of this door have in common: what any request may be answered, and the places in their paths."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from taskspool.doors.managed.models import PRIORITIES, STATUSES, TASK_TYPES
from taskspool.web.route import Parameter

Replies = Mapping[int, tuple[str, type[BaseModel] | None]]

API = "/api/v1"
TASK = f"{API}/tasks/<task_id:task_id>"


def asked(more: Replies) -> Replies:
    """What any request may be answered, and ``more``."""
    return {403: ("a page of another site asked", None), 421: ("the Host header is not one of ours", None),
            503: ("SERVICE_UNAVAILABLE: the disk refused; try again", None), **more}


def posted(more: Replies) -> Replies:
    """What a request with a body may be answered, and ``more``."""
    return asked({400: ("INVALID_REQUEST: a field breaks a rule; details name both", None),
                  408: ("the body did not come", None), 413: ("the body is too large", None),
                  415: ("the body is compressed", None), **more})


def stored(more: Replies) -> Replies:
    """What a submit may be answered, and ``more``."""
    return posted({503: ("QUEUE_FULL, or SERVICE_UNAVAILABLE: the disk is full, or refused", None), **more})


MISSING: Replies = {404: ("TASK_NOT_FOUND", None)}


def _word(name: str, words: tuple[str, ...], description: str) -> Parameter:
    return Parameter(name, {"type": "string", "examples": [*words]}, f"{description}: {', '.join(words)}")


KB_ID = Parameter("kb_id", {"type": "string"}, "of this knowledge base only")
TASK_TYPE = _word("task_type", TASK_TYPES, "of this type only")
PRIORITY = _word("priority", PRIORITIES, "of this priority only")
STATUS = _word("status", STATUSES, "with this status only")
