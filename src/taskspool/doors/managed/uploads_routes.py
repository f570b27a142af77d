"""POST /api/v1/uploads/*: files come as a form, are kept below the root, and a task that reads each is submitted.

The file is safe on the disk before its task is; when the task is refused, nothing of the file is left.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from flask import request
from werkzeug.wrappers import Response

from taskspool.doors.managed.models import MAX_BATCH, TaskRequest
from taskspool.doors.managed.uploads_folder import Kept, UploadsFolder
from taskspool.doors.managed.uploads_form import FIELDS, MULTIPART, Form, read_into
from taskspool.doors.managed.uploads_models import UploadedTask, UploadedTasks, UploadStatistics
from taskspool.doors.managed.wire import new_task_of
from taskspool.engine.lifecycle import Queue
from taskspool.errors import InvalidRequest, PayloadTooLarge, QueueFull, StoreFull, StoreUnavailable
from taskspool.settings import Settings
from taskspool.shapes_managed import PAYLOADS, DocumentPayload
from taskspool.web.bridge import ENVELOPE_BYTES
from taskspool.web.errors import Forbidden
from taskspool.web.reply import reply
from taskspool.web.route import Route, Work
from taskspool.web.shape import fit

SWEEP_SECONDS = 600.0
"""What a crash left is looked for with an upload, no more often than this."""
_REFUSALS = (InvalidRequest, QueueFull, StoreFull)
"""After these it is certain that no task was made."""
READ_BY: Mapping[str, type[DocumentPayload]] = {
    kind: shape for kind, shape in PAYLOADS.items() if issubclass(shape, DocumentPayload)}
"""The types that read a file: what they would not take is not taken here."""
Submit = Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]
"""Bodies as POST /api/v1/tasks takes them -> the tasks as it answers them; all or none."""

log = logging.getLogger("taskspool.uploads")


class UrlsRefused(Forbidden):
    """This server fetches nothing from anywhere on behalf of a client (docs/decisions/0027-uploads.md)."""

    code = "URL_UPLOADS_REFUSED"


def upload_routes(queue: Queue, settings: Settings, submit: Submit) -> list[Route]:
    """Uploading files, one or several, and how much there is."""
    views = UploadViews(queue, settings, submit)
    most = settings.upload_max_bytes + ENVELOPE_BYTES
    return [
        Route("POST", "/api/v1/uploads/file", views.file, "Upload a file and submit the task that reads it",
              Work.SLOW, "uploads", body_types={MULTIPART: _form("file", {"type": "string", "format": "binary"})},
              max_body_bytes=most, replies={201: ("kept and submitted", UploadedTask), **_REFUSED}),
        Route("POST", "/api/v1/uploads/batch", views.batch, "Upload several files, all or none", Work.SLOW, "uploads",
              body_types={MULTIPART: _form("files", {"type": "array", "items": {"type": "string", "format": "binary"},
                                                     "minItems": 1, "maxItems": MAX_BATCH})},
              max_body_bytes=most, replies={201: ("kept and submitted", UploadedTasks), **_REFUSED}),
        Route("POST", "/api/v1/uploads/url", views.url, "Refused: nothing is fetched on behalf of a client",
              Work.SLOW, "uploads", replies={403: ("always", None)}),
        Route("GET", "/api/v1/uploads/stats", views.statistics, "How many files there are, and what they take",
              Work.SLOW, "uploads", replies={200: ("the figures", UploadStatistics), 503: ("not this moment", None)}),
    ]


_REFUSED: Mapping[int, tuple[str, None]] = {
    400: ("a field breaks its rule", None), 403: ("a page of another site asked", None),
    408: ("the body did not come", None), 413: ("too large", None),
    415: ("no form, or no document", None), 421: ("a wrong Host", None),
    503: ("QUEUE_FULL, or the disk refused; try again", None),
}


def _form(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [name, "kb_id"], "properties": {name: schema, **FIELDS}}


class UploadViews:
    def __init__(self, queue: Queue, settings: Settings, submit: Submit) -> None:
        self._settings = settings
        self._submit = submit
        self._clock = queue.clock
        self._folder = UploadsFolder(settings.root, queue, keep_bytes=settings.uploads_keep_bytes,
                                     is_durable=settings.durability == "strict")
        self._sweeping = threading.Lock()
        self._swept_at: float | None = None

    def file(self) -> Response:
        """One file, in the field ``file``."""
        with self._kept() as (form, kept):
            if len(kept) != 1:
                raise InvalidRequest("one file at a time: /api/v1/uploads/batch takes several", field="file",
                                     rule="exactly one")
            [task] = self._submit([form.task(_payload(kept[0]))])
        self._folder.confirm(kept[0])
        return reply({**task, **_told(kept[0])}, 201)

    def batch(self) -> Response:
        """One or more files, in fields of any name."""
        with self._kept() as (form, kept):
            tasks = self._submit([form.task(_payload(one)) for one in kept])
        for one in kept:
            self._folder.confirm(one)
        told = [{**task, **_told(one)} for task, one in zip(tasks, kept, strict=True)]
        return reply({"tasks": told, "count": len(told)}, 201)

    def url(self) -> Response:
        """Raises UrlsRefused: an address that a client names may lead anywhere this machine can reach (SSRF)."""
        raise UrlsRefused("this server fetches no addresses for its clients",
                          hint="fetch it yourself and send it to /api/v1/uploads/file, or put it into a file and "
                               "submit a task with its file_path")

    def statistics(self) -> Response:
        """Of the files that are there."""
        self._sweep()
        used = self._folder.usage()
        return reply({"total_files": used.count, "total_size": used.size,
                      "max_total_size": self._settings.uploads_keep_bytes,
                      "max_file_size": self._settings.upload_max_bytes})

    @contextmanager
    def _kept(self) -> Iterator[tuple[Form, list[Kept]]]:
        """The form, and its files, safe on the disk, for the block that submits their tasks.

        They are gone again when the tasks are refused; when it is not certain whether the tasks are there, the sweep
        decides.
        """
        self._sweep()
        with self._folder.room_for(int(request.environ.get("CONTENT_LENGTH") or 0)):
            form, kept = self._received()
        try:
            yield form, kept
        except _REFUSALS:
            self._drop(kept)
            raise

    def _received(self) -> tuple[Form, list[Kept]]:
        form, kept = Form(self._folder), list[Kept]()
        try:
            read_into(form, request.environ)
            self._check(form)
            for incoming in form.incoming:
                kept.append(self._folder.keep(incoming, form.kb_id))
        except BaseException:  # no task was asked for yet
            self._drop(kept)
            raise
        finally:
            form.close()
        return form, kept

    def _drop(self, kept: Sequence[Kept]) -> None:
        for one in kept:
            self._folder.drop(one)

    def _check(self, form: Form) -> None:
        if not 1 <= len(form.incoming) <= MAX_BATCH:
            raise InvalidRequest(f"the form must bring 1..{MAX_BATCH} files, not {len(form.incoming)}", field="file",
                                 rule=f"1..{MAX_BATCH} files")
        wanted = form.task({"file_path": "/"})
        new_task_of(fit(TaskRequest, wanted))  # what the fields break is told before anything is kept
        if wanted["task_type"] in READ_BY:
            fit(READ_BY[wanted["task_type"]], wanted["payload"])
        largest = max(one.file.seek(0, 2) for one in form.incoming)
        if largest > self._settings.upload_max_bytes:
            raise PayloadTooLarge(f"file is larger than {self._settings.upload_max_bytes} bytes", field="file",
                                  rule=f"at most {self._settings.upload_max_bytes} bytes")

    def _sweep(self) -> None:
        """Now and then, by whoever comes by."""
        now = self._clock.monotonic()
        if not self._sweeping.acquire(blocking=False):
            return
        try:
            if self._swept_at is None or now - self._swept_at >= SWEEP_SECONDS:
                removed = self._folder.sweep()
                self._swept_at = now
                if removed:
                    log.info("%d uploads that a crash had left are removed", removed)
        except StoreUnavailable as error:  # this upload can do without; the next one tries again
            log.warning("uploads are swept later: %s", error)
        finally:
            self._sweeping.release()


def _payload(kept: Kept) -> dict[str, Any]:
    return {"file_path": str(kept.path), "upload_id": kept.upload_id, "file_name": kept.name, "file_size": kept.size}


def _told(kept: Kept) -> dict[str, Any]:
    return {"upload_id": kept.upload_id, "file_name": kept.name, "file_size": kept.size, "kind": kept.kind.value[1:]}
