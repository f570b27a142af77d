"""File events as a hint: something appeared in a folder, look now rather than at the next tick.

Events get lost under load, and for ever when a watched folder is removed and made again. So an event only ever says
"look"; the sweeper's own rescan, twice a second, is what is true.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from watchdog.events import FileCreatedEvent, FileMovedEvent, FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

PAUSE_SECONDS = 0.005
"""Events come by the thousand: one hint, this long after the one before, stands for all that came meanwhile."""

log = logging.getLogger("taskspool.worker")


class Wakeup:
    """Calls ``hint`` soon after a file appeared in a watched folder, from ``start`` to ``stop``.

    ``watched``: folder -> whether what appears there is waited for just now. Only appearing counts (created, or moved
    in): on Windows reading a file counts as modifying it, and a look that causes the next look would never end.
    """

    def __init__(self, watched: Mapping[Path, Callable[[], bool]], hint: Callable[[], None],
                 pause_seconds: float = PAUSE_SECONDS) -> None:
        self._watched = watched
        self._hint = hint
        self._pause_seconds = pause_seconds
        self._observer: BaseObserver | None = None
        self._came = threading.Event()
        self._stopping = threading.Event()

    def start(self) -> bool:
        """Whether events will come. Where they cannot (no watches left, say), the tick alone does the work."""
        observer = None
        try:
            observer = _observer()
            for folder, is_wanted in self._watched.items():
                observer.schedule(_Listener(is_wanted, self._came), str(folder),
                                  event_filter=[FileCreatedEvent, FileMovedEvent])
            observer.start()
        except (OSError, RuntimeError) as error:
            log.warning("no file events (%s): new tasks are seen at the next tick", error)
            if observer is not None:
                observer.stop()
            return False
        self._observer = observer
        threading.Thread(target=self._pass_on, name="wakeup", daemon=True).start()
        return True

    def stop(self) -> None:
        self._stopping.set()
        self._came.set()
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=1)
            self._observer = None

    def _pass_on(self) -> None:
        """The first event at once, what follows together after a pause: late, but never dropped."""
        while not self._stopping.is_set():
            self._came.wait()
            self._came.clear()
            self._hint()
            self._stopping.wait(self._pause_seconds)


class _Listener(FileSystemEventHandler):
    def __init__(self, is_wanted: Callable[[], bool], came: threading.Event) -> None:
        self._is_wanted = is_wanted
        self._came = came

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, FileCreatedEvent | FileMovedEvent) and not self._came.is_set() and self._is_wanted():
            self._came.set()


def _observer() -> BaseObserver:
    """watchdog's observer; on Linux one that is not told of files that leave.

    It would hold every event back for up to 0.5 s behind a file that left, to see where that one went; and every claim
    is a file that leaves.
    """
    if sys.platform != "linux":
        return Observer()
    from watchdog.observers.inotify import InotifyEmitter, InotifyObserver  # noqa: PLC0415  # exists on Linux only
    from watchdog.observers.inotify_c import InotifyConstants  # noqa: PLC0415  # exists on Linux only

    class Arrivals(InotifyEmitter):
        def get_event_mask_from_filter(self) -> Any:  # an int, or watchdog's own name for it, by version
            return InotifyConstants.IN_CREATE | InotifyConstants.IN_MOVED_TO | InotifyConstants.IN_DELETE_SELF

    observer = InotifyObserver()
    observer._emitter_class = Arrivals
    return observer
