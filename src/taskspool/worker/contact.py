"""The line between a running handler and the queue: progress and checkpoints go out, the wish to stop comes in.

The handler's thread says, the heartbeat's thread sends. Of progress only the last is sent; a checkpoint is sent by the
handler's thread itself, so that it is stored when ``keep`` returns.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from taskspool.engine.lifecycle import KEEP
from taskspool.engine.task import JsonValue
from taskspool.errors import Conflict, InvalidRequest, NotFound, ServerUnreachable, StoreUnavailable, TaskspoolError

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


class Contact:
    """``send`` tells the queue, and says whether somebody wants the task cancelled."""

    def __init__(self, send: Callable[[Said], bool] = lambda said: False) -> None:  # noqa: ARG005 - nobody listens
        self._send = send
        self._said = SILENCE
        self._saying = threading.Lock()
        self._sending = threading.Lock()
        self._ended = threading.Event()

    @property
    def is_ended(self) -> bool:
        return self._ended.is_set()

    def end(self) -> None:
        """The run is to stop."""
        self._ended.set()

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
            self.end()
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
            self.end()

    def _put_back(self, said: Said) -> None:
        """``said``, unless something newer came meanwhile."""
        with self._saying:
            newer = self._said
            if newer.has_progress:
                said = replace(said, percent=newer.percent, message=newer.message)
            self._said = replace(said, checkpoint=newer.checkpoint) if newer.has_checkpoint else said
