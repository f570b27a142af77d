"""Requests to end running tasks: ``cancelling/<id>.json``, there until the task has ended as cancelled.

The request is on the disk before it is acknowledged, and it is written and looked at under the task's lock: from then
on no other end of the task gets through, however late a worker comes.
"""

from __future__ import annotations

from taskspool.clock import from_text
from taskspool.engine import files
from taskspool.engine.documents import Unreadable, parse, sealed
from taskspool.engine.layout import id_of
from taskspool.engine.pauses import note_document
from taskspool.engine.place import Place
from taskspool.engine.task import CancelRequest


class Cancels:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._folder = place.path("cancelling")

    def path(self, task_id: str) -> str:
        return f"{self._folder}/{task_id}.json"

    def is_asked(self, task_id: str) -> bool:
        """Holding the task's lock: whether nothing but a cancel may end it."""
        return files.exists(self.path(task_id))

    def of(self, task_id: str) -> CancelRequest | None:
        """The request; one whose content is damaged still stands, only not who made it."""
        path = self.path(task_id)
        try:
            document = parse(files.read(path, self._place.max_file_bytes)[0])
            reason = document["reason"]
            return CancelRequest(str(document["by"]), None if reason is None else str(reason),
                                 from_text(document["at"]))
        except FileNotFoundError:
            return None
        except (files.NotRegular, Unreadable, LookupError, ValueError, TypeError):
            return CancelRequest("unknown", None, self._place.clock.now()) if files.exists(path) else None

    def ask(self, document: str, task_id: str) -> None:
        """Holding the task's lock: the request in the temporary file ``document`` stands, unless one stands already."""
        if not self.is_asked(task_id):
            files.move(document, self.path(task_id))  # the instant: it can only end as cancelled
        else:
            files.discard(document)

    def document(self, request: CancelRequest) -> bytes:
        return sealed(note_document(request), self._place.max_file_bytes, "reason")

    def all(self) -> list[tuple[str, CancelRequest]]:
        ids = filter(None, map(id_of, files.names(self._folder)))
        return [(task_id, request) for task_id in ids if (request := self.of(task_id)) is not None]

    def forget_finished(self, task_id: str) -> None:
        """If it is finished: one that was retried, and is held again, may be asked for anew."""
        with self._place.moves.of(task_id):
            if files.exists(self._place.result_path(task_id)):
                files.discard(self.path(task_id))

    def forget_for_good(self, task_id: str) -> None:
        """Gone when this returns, and over a power cut. Raises StoreUnavailable."""
        if self.is_asked(task_id):
            files.discard(self.path(task_id), must=True)
            self._place.sync("cancelling")
