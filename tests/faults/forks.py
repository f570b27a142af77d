"""Running a function in a forked process that may be killed, and hearing what it had to say until then."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the harness forks; Windows cannot")
DEADLINE_SECONDS = 60.0
Report = Callable[..., None]


class Ending:
    """How a forked process ended: ``events`` it reported, whether it ``died`` of SIGKILL; it raised nothing else."""

    def __init__(self, events: list[list[Any]], status: int) -> None:
        self.events = events
        self.died = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        self.is_clean = os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def forked(action: Callable[[Report], None]) -> Ending:
    """``action(report)`` in a child; what it reported before it ended or was killed.

    Every report is one ``write`` to a pipe: whole or not at all. Raises AssertionError when the child raised or hung.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _be_child(action, writing)
    os.close(writing)
    said = _listen(reading, child)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    events = [json.loads(line) for line in said.decode().splitlines()]
    ending = Ending([event for event in events if event[0] != "raised"], status)
    raised = [event[1] for event in events if event[0] == "raised"]
    assert not raised, raised[0]
    assert ending.died or ending.is_clean, f"the child ended with status {status}"
    return ending


def _be_child(action: Callable[[Report], None], writing: int) -> None:
    def report(*event: Any) -> None:
        os.write(writing, (json.dumps(event) + "\n").encode())

    code = 0
    try:
        action(report)
    except BaseException:  # the child has nobody above it who could be told
        report("raised", traceback.format_exc()[-3000:])
        code = 1
    finally:
        sys.stdout.flush()
        os._exit(code)


def _listen(reading: int, child: int) -> bytes:
    said, ends_at = b"", time.monotonic() + DEADLINE_SECONDS
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, ends_at - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            raise AssertionError(f"the child hung; it had said {said[-500:]!r}")
        more = os.read(reading, 65_536)
        if not more:
            return said
        said += more
