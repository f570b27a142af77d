"""The line between a running handler and the queue: progress, checkpoints, log lines and new tasks go out, the wish to
stop comes in.

The handler's thread says, the heartbeat's thread sends. Of progress only the last is sent; a checkpoint and a new task
are sent by the handler's thread itself, so that they are stored when ``keep`` and ``submit`` return.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from taskspool.engine.lifecycle import KEEP
from taskspool.engine.task import JsonValue
from taskspool.errors import (
    Conflict, InvalidRequest, NotFound, ServerUnreachable, StoreUnavailable, TaskCancelled, TaskspoolError,
)

StopReason = Literal["cancelled", "lease_lost", "timeout", "shutdown"]

log = logging.getLogger("taskspool.worker")


class Cancelled(Exception):
    """The run is to stop: its task is to be cancelled, or was given to another. A handler lets it through."""

    def __init__(self, message: str = "stopped: its result is not wanted any more") -> None:
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Said:
    """What a handler said and nobody has been told yet. ``checkpoint`` KEEP: nothing about that."""

    percent: float | None = None
    message: str | None = None
    checkpoint: JsonValue = KEEP

    @property
    def has_progress(self) -> bool:
        return self.percent is not None or self.message is not None

    @property
    def has_checkpoint(self) -> bool:
        return self.checkpoint is not KEEP


SILENCE = Said()


@dataclass(frozen=True, slots=True)
class Seen:
    """Another task, as a handler sees it: its state (the words of ``engine.task.State``), and why it was given up."""

    state: str
    error: str | None = None


class LiveLog(Protocol):
    """Where the lines of a running task go."""

    def write(self, stream: str, text: str) -> None:
        """Cheap; never raises for a queue that cannot be reached."""

    def close(self, seconds: float) -> bool:
        """Send what is left, for so long at most. Whether all of it was."""


class Contact:
    """``send`` tells the queue, and says whether somebody wants the task cancelled.

    ``submit`` hands over a new task (its body, an idempotency key) and gives its id. ``look`` and ``cancel`` are those
    of a ``WorkSource``. ``open_log`` makes the live log when the first line comes. ``seconds``: how long the attempt
    may take, None without end; it begins now. ``at_end`` is called when the run is to stop.
    """

    def __init__(self, send: Callable[[Said], bool] = lambda said: False, *,  # noqa: ARG005 - nobody listens
                 submit: Callable[[Mapping[str, Any], str | None], str] | None = None,
                 look: Callable[[Sequence[str]], Mapping[str, Seen]] | None = None,
                 cancel: Callable[[str, str | None], None] | None = None,
                 open_log: Callable[[], LiveLog] | None = None, seconds: float | None = None,
                 at_end: Callable[[], None] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._submit = submit
        self._look = look
        self._cancel = cancel
        self._open_log = open_log
        self._clock = clock
        self._log: LiveLog | None = None
        self._is_log_closed = False
        self._said = SILENCE
        self._saying = threading.Lock()
        self._sending = threading.Lock()
        self._ended = threading.Event()
        self._listeners: list[Callable[[], None]] = [] if at_end is None else [at_end]
        self.seconds = seconds
        self.ends_at = None if seconds is None else clock() + seconds
        """When its time is over, by the monotonic clock."""
        self.stop_reason: StopReason | None = None
        self.stopped_at: float | None = None
        """When it was told to stop, by the same clock."""

    # -- the wish to stop ----------------------------------------------------------------------------------------

    @property
    def is_ended(self) -> bool:
        return self._ended.is_set()

    def end(self, reason: StopReason = "lease_lost") -> None:
        """The run is to stop. The first reason stands; the listeners are called once."""
        with self._saying:
            if self.stop_reason is not None:
                return
            self.stopped_at, self.stop_reason = self._clock(), reason
            listeners = list(self._listeners)
        self._ended.set()
        for listener in listeners:
            listener()

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the run is to stop. Whether it is."""
        return self._ended.wait(max(0.0, seconds))

    @contextmanager
    def calling_at_end(self, listener: Callable[[], None]) -> Iterator[None]:
        """``listener`` is called when the run is to stop; at once when it is already. It must not block, nor raise."""
        with self._saying:
            self._listeners.append(listener)
            is_late = self.stop_reason is not None
        if is_late:
            listener()
        try:
            yield
        finally:
            with self._saying:
                self._listeners.remove(listener)

    # -- what a handler says -------------------------------------------------------------------------------------

    def log(self, stream: str, text: str) -> None:
        """Lines for the live log. After the end of the run they are dropped."""
        with self._saying:
            if self._log is None and self._open_log is not None and not self._is_log_closed:
                self._log = self._open_log()
            live = None if self._is_log_closed else self._log
        if live is not None:
            live.write(stream, text)

    def close_log(self, seconds: float) -> None:
        """Send what is left of the log, for so long at most; no line is taken any more."""
        with self._saying:
            live, self._log, self._is_log_closed = self._log, None, True
        if live is not None:
            live.close(seconds)

    def submit(self, body: Mapping[str, Any], key: str | None = None) -> str:
        """Hand a new task over; its id. Raises what the queue raises."""
        if self._submit is None:
            raise StoreUnavailable("this run has no queue to hand a task to")
        return self._submit(body, key)

    def look(self, task_ids: Sequence[str]) -> Mapping[str, Seen]:
        """How these tasks stand; those that are not there are left out. Raises what the queue raises."""
        if self._look is None:
            raise StoreUnavailable("this run has no queue to look into")
        return self._look(task_ids)

    def cancel(self, task_id: str, reason: str | None = None) -> None:
        """Ask for the end of a task. One that is finished stays as it is. Raises what the queue raises."""
        if self._cancel is None:
            raise StoreUnavailable("this run has no queue to cancel a task in")
        self._cancel(task_id, reason)

    def say(self, percent: float | None, message: str | None) -> None:
        """The last one wins; it is told with the next ``tell``."""
        if percent is not None:
            percent = None if math.isnan(percent) else max(0.0, min(float(percent), 100.0))
        with self._saying:
            self._said = replace(self._said, percent=percent, message=message)

    def keep(self, value: JsonValue) -> None:
        """Store ``value`` now; it stays to be told later when the queue cannot be reached. Raises InvalidRequest,
        Cancelled."""
        try:
            value = json.loads(json.dumps(value, allow_nan=False))  # what the handler changes later is not meant
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"a checkpoint must be JSON: {error}", field="checkpoint", rule="JSON") from error
        with self._saying:
            self._said = replace(self._said, checkpoint=value)
        try:
            self.tell()
        except (StoreUnavailable, ServerUnreachable) as error:
            log.info("a checkpoint is sent again: %s", error)
        except (Conflict, NotFound) as error:
            self.end("cancelled" if isinstance(error, TaskCancelled) else "lease_lost")
            raise Cancelled from error

    def tell(self, *, only_checkpoint: bool = False) -> None:
        """Send what has not been told yet. What cannot be sent now stays; what is refused is dropped.

        Raises what the queue raises.
        """
        with self._sending:
            with self._saying:
                said = self._said
                if said is SILENCE or (only_checkpoint and not said.has_checkpoint):
                    return
                self._said = SILENCE
            try:
                is_cancelled = self._send(said)
            except InvalidRequest:
                raise
            except TaskspoolError:
                self._put_back(said)
                raise
        if is_cancelled:
            self.end("cancelled")

    def _put_back(self, said: Said) -> None:
        """``said``, unless something newer came meanwhile."""
        with self._saying:
            newer = self._said
            if newer.has_progress:
                said = replace(said, percent=newer.percent, message=newer.message)
            self._said = replace(said, checkpoint=newer.checkpoint) if newer.has_checkpoint else said
