"""What a worker and the process of its handlers say to each other: a line of JSON each.

    worker:  {"run": context, "data": ...}   {"stop": reason}   {"reply": call, "value" or "error"}   {"quit": true}
    process: {"ready": true} or {"refused": text, "hint": text}   {"begun": true}   {"done": outcome}
             {"log": [stream, text]}   {"progress": [percent, message]}
             {"checkpoint": value, "call": n}   {"submit": body, "key": text, "call": n}      (answered by a reply)
             {"look": ids, "call": n}           {"cancel": id, "reason": text, "call": n}      (answered by a reply)

The worker's lines come on stdin, the process's go to a pipe of their own: stdout and stderr are the handler's, and
become the live log. Not pickle: what a broken process says must not run in the worker.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from taskspool.client_wire import error_of
from taskspool.clock import from_text, to_text
from taskspool.engine.lifecycle import Failure
from taskspool.errors import TaskspoolError
from taskspool.worker.calling import Outcome, Putoff, Success
from taskspool.worker.contact import Contact
from taskspool.worker.context import TaskContext

Message = Mapping[str, Any]

_FIELDS = ("task_id", "type", "requester", "attempt", "worker", "previous_error", "previous_checkpoint", "max_attempts",
           "priority", "group", "parent")


def line_of(message: Message) -> bytes:
    """ASCII, so that also half characters get through."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def context_json(context: TaskContext) -> dict[str, Any]:
    deadline = None if context.deadline is None else to_text(context.deadline)
    return {name: getattr(context, name) for name in _FIELDS} | {"deadline": deadline}


def context_from(body: Message, contact: Contact) -> TaskContext:
    deadline = None if body["deadline"] is None else from_text(body["deadline"])
    return TaskContext(**{name: body[name] for name in _FIELDS}, deadline=deadline, contact=contact)


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Success(data):
            return {"success": data}
        case Putoff(delay_seconds, reason):
            return {"putoff": [delay_seconds, reason]}
        case Failure():
            return {"failure": [outcome.message, outcome.retryable, outcome.retry_after_seconds]}


def outcome_from(body: Message) -> Outcome:
    """The outcome that ``outcome_json`` made into ``body``."""
    if "success" in body:
        return Success(body["success"])
    if "putoff" in body:
        return Putoff(*body["putoff"])
    message, retryable, retry_after = body["failure"]
    return Failure(message, retryable=retryable, retry_after_seconds=retry_after)


def error_json(error: TaskspoolError) -> dict[str, Any]:
    return {"code": error.code, "message": error.message, "hint": error.hint, "status": error.status}


def error_from(body: Message) -> TaskspoolError:
    """The same error again, on the other side."""
    return error_of(int(body["status"]), body)
