"""Server-sent events: one thread asks what is new, any number of readers are told, and none of them holds a thread.

The ``Hub`` keeps the latest lines in memory, written once for all. A reader is a place among them and nothing else: one
that is behind what is kept reads from the source until it has caught up, and one that takes nothing is sent nothing, so
that no reader costs more memory than its socket. Who waits, and how, is its caller's business (``web.bridge``: on the
event loop).

    GET ... ──> view: stream(environ, hub.open(place, topic)) ──> front: more, more, more ... until somebody leaves
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol

from werkzeug.datastructures import Headers

from taskspool.errors import StoreUnavailable
from taskspool.web.errors import TooManyStreams
from taskspool.web.reply import Reply
from taskspool.web.waiting import SEAT

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BEAT_SECONDS = 15.0
"""So often a reader hears something, that neither side takes the other for gone."""
EVENT_STREAM = "text/event-stream; charset=utf-8"
BEAT = b": beat\n\n"
GREETING = b": events follow\nretry: 1000\n\n"
POLL_SECONDS = 0.1
MAX_STREAMS = 1_000
KEPT_LINES = 2_000
PAGE_LINES = 500
"""How many lines a reader is sent at once at most."""

log = logging.getLogger("taskspool.web")


class Place(NamedTuple):
    """Behind which line a reader is. Numbers rise within a ``generation``; another one begins anew."""

    generation: str
    number: int

    def __str__(self) -> str:
        return f"{self.generation}-{self.number}"


class Line(NamedTuple):
    """One event as it is told: ``text`` ends with an empty line."""

    place: Place
    topic: str
    text: bytes
    is_reset: bool = False


class Telling(Protocol):
    """A body that follows the head of an answer, piece by piece. Used by one caller at a time.

    ``greeting`` comes first, ``beat`` breaks a silence of ``BEAT_SECONDS``.
    """

    greeting: bytes
    beat: bytes

    def is_over(self) -> bool:
        """Nothing more comes, ever."""

    def join(self, wake: Callable[[], None]) -> None:
        """``wake`` is called, from another thread, whenever there may be more. Look again after joining."""

    def ready(self) -> bytes | None:
        """What there is now, from memory; None: ``fetch`` has to be asked."""

    def fetch(self) -> bytes:
        """What there is now; may wait for the disk. Raises StoreUnavailable."""

    def close(self) -> None: ...

    def chunks(self) -> Iterator[bytes]:
        """All of it, for a caller that waits in a thread of its own."""


class Source(Protocol):
    """What has lines. Both may raise StoreUnavailable."""

    def tip(self) -> Place:
        """Behind everything that there is now."""

    def after(self, place: str | None, topic: str | None, limit: int) -> list[Line]:
        """Lines behind ``place`` (None: all that is known). The first is a reset when what came between is lost."""


class Hub:
    """Fans one source out. The thread runs while there are readers."""

    def __init__(self, source: Source, *, max_streams: int = MAX_STREAMS, kept_lines: int = KEPT_LINES,
                 poll_seconds: float = POLL_SECONDS) -> None:
        self.source = source
        self._max_streams = max_streams
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._lines: deque[Line] = deque(maxlen=kept_lines)
        self._first = self._tip = Place("", 0)
        self._streams: set[Stream] = set()
        self._memo: tuple[tuple[Place, Place], bytes] | None = None
        self._thread: threading.Thread | None = None
        self._nap = threading.Event()

    def open(self, after: str | None, topic: str | None = None, *, from_now: bool = False) -> Stream:
        """A reader of what comes ``after`` (None: all that is known), or ``from_now`` on.

        The caller closes it. Raises TooManyStreams, StoreUnavailable.
        """
        with self._lock:
            if len(self._streams) >= self._max_streams:
                raise TooManyStreams(f"{self._max_streams} readers are open; try again in a moment")
            if self._thread is None:
                self._first = self._tip = self.source.tip()
                self._lines.clear()
                self._thread = threading.Thread(target=self._run, name="events", daemon=True)
                self._thread.start()
            stream = Stream(self, str(self._tip) if from_now else after, topic, self._tip if from_now else None)
            self._streams.add(stream)
        return stream

    def close(self, stream: Stream) -> None:
        with self._lock:
            self._streams.discard(stream)
            if not self._streams:
                self._nap.set()

    @property
    def tip(self) -> Place:
        return self._tip

    def since(self, place: Place, topic: str | None) -> tuple[bytes, Place] | None:
        """(what came behind ``place``, where that ends), from memory; None when it is not kept any more."""
        with self._lock:
            if place.generation != self._tip.generation or place.number < self._first.number:
                return None
            if place.number >= self._tip.number:  # a reader that asked the source may be ahead of us
                return b"", place
            if topic is None and self._memo is not None and self._memo[0][0] == place:
                return self._memo[1], self._memo[0][1]
            fresh: list[Line] = []
            for line in reversed(self._lines):
                if line.place.number <= place.number:
                    break
                fresh.append(line)
            fresh = fresh[:-PAGE_LINES - 1:-1]
            end = fresh[-1].place if len(fresh) == PAGE_LINES else self._tip
            told = b"".join(line.text for line in fresh if topic is None or line.topic == topic)
            if topic is None:
                self._memo = ((place, end), told)
            return told, end

    # -- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._nap.wait(self._poll_seconds)
            with self._lock:
                self._nap.clear()
                if not self._streams:
                    self._thread = None
                    return
            try:
                while self._poll() == PAGE_LINES:
                    pass
            except StoreUnavailable as error:
                log.warning("events are told later: %s", error)
            except Exception:  # a thread that dies would leave every reader waiting in silence
                log.exception("events are told later")

    def _poll(self) -> int:
        lines = self.source.after(str(self._tip), None, PAGE_LINES)
        if not lines:
            return 0
        with self._lock:
            if lines[0].is_reset:  # readers find their place unknown, ask the source, and are told so
                self._lines.clear()
                self._first = lines[0].place
            full = self._lines.maxlen or 0
            dropped = len(self._lines) + len(lines) - full
            if dropped > 0:
                known = [*self._lines, *lines]
                self._first = known[dropped - 1].place
            self._lines.extend(lines)
            self._tip = lines[-1].place
            self._memo = None
            wakes = [stream.wake for stream in self._streams]
        for wake in wakes:
            wake()
        return len(lines)


class Stream:
    """One reader's place. Used by one caller at a time."""

    greeting = GREETING
    beat = BEAT

    def __init__(self, hub: Hub, after: str | None, topic: str | None, place: Place | None) -> None:
        self._hub = hub
        self._after = after
        self._topic = topic
        self._place = place
        self._wake: Callable[[], None] | None = None

    def is_over(self) -> bool:
        return False

    def join(self, wake: Callable[[], None]) -> None:
        """``wake`` is called, from another thread, whenever there may be more. Look again after joining."""
        self._wake = wake

    def wake(self) -> None:
        if self._wake is not None:
            self._wake()

    def ready(self) -> bytes | None:
        """What there is for this reader now, from memory; None: ``fetch`` has to ask the source."""
        while self._place is not None:
            told = self._hub.since(self._place, self._topic)
            if told is None:
                return None
            text, end = told
            is_over = end == self._place
            self._place, self._after = end, str(end)
            if text or is_over:
                return text
        return None

    def fetch(self) -> bytes:
        """The next page from the source; may wait for the disk. Raises StoreUnavailable."""
        tip = self._hub.tip  # what was there before the page is read is in it
        lines = self._hub.source.after(self._after, self._topic, PAGE_LINES)
        if lines:
            self._place = lines[-1].place
            self._after = str(self._place)
        if len(lines) < PAGE_LINES and (self._place is None or self._is_before(tip)):
            self._place, self._after = tip, str(tip)
        return b"".join(line.text for line in lines)

    def _is_before(self, tip: Place) -> bool:
        return self._place is not None and self._place.generation == tip.generation and self._place.number < tip.number

    def close(self) -> None:
        self._hub.close(self)

    def chunks(self) -> Iterator[bytes]:
        """All of it, for a caller that waits in a thread of its own."""
        return chunks_of(self)


def chunks_of(stream: Telling) -> Iterator[bytes]:
    """All that ``stream`` tells, for a caller that waits in a thread of its own."""
    rung = threading.Event()
    try:
        if stream.greeting:
            yield stream.greeting
        while not stream.is_over():
            stream.join(rung.set)
            chunk = stream.ready()
            chunk = stream.fetch() if chunk is None else chunk
            if chunk:
                yield chunk
            elif stream.is_over() or rung.wait(BEAT_SECONDS):
                rung.clear()
            elif stream.beat:
                yield stream.beat
    except StoreUnavailable:
        return  # its reader comes back, and says where it was
    finally:
        stream.close()


def stream_reply(environ: WSGIEnvironment, stream: Telling, content_type: str = EVENT_STREAM) -> Reply:
    """The head of the answer; whoever called the app sends what follows."""
    environ[SEAT].stream = stream
    lines = Headers()
    lines.add("Content-Type", content_type)
    lines.add("X-Accel-Buffering", "no")
    return Reply([], 200, lines)
