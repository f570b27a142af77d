"""The forms that uploads come in (multipart/form-data): fields, and files, which go to the disk as they are read.

Parsed by Werkzeug; what it finds wrong is told as a clear 400.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING, Any

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from taskspool.doors.managed.models import MAX_BATCH
from taskspool.doors.managed.uploads_folder import Incoming, UploadsFolder
from taskspool.engine import files
from taskspool.errors import InvalidRequest, PayloadTooLarge
from taskspool.web.errors import UnsupportedMedia

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MULTIPART = "multipart/form-data"
MAX_FIELD_BYTES = 65_536
"""All fields that are no files."""
MAX_PARTS = MAX_BATCH + 50
NUMBERS = ("max_retries", "timeout")
TEXTS = ("task_type", "priority", "schedule_for")
PAYLOAD_NUMBERS = ("chunk_size", "chunk_overlap")
_NUMBER = re.compile(r"-?[0-9]{1,9}", re.ASCII)
FIELDS: Mapping[str, Any] = {
    "kb_id": {"type": "string", "minLength": 1, "maxLength": 36},
    "task_type": {"type": "string", "default": "document_processing"},
    "priority": {"type": "string"}, "schedule_for": {"type": "string", "format": "date-time"},
    **{name: {"type": "integer"} for name in (*NUMBERS, *PAYLOAD_NUMBERS)},
}
"""JSON Schema of what may stand beside the files."""


class Form:
    """What came: ``fields``, and ``incoming`` files in order. ``close`` removes those that were not kept."""

    def __init__(self, folder: UploadsFolder) -> None:
        self.incoming: list[Incoming] = []
        self.fields: dict[str, str] = {}
        self._folder = folder

    def begin(self, total_content_length: int | None, content_type: str | None,  # noqa: ARG002  # Werkzeug's signature
              filename: str | None, content_length: int | None = None) -> IO[bytes]:  # noqa: ARG002  # as above
        """What Werkzeug asks for each file."""
        one = self._folder.begin(filename or "")
        self.incoming.append(one)
        return one.file

    def close(self) -> None:
        for one in self.incoming:
            self._folder.forget(one)

    def task(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """The task that is asked for, as POST /api/v1/tasks takes it. Raises InvalidRequest."""
        wanted: dict[str, Any] = {"task_type": "document_processing", "kb_id": self.kb_id}
        wanted |= {name: self.fields[name] for name in TEXTS if self.fields.get(name)}
        wanted |= {name: self._number(name) for name in NUMBERS if self.fields.get(name)}
        chunks = {name: self._number(name) for name in PAYLOAD_NUMBERS if self.fields.get(name)}
        return {**wanted, "payload": {**payload, **chunks}}

    @property
    def kb_id(self) -> str:
        if not self.fields.get("kb_id"):
            raise InvalidRequest("kb_id is missing", field="kb_id", rule="is missing")
        return self.fields["kb_id"]

    def _number(self, name: str) -> int:
        text = self.fields[name].strip()
        if not _NUMBER.fullmatch(text):
            raise InvalidRequest(f"{name} must be a whole number", field=name, rule="must be a whole number")
        return int(text)


def read_into(form: Form, environ: WSGIEnvironment) -> Form:
    """``form``, with what the request brought. Raises InvalidRequest, UnsupportedMedia, PayloadTooLarge,
    StoreUnavailable."""
    if environ.get("CONTENT_TYPE", "").partition(";")[0].strip().lower() != MULTIPART:
        raise UnsupportedMedia(f"the body must be a form with files: Content-Type: {MULTIPART}", field="Content-Type",
                               rule=MULTIPART)
    parser = FormDataParser(stream_factory=form.begin, max_form_memory_size=MAX_FIELD_BYTES, max_form_parts=MAX_PARTS,
                            silent=False)
    try:
        _, fields, _ = parser.parse_from_environ(environ)
    except RequestEntityTooLarge as error:
        raise PayloadTooLarge(f"the form has more than {MAX_PARTS} parts, or fields of more than {MAX_FIELD_BYTES} "
                              "bytes", field="body", rule=f"{MAX_PARTS} parts, {MAX_FIELD_BYTES} bytes") from error
    except ValueError as error:
        raise InvalidRequest(f"the form cannot be read: {error}", field="body", rule=MULTIPART) from error
    except OSError as error:
        raise files.translate(error, "write an upload") from error
    form.fields.update(fields.to_dict())
    return form
