"""Task and Result as the JSON texts of the folder, and back.

The keys of the public contract (seed 002) always stand first and mean what they meant there. Old programs build their
own objects from all keys they find, and break on one they do not know. So an ordinary waiting task has exactly their
eight keys; what is ours alone sits in one object ``taskspool``, which is left out while it would say nothing. A result
always has exactly their six keys, for it is they who wait for it: what is ours alone, attempt and token of the lease,
stands in the note of the seal behind it (``seal``). Every file of ours is sealed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]  # typeshed lacks the first

from taskspool.clock import from_text, to_text
from taskspool.engine.layout import TOKEN_PATTERN, parse_token
from taskspool.engine.own_fields import fields_of, own_of
from taskspool.engine.seal import Broken, seal, unseal
from taskspool.engine.task import MAX_TYPE_CHARS, JsonValue, Result, Task, check_name
from taskspool.errors import InvalidRequest, PayloadTooLarge

OWN_KEY = "taskspool"
MAX_FOREIGN_DEPTH = 200
_STATUS = {"error": "error", "failed": "error", "failure": "error", "cancelled": "cancelled", "canceled": "cancelled"}
_RECEIPT = re.compile(rf"([0-9]{{1,9}}) ({TOKEN_PATTERN})")
_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")


def _encoder() -> Callable[[JsonValue], str]:
    """What ``JSONEncoder.encode`` does, made once: it makes its C encoder anew with every call, which takes as long as
    the encoding itself."""
    whole = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False)
    if c_make_encoder is None:  # an interpreter without the C module
        return whole.encode
    chunks = c_make_encoder(None, whole.default, encode_basestring, None, ": ", ", ", False, False, False)
    return lambda document: "".join(chunks(document, 0))


_encode = _encoder()
EMPTY_BYTES = len(_encode({"": 0}))
"""What stands around a value of one digit, with the end of the line in place of that."""


class Unreadable(Exception):
    """The content is not a task, or not a result; the text says which rule it breaks."""


class Incomplete(Unreadable):
    """Not whole JSON: perhaps somebody is still writing it."""


def task_document(task: Task, max_bytes: int) -> bytes:
    """Raises InvalidRequest when ``data`` cannot be JSON, PayloadTooLarge beyond ``max_bytes``."""
    document: dict[str, JsonValue] = {
        "id": task.id, "type": task.type, "requester": task.requester, "data": task.data, "status": "pending",
        "created_at": to_text(task.created_at), "assigned_to": None, "updated_at": None,
    }
    own = own_of(task)
    if own:
        document[OWN_KEY] = own
    return sealed(document, max_bytes, "data")


def result_document(result: Result, max_bytes: int) -> bytes:
    """The six keys and, when a lease of ours was finished, its receipt.

    Raises InvalidRequest, PayloadTooLarge as ``task_document`` does.
    """
    content = encode({
        "task_id": result.task_id, "worker": result.worker, "status": result.status, "data": result.data,
        "completed_at": to_text(result.completed_at), "error_message": result.error_message,
    }, max_bytes, "data")
    return seal(content, f"{result.attempt} {result.token}".encode("ascii") if result.token else b"")


def _receipt_of(note: bytes | None) -> tuple[int | None, str | None]:
    """(attempt, token) of the lease that was finished with this result; (None, None) when no receipt of ours is there.

    A foreign program that writes the file anew leaves it out: then nobody's token finished the task.
    """
    match = _RECEIPT.fullmatch((note or b"").decode("latin-1"))
    return (None, None) if match is None else (int(match[1]), match[2])


def sealed(document: Mapping[str, JsonValue], max_bytes: int, field: str) -> bytes:
    """``encode`` with its seal, which is not counted in ``max_bytes``."""
    return seal(encode(document, max_bytes, field))


def encode(document: Mapping[str, JsonValue], max_bytes: int, field: str) -> bytes:
    """One line of JSON, UTF-8, non-ASCII as it is, with an end of line."""
    try:
        content = (_encode(document) + "\n").encode("utf-8")
    except (ValueError, TypeError, RecursionError) as error:
        rule = "JSON: no NaN or Infinity, no half characters, only text keys, not nested without end"
        raise InvalidRequest(f"{field} is not {rule} ({error})", field=field, rule=rule) from error
    if len(content) > max_bytes:
        raise PayloadTooLarge(f"{field} makes a file of {len(content)} bytes, {max_bytes} are allowed", field=field,
                              rule=f"at most {max_bytes} bytes", bytes=len(content))
    return content


def check_size(field: str, value: JsonValue, max_bytes: int) -> None:
    """Raises InvalidRequest when ``value`` cannot be JSON, PayloadTooLarge beyond ``max_bytes``."""
    size = len(encode({"": value}, 1 << 62, field)) - EMPTY_BYTES
    if size > max_bytes:
        raise PayloadTooLarge(f"{field} is {size} bytes of JSON, {max_bytes} are allowed", field=field,
                              rule=f"at most {max_bytes} bytes", bytes=size)


def parse(content: bytes) -> dict[str, JsonValue]:
    """The JSON object in a file. UTF-8 with or without a mark, or UTF-16 with one (PowerShell's Out-File).

    Raises Incomplete when the JSON is not whole or its seal is broken, Unreadable when it is whole but no object.
    """
    return _parse(content)[0]


def _parse(content: bytes) -> tuple[dict[str, JsonValue], bytes | None]:
    """The object, and the note of its seal."""
    try:
        content, note = unseal(content)
    except Broken as error:
        raise Incomplete(str(error)) from error
    try:
        text = content.decode("utf-16") if content.startswith(_UTF16_MARKS) else \
            content.removeprefix(_UTF8_MARK).decode()
        document = _decode(text)
    except (ValueError, RecursionError) as error:
        raise Incomplete(f"it is not whole JSON: {error}") from error
    if not isinstance(document, dict):
        raise Unreadable("it is JSON, but not an object")
    if b"\\u" in content or content.count(b"[") + content.count(b"{") > MAX_FOREIGN_DEPTH:
        _refuse_unwritable(document)
    return document, note


def _refuse_unwritable(document: JsonValue) -> None:
    """What Python reads but must not be handed on: half characters, endless nesting."""
    try:
        _encode(document).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it cannot be written as JSON again: {error}") from error
    level, depth = [document], 0
    while level:
        depth += 1
        if depth > MAX_FOREIGN_DEPTH:
            raise Unreadable(f"it is nested deeper than {MAX_FOREIGN_DEPTH}")
        level = [inner for outer in level if isinstance(outer, dict | list)
                 for inner in (outer.values() if isinstance(outer, dict) else outer)]


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode


def task_of(document: Mapping[str, JsonValue], task_id: str, seen_at: datetime) -> Task:
    """The task in a file named after ``task_id``. Lenient where foreign writers are: only ``type`` must be there.

    ``seen_at`` stands in for a time the file does not tell. Raises Unreadable naming the field and the rule.
    """
    if document.get("id") not in (None, task_id):
        raise Unreadable(f"its id {document['id']!r} is not the one in its name")
    data = document.get("data")
    if data is not None and not isinstance(data, dict):
        raise Unreadable("data must be a JSON object")
    own = document.get(OWN_KEY)
    try:
        task = Task(
            task_id, check_name("type", document.get("type", document.get("task_type")), MAX_TYPE_CHARS), data or {},
            str(document.get("requester") or "unknown")[:128], _instant(document.get("created_at"), seen_at),
            **(fields_of(own) if isinstance(own, dict) else {}),
        )
        _ = task.ends_at  # raises OverflowError when that is beyond the calendar
    except (InvalidRequest, ValueError, OverflowError) as error:
        raise Unreadable(str(error)) from error
    return task


def result_of(content: bytes, task_id: str, seen_at: datetime) -> Result:
    """The result in a file; any status but error, failed, failure and cancelled is a success.

    ``seen_at`` stands in for a time the file does not tell. Raises Incomplete, Unreadable as ``parse`` does.
    """
    document, note = _parse(content)
    word = str(document.get("status", "success")).lower()
    message = document.get("error_message", document.get("error"))
    attempt, token = _receipt_of(note)
    return Result(
        task_id, str(document.get("worker") or "unknown"),
        _STATUS.get(word, "success"), document.get("data"),
        _instant(document.get("completed_at"), seen_at), None if message is None else str(message), attempt, token,
        None if token is None else parse_token(token).claimed_at,
    )


def foreign_holder(document: Mapping[str, JsonValue]) -> str | None:
    """Who has popped this task in place, the way of the old library; None when nobody has."""
    if document.get("status") in (None, "pending", "queued"):
        return None
    return str(document.get("assigned_to") or "unknown")


def _instant(value: JsonValue, otherwise: datetime) -> datetime:
    if not isinstance(value, str):
        return otherwise
    try:
        return from_text(value)
    except (ValueError, OverflowError):
        return otherwise
