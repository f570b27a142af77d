"""Forked processes one can talk with while they run: stopped, woken, killed by the one who made them."""

from __future__ import annotations

import json
import os
import signal
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO


class Talk:
    """One end of a conversation: whole lines of JSON each way."""

    def __init__(self, reading: TextIO, writing: TextIO) -> None:
        self._reading, self._writing = reading, writing

    def say(self, *words: Any) -> None:
        self._writing.write(json.dumps(words) + "\n")
        self._writing.flush()

    def hear(self) -> list[Any]:
        """What the other says next; empty when it has ended. Raises AssertionError with what it raised."""
        line = self._reading.readline()
        words: list[Any] = json.loads(line) if line.endswith("\n") else []
        assert not words or words[0] != "raised", words[1]
        return words


class Child(Talk):
    """``story(talk)`` in a process of its own. For ``with``: it is gone at the end, whatever happens."""

    def __init__(self, story: Callable[[Talk], None]) -> None:
        (its_reading, my_writing), (my_reading, its_writing) = os.pipe(), os.pipe()
        self.pid = os.fork()
        self._is_gone = False
        if self.pid == 0:
            os.close(my_writing)
            os.close(my_reading)
            _live(story, Talk(os.fdopen(its_reading), os.fdopen(its_writing, "w")))
        os.close(its_reading)
        os.close(its_writing)
        super().__init__(os.fdopen(my_reading), os.fdopen(my_writing, "w"))

    def stop(self) -> None:
        """SIGSTOP; it stands still when this returns."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def wake(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """kill -9; it is gone when this returns."""
        if not self._is_gone:
            os.kill(self.pid, signal.SIGKILL)
            self.end()

    def end(self) -> None:
        """Wait until it has ended."""
        if not self._is_gone:
            os.waitpid(self.pid, 0)
            self._is_gone = True

    def __enter__(self) -> Child:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.kill()
        self._reading.close()
        try:
            self._writing.close()
        except BrokenPipeError:
            pass  # it was killed before it heard the last word


def _live(story: Callable[[Talk], None], talk: Talk) -> None:
    try:
        story(talk)
    except BaseException:  # nobody is above it who could be told in another way
        talk.say("raised", traceback.format_exc()[-3000:])
    finally:
        os._exit(0)
