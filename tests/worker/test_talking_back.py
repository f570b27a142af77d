"""What a running handler tells the queue, and what it is told: progress, checkpoints, the wish to stop.

Each rule holds for a worker on the folder and for one over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from live_bridge import live_bridge
from taskspool.engine.lifecycle import Queue
from taskspool.engine.options import Backoff, Options
from taskspool.engine.task import Claim, NewTask, Result, State
from taskspool.errors import ResultPending
from taskspool.worker.handlers import load_handlers
from taskspool.worker.loop import Worker
from taskspool.worker.source import FOLDER_BEAT_SECONDS, FolderSource
from waiting import eventually
from worker_processes import JOBS, Process, Processes

Start = Callable[..., Process]


@pytest.fixture(params=["folder", "http"])
def start(request: pytest.FixtureRequest, queue: Queue, root: Path, children: Processes) -> Iterator[Start]:
    """Starts a worker of one kind; over HTTP with a lease of 3 s, so that it gives a sign of life every second."""
    if request.param == "folder":
        yield lambda **options: children.folder_worker(root, **options)
        return
    with live_bridge(root) as bridge:
        yield lambda **options: children.http_worker(bridge.url, lease_seconds=3, **options)


def put(queue: Queue, task_type: str, data: dict[str, Any], **options: Any) -> str:
    return queue.enqueue(NewTask(task_type, data, options=Options(**options))).task_id


def result(queue: Queue, task_id: str, seconds: float = 10.0) -> Result:
    def look() -> Result | None:
        try:
            return queue.result(task_id)
        except ResultPending:
            return None

    return eventually(look, seconds, f"result of {task_id}: {queue.task(task_id)}")


def files_in(folder: Path) -> dict[str, str]:
    return {name: str(folder / name) for name in ("began", "ended", "until")}


@pytest.mark.parametrize("ignores", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_cancel_reaches_the_handler_within_a_beat(queue: Queue, tmp_path: Path, start: Start, ignores: bool) -> None:
    """The handler is told within a second; however it ends then, the task is cancelled, and the worker lives on."""
    worker = start()
    task_id = put(queue, "obey", files_in(tmp_path) | {"ignores": ignores})
    eventually((tmp_path / "began").exists, why="it runs")
    assert queue.cancel(task_id, by="me", reason="not needed").state is State.CLAIMED
    eventually((tmp_path / "ended").exists, FOLDER_BEAT_SECONDS + 3, "the handler was told")
    ended = result(queue, task_id, 5.0)
    assert (ended.status, ended.error_message) == ("cancelled", "cancelled by me: not needed")
    assert result(queue, put(queue, "ping", {})).is_success
    assert worker.popen.poll() is None
    assert "Traceback" not in worker.text()


def test_what_a_cancelled_run_gives_is_not_even_sent(queue: Queue, tmp_path: Path) -> None:
    """Whatever its handler returns, the worker only lets go of the task, and counts no finished run."""
    class Spied(FolderSource):
        def complete(self, claim: Claim, data: object) -> None:
            raise AssertionError("nobody wants it")

        fail = complete

    source = Spied(queue, "w")
    source.beat_seconds = 0.05
    worker = Worker(source, load_handlers([str(JOBS)]))
    task_id = put(queue, "obey", files_in(tmp_path) | {"ignores": True})
    thread = threading.Thread(target=worker.run, kwargs={"once": True})
    thread.start()
    eventually((tmp_path / "began").exists, why="it runs")
    queue.cancel(task_id)
    thread.join(10)
    assert (queue.task(task_id).state, worker.finished) == (State.CANCELLED, 0)


@pytest.mark.slow
def test_progress_and_checkpoint_are_seen_and_outlive_the_worker(queue: Queue, tmp_path: Path, start: Start) -> None:
    """The last progress is seen while it runs; after kill -9 the next attempt is given the checkpoint, and the story
    tells who died."""
    first = start(name="first")
    task_id = put(queue, "climb", files_in(tmp_path))
    eventually((tmp_path / "began").exists, why="it runs")
    assert queue.task(task_id).task.checkpoint == {"row": 4}, "stored when checkpoint() has returned"
    told = eventually(lambda: queue.task(task_id).task.progress, 5.0, "progress is told")
    assert (told.percent, told.message) == (40, "row 4 of 10")
    first.kill()
    start(name="second")
    assert result(queue, task_id, 15.0).data == {"previous": {"row": 4}, "attempt": 2}
    story = [(step.verb, step.worker) for step in queue.story(task_id)]
    assert story == [("enqueue", "http-client"), ("claim", "first"), ("expire", "first"), ("claim", "second"),
                     ("complete", "second")]


def test_a_checkpoint_outlives_a_failed_attempt(queue: Queue, tmp_path: Path, start: Start) -> None:
    """A failed attempt loses its progress, not its checkpoint."""
    (tmp_path / "until").touch()
    start()
    at_once = Options(backoff=Backoff("constant", 0.0))
    task_id = queue.enqueue(NewTask("climb", files_in(tmp_path), max_retries=1, options=at_once)).task_id
    assert result(queue, task_id).data == {"previous": {"row": 4}, "attempt": 2}
    assert queue.task(task_id).task.progress is None


@pytest.mark.slow
def test_a_snooze_costs_no_attempt(queue: Queue, tmp_path: Path, start: Start) -> None:
    """A task without retries may be put off again and again, with the reason in its history."""
    start()
    task_id = put(queue, "busy", {"free": str(tmp_path / "free")})
    eventually(lambda: len(queue.task(task_id).task.history) > 1, why="it was put off twice")
    (tmp_path / "free").touch()
    assert result(queue, task_id).data == {"at": "last"}
    task = queue.task(task_id).task
    assert task.attempts == 0
    assert {(step.verb, step.state, step.reason) for step in task.history} == {
        ("release", State.SCHEDULED, "the line is busy")}


@pytest.mark.slow
def test_a_run_that_took_too_long_is_told_to_stop(queue: Queue, tmp_path: Path, start: Start) -> None:
    """After the timeout of the attempt the task is dead, its handler is told, and what it gives then is dropped."""
    worker = start()
    task_id = put(queue, "obey", files_in(tmp_path) | {"ignores": True}, timeout_seconds=0.4)
    eventually((tmp_path / "ended").exists, 5.0, "the handler was told")
    assert result(queue, task_id).error_message in {  # whoever looks at the clock first: the worker, or the queue
        "timed out after 0.4 s", "given up: attempt 1 took longer than its timeout of 0.4 s"}
    assert result(queue, put(queue, "ping", {})).is_success
    assert result(queue, task_id).status == "error"
    assert worker.popen.poll() is None


@pytest.mark.slow
def test_a_lease_the_task_asks_for_is_kept(queue: Queue, root: Path, tmp_path: Path, start: Start) -> None:
    """A task with a lease of a second runs longer than that: its worker, of whatever kind, gives signs of life."""
    start()
    task_id = put(queue, "hold", files_in(tmp_path), lease_seconds=1)
    eventually((tmp_path / "began").exists, why="it runs")
    [claim] = (root / "task_queue" / "claimed").glob(f"*/{task_id}~*")
    signs = {claim.stat().st_mtime_ns}
    eventually(lambda: signs.add(claim.stat().st_mtime_ns) or len(signs) > 4, 5.0, "signs of life")
    (tmp_path / "until").touch()
    assert result(queue, task_id).data["attempt"] == 1
