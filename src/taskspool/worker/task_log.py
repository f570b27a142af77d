"""What a running handler says, on its way into the task's log: gathered, sent in the background, never in its way.

A text is kept until the queue has it. While nobody can be reached up to ``MAX_KEPT_BYTES`` are kept; what comes then is
dropped, and a line says how many were. Who says more than can be sent waits for room as long as the queue takes it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto

from taskspool.client_call import backoff_seconds
from taskspool.engine.log_lines import check_lines, pieces_of
from taskspool.errors import Conflict, InvalidRequest, LogOffset, NotFound, PayloadTooLarge

Texts = Sequence[tuple[str, str]]

SEND_SECONDS = 0.2
"""A text is sent so long after it was said, or with those that ..."""
SEND_BYTES = 65_536
"""... fill this."""
MAX_KEPT_BYTES = 1 << 20
MAX_SENT_BYTES = 131_072
MAX_SENT_TEXTS = 5_000
"""What is sent at once at most: with all of it escaped it is still less than a bridge accepts."""
ROOM_SECONDS = 10.0
"""How long who says much waits for room at most."""
LAST_PAUSE_SECONDS = 0.5
"""Between two tries, once nothing more is said."""
TEXT_BYTES = 64
"""What a text costs us beside itself."""

log = logging.getLogger("taskspool.worker")


class Way(Enum):
    """How the queue stands to us."""

    OPEN = auto()
    BLOCKED = auto()
    """It cannot be reached, or takes nothing just now."""
    CLOSED = auto()
    """It takes nothing more from this claim."""


class TaskLog:
    """The log of one attempt. ``send(texts, offset)`` appends them and says how many it has then (see
    ``engine.task_logs``). Safe for many threads; nothing raises what ``send`` raises.
    """

    def __init__(self, send: Callable[[Texts, int], int]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._kept: deque[tuple[str, str, int]] = deque()
        self._kept_bytes = 0
        self._most_bytes = MAX_SENT_BYTES
        self._sent = 0
        self._lost = 0
        self._way = Way.OPEN
        self._is_ending = False
        self._gives_up = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, stream: str, text: str) -> None:
        """Say ``text`` (several lines, if it has ends of lines in it) on ``stream``: out, err or log.

        Raises InvalidRequest for another stream. After ``close`` it does nothing.
        """
        check_lines([(stream, "")])
        for piece in pieces_of(text):
            self._keep(stream, piece.decode("utf-8", "replace"), len(piece) + TEXT_BYTES)

    def close(self, seconds: float) -> bool:
        """Send what is left, for up to ``seconds``; from then on nothing is sent. Whether all of it was."""
        with self._changed:
            self._is_ending = True
            self._note_lost()
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(max(0.0, seconds))
        self._gives_up.set()
        with self._changed:
            self._changed.notify_all()
            return not self._kept and self._way is not Way.CLOSED

    # -- the handler's threads -----------------------------------------------------------------------------------

    def _keep(self, stream: str, text: str, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(size) or self._way is not Way.OPEN, ROOM_SECONDS)
            if self._way is Way.CLOSED or self._is_ending:
                return
            if not self._has_room(size):
                self._lost += 1
                return
            self._note_lost()
            self._put(stream, text, size)

    def _has_room(self, size: int) -> bool:
        return self._is_ending or not self._kept or self._kept_bytes + size <= MAX_KEPT_BYTES

    def _note_lost(self) -> None:
        """In the place of what was dropped, as soon as something is kept again."""
        if self._lost and self._way is not Way.CLOSED:
            told, self._lost = f"({self._lost} lines lost: they could not be sent)", 0
            self._put("log", told, len(told) + TEXT_BYTES)

    def _put(self, stream: str, text: str, size: int) -> None:
        is_first = not self._kept
        self._kept.append((stream, text, size))
        self._kept_bytes += size
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="task-log", daemon=True)
            self._thread.start()
        elif is_first or self._kept_bytes - size < SEND_BYTES <= self._kept_bytes:
            self._changed.notify_all()

    # -- our thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        while (texts := self._next()) and not self._gives_up.is_set():
            if self._hand_over(texts):
                failures = 0
            elif self._way is Way.CLOSED:
                return
            else:
                self._pause(backoff_seconds(failures))
                failures += 1

    def _pause(self, seconds: float) -> None:
        """Until it is worth another try. At the end there is less time."""
        with self._changed:
            if not self._is_ending:
                self._changed.wait_for(lambda: self._is_ending, seconds)
                return
        self._gives_up.wait(min(seconds, LAST_PAUSE_SECONDS))

    def _next(self) -> Texts:
        """What to send next; waits until it is worth it. Empty: nothing more comes."""
        with self._changed:
            while not self._kept and not self._is_ending:
                self._changed.wait()
            ends_at = time.monotonic() + SEND_SECONDS
            while self._kept_bytes < SEND_BYTES and not self._is_ending:
                left = ends_at - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            texts: list[tuple[str, str]] = []
            size = 0
            for stream, text, cost in self._kept:
                size += cost
                if texts and (size > self._most_bytes or len(texts) == MAX_SENT_TEXTS):
                    break
                texts.append((stream, text))
            return texts

    def _hand_over(self, texts: Texts) -> bool:
        """Whether the queue has said something to ``texts``, which go then. They stay when it could not be asked."""
        try:
            has = self._send(texts, self._sent)
        except LogOffset as error:
            return self._go_on_from(int(error.details.get("next_offset", 0)))
        except (Conflict, NotFound):
            self._stand(Way.CLOSED, len(self._kept), 0)
            return False
        except InvalidRequest as error:
            return self._refused(len(texts), error)
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not end the log: it is sent again
            log.log(logging.DEBUG if self._way is Way.BLOCKED else logging.INFO, "log lines are sent again: %s", error)
            self._stand(Way.BLOCKED, 0, self._sent)
            return False
        self._stand(Way.OPEN, len(texts), has)
        return True

    def _go_on_from(self, has: int) -> bool:
        """The queue has lost lines it had taken: what is kept follows those it has."""
        is_news = has != self._sent
        self._stand(Way.OPEN if is_news else Way.BLOCKED, 0, has)
        return is_news

    def _refused(self, count: int, error: InvalidRequest) -> bool:
        if isinstance(error, PayloadTooLarge) and count > 1:
            self._most_bytes //= 2
            return True
        log.warning("%d lines of a log were refused: %s", count, error)
        self._stand(Way.OPEN, count, self._sent, lost=count)
        return True

    def _stand(self, way: Way, count: int, sent: int, *, lost: int = 0) -> None:
        """How it went: ``count`` texts go, ``lost`` of them unheard, and the queue has ``sent``."""
        with self._changed:
            for _ in range(count):
                self._kept_bytes -= self._kept.popleft()[2]
            self._way, self._sent, self._lost = way, sent, self._lost + lost
            self._changed.notify_all()
