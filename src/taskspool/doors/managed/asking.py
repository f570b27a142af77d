"""What clients ask for, read from their requests: bodies, reports of progress, filters of lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from taskspool.doors.managed.dialect import EmptyRequest, InvalidProgress, InvalidQuery, TooManyTasks
from taskspool.doors.managed.models import MAX_BATCH, ProgressReport, TaskRequest
from taskspool.doors.managed.wire import PRIORITY, RETRYING, STATUS, new_task_of
from taskspool.engine.index_query import Filter
from taskspool.engine.task import NewTask, State
from taskspool.errors import InvalidRequest
from taskspool.settings import Settings
from taskspool.web.bridge import ENVELOPE_BYTES
from taskspool.web.json_body import parse, parse_object
from taskspool.web.shape import fit, raw_body

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
SORT_KEYS: Mapping[str, str] = {
    "created_at": "created_at", "updated_at": "updated_at", "completed_at": "finished_at", "priority": "priority",
    "status": "state", "task_type": "type",
}
"""``sort_by`` -> what the index calls it. Nothing else ever gets near it."""
_NUMBER = re.compile(r"-?[0-9]{1,15}", re.ASCII)
_FINAL = frozenset(state for state in State if state.is_final)


# -- bodies ----------------------------------------------------------------------------------------------------------


def body_of(environ: WSGIEnvironment, settings: Settings) -> bytes:
    return raw_body(environ, settings.max_task_bytes + ENVELOPE_BYTES)


def one_task(raw: bytes, max_depth: int) -> NewTask:
    """The task of a body. Raises InvalidRequest."""
    return new_task_of(fit(TaskRequest, parse_object(raw, max_depth)))


def many_tasks(raw: bytes, max_depth: int) -> list[NewTask]:
    """The tasks of a body that is an array of 1..100. Raises InvalidRequest, naming the number of the bad one."""
    found = parse(raw, max_depth + 1) if raw else None
    if not isinstance(found, list):
        raise InvalidRequest("the body must be a JSON array of tasks", field="body", rule="array")
    return tasks_of(found)


def tasks_of(bodies: Sequence[Any]) -> list[NewTask]:
    """Bodies as they were parsed from JSON. Raises InvalidRequest, naming the number of the bad one, from 0."""
    if not bodies:
        raise EmptyRequest("at least one task is required", field="body", rule=f"1..{MAX_BATCH} tasks")
    if len(bodies) > MAX_BATCH:
        raise TooManyTasks(f"at most {MAX_BATCH} tasks are taken at once, not {len(bodies)}", field="body",
                           rule=f"1..{MAX_BATCH} tasks")
    return [_numbered(number, body) for number, body in enumerate(bodies)]


def _numbered(number: int, body: Any) -> NewTask:
    if not isinstance(body, dict):
        raise InvalidRequest(f"task {number} must be a JSON object", field=f"{number}", rule="object")
    try:
        return new_task_of(fit(TaskRequest, body))
    except InvalidRequest as error:  # told again with the number of the task it was found in
        details = {**error.details, "field": f"{number}.{error.details.get('field', 'body')}"}
        raise type(error)(f"task {number}: {error.message}", hint=error.hint, **details) from None


def progress_of(raw: bytes, content_type: str, max_depth: int) -> ProgressReport:
    """A report as JSON, or as a form: the document shows the one, the clients send the other.

    What begins like an object is one, whatever its Content-Type says: that is how curl -d sends it.
    Raises InvalidProgress, InvalidRequest.
    """
    if content_type.lower().startswith("application/json") or raw.lstrip()[:1] == b"{":
        told = parse_object(raw, max_depth)
        percent = told.get("progress")
    else:
        told = dict(parse_qsl(raw.decode(errors="replace"), keep_blank_values=True))
        text = told.get("progress", "")
        percent = int(text) if _NUMBER.fullmatch(text) else text
    if isinstance(percent, float) and percent.is_integer():
        percent = int(percent)
    if type(percent) is not int or not 0 <= percent <= 100:
        raise InvalidProgress("progress must be a whole number in 0..100", field="progress", rule="0..100")
    return fit(ProgressReport, {**told, "progress": percent})


# -- lists -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listing:
    """What a list is asked for: ``wanted`` None: something that no task is. ``sort`` as the index knows it."""

    wanted: Filter | None
    sort: str
    page: int
    page_size: int

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


def listing_of(query: Mapping[str, str]) -> Listing:
    """``query``: name -> its value; an empty one asks nothing. Raises InvalidQuery."""
    told = {name: value for name, value in query.items() if value}
    sort_by, sort = _sort_of(told)
    wanted = filter_of(told)
    if wanted is not None and sort_by == "completed_at":  # only what has ended has it
        wanted = replace(wanted, states=_FINAL & (_FINAL if wanted.states is None else wanted.states))
    return Listing(wanted, sort, number_of(query, "page", 1, 1, 10**15 - 1),
                   number_of(query, "page_size", DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE))


def filter_of(told: Mapping[str, str]) -> Filter | None:
    """None: a value that no task has; a word nobody knows is not an error here, but finds nothing."""
    wanted = Filter(group=told.get("kb_id"))
    if "task_type" in told:
        wanted = replace(wanted, types=frozenset({told["task_type"]}))
    if "priority" in told:
        if told["priority"] not in PRIORITY:
            return None
        wanted = replace(wanted, priorities=frozenset({PRIORITY[told["priority"]]}))
    return wanted if "status" not in told else _with_status(wanted, told["status"])


def _with_status(wanted: Filter, status: str) -> Filter | None:
    if status == RETRYING:
        return replace(wanted, states=frozenset({State.SCHEDULED}), is_retrying=True)
    states = frozenset(state for state, word in STATUS.items() if word == status)
    if not states:
        return None
    return replace(wanted, states=states, is_retrying=False if State.SCHEDULED in states else None)


def _sort_of(told: Mapping[str, str]) -> tuple[str, str]:
    """(what it is sorted by, the index's word for it): newest first; what is named alone rises."""
    sort_by, order = told.get("sort_by", "created_at"), told.get("sort_order", "").lower()
    if sort_by not in SORT_KEYS:
        raise _bad("sort_by", f"one of {'|'.join(SORT_KEYS)}")
    if order not in ("", "asc", "desc"):
        raise _bad("sort_order", "asc or desc")
    falls = order == "desc" or (not order and "sort_by" not in told)
    return sort_by, f"-{SORT_KEYS[sort_by]}" if falls else SORT_KEYS[sort_by]


def number_of(query: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A whole number of the query. Raises InvalidQuery."""
    text = query.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not low <= int(text) <= high:
        raise _bad(name, f"a whole number in {low}..{high}")
    return int(text)


def _bad(field: str, rule: str) -> InvalidQuery:
    return InvalidQuery(f"{field} must be {rule}", field=field, rule=rule)


Submit = Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]
"""Bodies as POST /api/v1/tasks takes them -> the tasks as it answers them, all or none."""
