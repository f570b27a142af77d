"""The first submit to a queue that is not there: what would be refused makes no queue."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from taskspool.doors.bridge.asked import new_task
from taskspool.doors.bridge.models import ManyTasks, NamedBatch, OlderSubmission, Submission
from taskspool.engine.documents import task_document
from taskspool.engine.task import NewTask, Task, check_name, check_new
from taskspool.settings import Settings
from taskspool.web.bridge import ENVELOPE_BYTES
from taskspool.web.shape import Shape, read

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SUBMITS: Mapping[str, type[Shape]] = {
    "/api/tasks": Submission, "/api/tasks/create": OlderSubmission, "/api/enqueue": OlderSubmission,
    "/api/tasks/batch": ManyTasks, "/api/batches": NamedBatch,
}
"""Where a POST makes a queue that is not there yet, and what it must bring."""
_ANY_ID = "00000000-0000-7000-8000-000000000000"


def check_first(environ: WSGIEnvironment, path: str, settings: Settings) -> None:
    """Raises InvalidRequest, PayloadTooLarge as the submit itself would; its body can be read again after this."""
    body = read(environ, SUBMITS[path], max_bytes=settings.max_task_bytes + ENVELOPE_BYTES,
                max_depth=settings.max_depth)
    if isinstance(body, NamedBatch) and body.name is not None:
        check_name("name", body.name)
    if isinstance(body, ManyTasks):
        for one in body.tasks:
            _check(new_task(one), settings)
    elif isinstance(body, Submission):
        _check(new_task(body, is_lenient=isinstance(body, OlderSubmission)), settings)


def _check(new: NewTask, settings: Settings) -> None:
    check_new(new)
    task_document(Task(_ANY_ID, new.type, new.data, new.requester, datetime.now(UTC), new.priority, new.max_retries,
                       options=new.kept_options), settings.max_task_bytes)
