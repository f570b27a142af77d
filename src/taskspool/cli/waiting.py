"""Waiting for a result on the folder, from a process that neither serves nor works."""

from __future__ import annotations

import threading
import time

from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import Result

SHORTEST_NAP_SECONDS = 0.01
LONGEST_NAP_SECONDS = 0.25


def wait_for_result(queue: Queue, task_id: str, seconds: float) -> Result | None:
    """The result as soon as it is there, looked for at once and until ``seconds`` have passed; None: not yet.

    The result may come from any process, and from another machine's program by way of the bridge, so this looks
    again and again, less often the longer it takes.
    """
    ends_at, pause, nap = time.monotonic() + seconds, threading.Event(), SHORTEST_NAP_SECONDS
    while True:
        result = queue.store.result(task_id)
        left = ends_at - time.monotonic()
        if result is not None or left <= 0:
            return result
        pause.wait(min(nap, left))
        nap = min(LONGEST_NAP_SECONDS, nap * 1.5)
