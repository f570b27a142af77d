"""Following texts that grow: any number of readers of any number of them, none of which holds a thread.

One thread looks, while there are readers, whether one of the texts that are followed has grown, and wakes its readers;
each reads on for itself from where it stands (``web.streams`` says how it is told).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import NamedTuple

from taskspool.errors import NotFound, StoreUnavailable
from taskspool.web.errors import TooManyStreams
from taskspool.web.streams import MAX_STREAMS, chunks_of

POLL_SECONDS = 0.1
SHARE = 10
"""Looking takes no more than about one part in so many of the time, however many texts are followed."""

log = logging.getLogger("taskspool.web")


class Piece(NamedTuple):
    """What a reader is told, where it stands then, and whether that is all there will ever be."""

    text: bytes
    place: int
    is_over: bool


Read = Callable[[str, int], Piece]
"""What comes of a topic behind a place: an empty text when there is nothing now. Raises NotFound, StoreUnavailable."""


class Watch:
    """``mark(topic)``: something that changes when there is more of it; may raise StoreUnavailable."""

    def __init__(self, mark: Callable[[str], Hashable], *, max_readers: int = MAX_STREAMS,
                 poll_seconds: float = POLL_SECONDS) -> None:
        self._mark = mark
        self._max_readers = max_readers
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._readers: dict[str, set[Reader]] = {}
        self._marks: dict[str, Hashable] = {}
        self._thread: threading.Thread | None = None
        self._nap = threading.Event()

    def open(self, topic: str, place: int, read: Read, *, greeting: bytes = b"", beat: bytes = b"") -> Reader:
        """A reader of ``topic`` that stands at ``place``. The caller closes it. Raises TooManyStreams."""
        reader = Reader(self, topic, place, read, greeting, beat)
        with self._lock:
            if sum(map(len, self._readers.values())) >= self._max_readers:
                raise TooManyStreams(f"{self._max_readers} readers are open; try again in a moment")
            self._readers.setdefault(topic, set()).add(reader)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
                self._thread.start()
        return reader

    def close(self, reader: Reader) -> None:
        with self._lock:
            readers = self._readers.get(reader.topic, set())
            readers.discard(reader)
            if not readers:
                self._readers.pop(reader.topic, None)
                self._marks.pop(reader.topic, None)
            if not self._readers:
                self._nap.set()

    def wake(self, topic: str) -> None:
        """There is more of ``topic``: its readers need not wait for the next look."""
        with self._lock:
            readers = list(self._readers.get(topic, ()))
        for reader in readers:
            reader.wake()

    def _run(self) -> None:
        pause = self._poll_seconds
        while True:
            self._nap.wait(pause)
            with self._lock:
                self._nap.clear()
                if not self._readers:
                    self._thread = None
                    return
                topics = list(self._readers)
            began = time.monotonic()
            for topic in topics:
                self._look(topic)
            pause = max(self._poll_seconds, SHARE * (time.monotonic() - began))

    def _look(self, topic: str) -> None:
        try:
            mark = self._mark(topic)
        except StoreUnavailable as error:
            log.warning("readers of %s are told later: %s", topic, error)
            return
        except Exception:  # a thread that dies would leave every reader waiting in silence
            log.exception("readers of %s are told later", topic)
            return
        if mark != self._marks.get(topic):
            with self._lock:
                if topic in self._readers:
                    self._marks[topic] = mark
            self.wake(topic)


class Reader:
    """One reader's place in one text: a ``streams.Telling``."""

    def __init__(self, watch: Watch, topic: str, place: int, read: Read, greeting: bytes, beat: bytes) -> None:
        self.topic = topic
        self.greeting = greeting
        self.beat = beat
        self._is_over = False
        self._watch = watch
        self._place = place
        self._read = read
        self._may_have_more = True
        self._wake: Callable[[], None] | None = None

    def is_over(self) -> bool:
        return self._is_over

    def join(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def wake(self) -> None:
        self._may_have_more = True
        if self._wake is not None:
            self._wake()

    def ready(self) -> bytes | None:
        return None if self._may_have_more else b""

    def fetch(self) -> bytes:
        """The next piece. A text that is gone, with its task, is over."""
        self._may_have_more = False  # before the look: what comes after it wakes us
        try:
            piece = self._read(self.topic, self._place)
        except NotFound:
            piece = Piece(b"", self._place, is_over=True)
        self._place, self._is_over = piece.place, piece.is_over
        self._may_have_more = self._may_have_more or bool(piece.text)
        return piece.text

    def close(self) -> None:
        self._watch.close(self)

    def chunks(self) -> Iterator[bytes]:
        return chunks_of(self)
