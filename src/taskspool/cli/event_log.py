"""What happens to tasks, in the log: one line an event, for machines that read logs (``--log-format json``)."""

from __future__ import annotations

import logging

from taskspool.clock import to_text
from taskspool.engine.events import Event
from taskspool.engine.lifecycle import Queue
from taskspool.engine.sweep import Ticker
from taskspool.errors import StoreUnavailable

TICK_SECONDS = 0.25
PAGE = 500

log = logging.getLogger("taskspool.events")


class EventLog(Ticker):
    """Writes from ``start`` to ``stop`` what anybody does to tasks of the queue, this process or another."""

    def __init__(self, queue: Queue, tick_seconds: float = TICK_SECONDS) -> None:
        super().__init__(self._write, tick_seconds, "event log")
        self._index = queue.store.index
        self._after: str | None = None

    def start(self) -> None:
        """Begin with what happens now, or, if the index cannot be asked yet, as soon as it can."""
        try:
            self._after = self._index.last_event_id()
        except StoreUnavailable as error:
            log.warning("events are told later: %s", error)
        super().start()

    def stop(self) -> None:
        """What happened until now is written first."""
        super().stop()
        try:
            self._write()
        except StoreUnavailable as error:
            log.warning("the last events are not told: %s", error)

    def _write(self) -> None:
        if self._after is None:
            self._after = self._index.last_event_id()
        while events := self._index.events(self._after, limit=PAGE):
            for event in events:
                log.info("%s %s", event.verb, event.task_id or "-", extra={"fields": _fields(event)})
            self._after = events[-1].id


def _fields(event: Event) -> dict[str, object]:
    return {"event": event.verb, "event_id": event.id, "at": to_text(event.at), "task_id": event.task_id or None,
            "state": None if event.state is None else event.state.value, "type": event.type, "worker": event.worker,
            "attempt": event.attempt, "reason": event.reason}
