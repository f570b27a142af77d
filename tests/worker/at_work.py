"""A worker in a thread of the test, on the folder or over HTTP, ended with the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from live_bridge import live_bridge
from taskspool.client import Client
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import Backoff, Options
from taskspool.engine.task import NewTask, Result, State
from taskspool.errors import ResultPending
from taskspool.worker.handlers import Handlers, load_handlers
from taskspool.worker.loop import Worker
from taskspool.worker.remote import RemoteSource
from taskspool.worker.source import FolderSource, WorkSource
from waiting import eventually

FATES = Path(__file__).parent / "fates.py"
AT_ONCE = Backoff("constant", 0.0, 0.0, 0.0)


@contextmanager
def source_of(kind: str, queue: Queue, root: Path) -> Iterator[WorkSource]:
    """Of the folder, with a beat every 50 ms, or of a bridge on it, with a lease of 3 s."""
    if kind == "folder":
        folder = FolderSource(queue, "w")
        folder.beat_seconds = 0.05
        yield folder
        return
    with live_bridge(root) as bridge, Client(bridge.url, retries=0) as client:
        remote = RemoteSource(client, "w", 3)
        remote.beat_seconds = 0.05
        yield remote


@contextmanager
def at_work(source: WorkSource, handlers: Handlers | None = None, **options: Any) -> Iterator[Worker]:
    """It works while the block runs; afterwards it has stopped."""
    options = {"wait_seconds": 0.2, "grace_seconds": 0.2} | options
    worker = Worker(source, handlers or load_handlers([str(FATES)]), **options)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield worker
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


def put(queue: Queue, task_type: str, data: dict[str, Any] | None = None, *, max_retries: int = 0,
        **options: Any) -> str:
    """A task whose retries come at once; its id."""
    wishes = Options(backoff=AT_ONCE, **options)
    return queue.enqueue(NewTask(task_type, data or {}, max_retries=max_retries, options=wishes)).task_id


def result(queue: Queue, task_id: str, seconds: float = 30.0) -> Result:
    """Its result, waited for."""
    def look() -> Result | None:
        try:
            return queue.result(task_id)
        except ResultPending:
            return None

    return eventually(look, seconds, f"result of {task_id}: {queue.task(task_id)}")


def state(queue: Queue, task_id: str) -> State:
    return queue.task(task_id).state


def files_in(folder: Path, name: str = "a") -> dict[str, str]:
    """Paths for what a handler of ``fates`` has to say."""
    return {key: str(folder / f"{name}.{key}") for key in ("began", "why", "until", "pids", "free")}
