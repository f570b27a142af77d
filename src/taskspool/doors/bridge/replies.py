"""What the routes of the bridge have in common: what any request may be answered, and the parameters of many."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from taskspool.doors.bridge.fields import MAX_WAIT_SECONDS
from taskspool.web.route import Parameter

Replies = Mapping[int, tuple[str, type[BaseModel] | None]]

TASK = "/api/tasks/<task_id:task_id>"
WAIT = Parameter("wait", {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SECONDS},
                 "seconds to wait when there is nothing yet; Prefer: wait=N means the same")
KEY = Parameter("Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
                "the same key and body again: the same task, created false; another body: 422", "header")
WORKER_NAME = Parameter("X-Worker-Name", {"type": "string", "format": "name"},
                        "the worker's name, where the body does not say it", "header")


def asked(more: Replies) -> Replies:
    """What any request may be answered, and ``more``."""
    return {
        400: ("a field breaks a rule; details name both", None), 403: ("a page of another site asked", None),
        421: ("the Host header is not one of ours", None), 503: ("the disk refused; try again", None), **more,
    }


def posted(more: Replies) -> Replies:
    """What a request with a body may be answered, and ``more``."""
    return asked({408: ("the body did not come", None), 413: ("the body is too large", None),
                  415: ("the body is compressed", None), **more})


def stored(more: Replies) -> Replies:
    """What a request that writes to the disk may be answered, and ``more``."""
    return posted({422: ("this Idempotency-Key came with another body before", None),
                   507: ("the disk is full", None), **more})


def count(name: str, most: int = 1000) -> Parameter:
    return Parameter(name, {"type": "integer", "minimum": 1, "maximum": most, "default": 10}, "how many at most")


def text(name: str, description: str) -> Parameter:
    return Parameter(name, {"type": "string", "format": "name"}, description)


def word(name: str, words: tuple[str, ...], description: str) -> Parameter:
    return Parameter(name, {"type": "string", "enum": [*words]}, description)


def instant(name: str, description: str) -> Parameter:
    return Parameter(name, {"type": "string", "format": "date-time"}, description)
