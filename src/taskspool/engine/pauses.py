"""What is paused: the queue as a whole, or types by name. One small file, ``meta/paused.json``.

It is read again when its number (inode, time of change) is another: a claim costs one look at a name that mostly is
not there.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from taskspool.clock import from_text, to_text
from taskspool.engine import files
from taskspool.engine.documents import Unreadable, parse, sealed
from taskspool.engine.place import Place
from taskspool.engine.task import NOTHING_PAUSED, CancelRequest, JsonValue, Pauses

class PauseFile:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._path = place.path("meta", "paused.json")
        self._lock = threading.Lock()
        self._known: tuple[files.FileNumber | None, Pauses] = (None, NOTHING_PAUSED)

    def now(self) -> Pauses:
        """What is paused now. A file that cannot be read pauses nothing, and is put aside."""
        try:
            number = files.file_number(self._path)
        except FileNotFoundError:
            return NOTHING_PAUSED
        if self._known[0] != number:
            self._known = (number, self._read())
        return self._known[1]

    def change(self, types: Collection[str] | None, note: CancelRequest | None) -> None:
        """Pause (``note``) or resume (None) ``types``, or the queue as a whole (``types`` None). Durable."""
        with self._lock, self._place.keys.of("paused"):
            pauses = self.now()
            if types is None:
                pauses = Pauses(note, pauses.types)
            else:
                kept = {name: old for name, old in pauses.types.items() if name not in types}
                pauses = Pauses(pauses.queue, kept if note is None else kept | dict.fromkeys(types, note))
            if pauses == NOTHING_PAUSED:
                files.discard(self._path, must=True)  # the instant: everything is handed out again
            else:
                content = sealed(_document(pauses), self._place.max_file_bytes, "types")
                self._place.install(content, self._path)  # the instant: nobody takes what is named here
        self._place.sync("meta")

    def _read(self) -> Pauses:
        try:
            document = parse(files.read(self._path, self._place.max_file_bytes)[0])
            types = {name: _note(note) for name, note in document["types"].items()}
            return Pauses(None if document["queue"] is None else _note(document["queue"]), types)
        except FileNotFoundError:
            return NOTHING_PAUSED
        except (files.NotRegular, Unreadable, LookupError, AttributeError, TypeError, ValueError) as error:
            self._place.quarantine("meta", "paused.json", f"it does not say what is paused: {error}")
            return NOTHING_PAUSED


def _document(pauses: Pauses) -> dict[str, JsonValue]:
    return {"queue": None if pauses.queue is None else note_document(pauses.queue),
            "types": {name: note_document(note) for name, note in pauses.types.items()}}


def note_document(note: CancelRequest) -> dict[str, JsonValue]:
    return {"by": note.by, "reason": note.reason, "at": to_text(note.at)}


def _note(document: Mapping[str, JsonValue]) -> CancelRequest:
    reason = document["reason"]
    return CancelRequest(str(document["by"]), None if reason is None else str(reason), from_text(document["at"]))
