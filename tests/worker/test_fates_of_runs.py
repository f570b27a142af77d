"""Every fate of a run, with both executors, on the folder and over HTTP."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from taskspool.worker import process_executor
from taskspool.worker.loop import Worker
from waiting import eventually
from worker.at_work import FATES, at_work, files_in, put, result, source_of, state
from worker_processes import Processes

PLACES = [pytest.param((executor, kind), id=f"{executor}-{kind}", marks=[pytest.mark.slow] if kind == "http" else [])
          for executor in ("thread", "process") for kind in ("folder", "http")]
TIMED_OUT = {"timed out after 0.3 s", "given up: attempt 1 took longer than its timeout of 0.3 s"}
"""The worker says the one, the queue, when its own look at the clock comes first, the other."""


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, queue: Queue, root: Path,
          monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Worker]]:
    """The name of the executor, and a worker with two runners of it; who is told to stop has all the time for it."""
    monkeypatch.setattr(process_executor, "TOLD_SECONDS", 20.0)
    executor, kind = request.param
    generous = {"executor": executor, "concurrency": 2, "grace_seconds": 20.0}
    with source_of(kind, queue, root) as source, at_work(source, **generous) as worker:
        yield executor, worker


@pytest.fixture(params=PLACES)
def stern_place(request: pytest.FixtureRequest, queue: Queue, root: Path) -> Iterator[tuple[str, Worker]]:
    """The same, and nobody has much time."""
    executor, kind = request.param
    with source_of(kind, queue, root) as source, at_work(source, executor=executor, concurrency=2) as worker:
        yield executor, worker


def test_each_way_to_end_leads_where_it_should(queue: Queue, tmp_path: Path, place: tuple[str, Worker]) -> None:
    """Success, failure, retry after, give up, snooze: state, attempts and words are those of the table."""
    files = files_in(tmp_path)
    fine, soon, later = put(queue, "fine", {"n": 1}), put(queue, "soon"), put(queue, "later", max_retries=1)
    broken, hopeless = put(queue, "broken", max_retries=1), put(queue, "hopeless", max_retries=5)
    snooze = put(queue, "put-off", files)
    done = result(queue, fine).data
    assert (done["got"], done["attempts"], done["pid"] == os.getpid()) == ({"n": 1}, [1, 1], place[0] == "thread")
    assert result(queue, soon).data == {"got": {}, "attempt": 1}
    assert result(queue, later).data == {"attempt": 2}
    assert (result(queue, broken).error_message, queue.task(broken).task.attempts) == ("ValueError: it broke", 2)
    assert (result(queue, hopeless).error_message, queue.task(hopeless).task.attempts) == ("the account is closed", 1)
    assert result(queue, snooze).data == {"attempt": 1}
    assert [state(queue, each) for each in (fine, soon, later, broken, hopeless, snooze)] == [
        *[State.DONE] * 3, *[State.DEAD] * 2, State.DONE]


def test_a_handler_says_what_it_has_to_say(queue: Queue, place: tuple[str, Worker]) -> None:
    """Its lines are in the log, its checkpoint is kept, and the task it submitted waits, linked to its own."""
    task_id = put(queue, "fine")
    child = queue.task(result(queue, task_id).data["child"])
    assert (child.task.options.parent, child.task.options.tags, child.state) == (task_id, ("child",), State.SCHEDULED)
    assert queue.task(task_id).task.checkpoint == {"at": 1}
    said = [(line.stream, line.text) for line in queue.logs.read(task_id, -1, 100).lines]
    assert [text for stream, text in said if stream == "log"] == ["a line", "another"]
    assert [text for stream, text in said if stream == "out"] == (["on stdout"] if place[0] == "process" else [])


@pytest.mark.parametrize("task_type", ["obedient", "awaiting"])
@pytest.mark.slow
def test_a_run_learns_that_its_time_is_over(queue: Queue, tmp_path: Path, place: tuple[str, Worker],
                                            task_type: str) -> None:
    """It is told ``timeout``, an async handler by CancelledError, and the attempt has failed."""
    files = files_in(tmp_path)
    task_id = put(queue, task_type, files, timeout_seconds=0.3)
    assert result(queue, task_id).error_message in TIMED_OUT
    eventually(lambda: Path(files["why"]).exists() and Path(files["why"]).read_text("utf-8") == "timeout", 20,
               "it was told why")
    assert result(queue, put(queue, "soon")).is_success


@pytest.mark.parametrize("task_type", ["obedient", "awaiting"])
@pytest.mark.slow
def test_a_run_learns_that_it_is_to_be_cancelled(queue: Queue, tmp_path: Path, place: tuple[str, Worker],
                                                 task_type: str) -> None:
    """It is told ``cancelled``, and when it lets go the task ends as that."""
    files = files_in(tmp_path)
    task_id = put(queue, task_type, files)
    eventually(Path(files["began"]).exists, 20, "it runs")
    queue.cancel(task_id, by="me", reason="not needed")
    assert result(queue, task_id).error_message == "cancelled by me: not needed"
    assert Path(files["why"]).read_text("utf-8") == "cancelled"
    assert state(queue, task_id) is State.CANCELLED


def test_a_run_learns_that_its_lease_is_lost(queue: Queue, tmp_path: Path, place: tuple[str, Worker]) -> None:
    """Who holds a task no longer is told ``lease_lost``, and says nothing more about it to the queue."""
    files = files_in(tmp_path)
    task_id = put(queue, "obedient", files)
    eventually(Path(files["began"]).exists, 20, "it runs")
    lease = queue.task(task_id).lease
    assert lease is not None
    queue.release(task_id, lease.token, delay_seconds=3600, reason="taken from it")
    eventually(lambda: Path(files["why"]).exists() and Path(files["why"]).read_text("utf-8") == "lease_lost", 20,
               "it was told why")
    assert result(queue, put(queue, "soon")).is_success
    assert (state(queue, task_id), queue.task(task_id).task.attempts) == (State.SCHEDULED, 0)


@pytest.mark.parametrize("way", ["timeout", "cancel", "cancel at once"])
@pytest.mark.slow
def test_a_handler_that_does_not_stop_keeps_no_task(queue: Queue, tmp_path: Path, stern_place: tuple[str, Worker],
                                                    way: str) -> None:
    """The task ends without it, the worker goes on; of a process, and of what it has started, nothing is left."""
    files = files_in(tmp_path)
    task_id = put(queue, "deaf", files, **({"timeout_seconds": 0.3} if way == "timeout" else {}))
    if way != "timeout":
        eventually(Path(files["began"]).exists, 20, "it runs")
        ended = queue.cancel(task_id, at_once=way == "cancel at once").state
        assert ended is (State.CANCELLED if way == "cancel at once" else State.CLAIMED)
    assert result(queue, task_id).status == ("error" if way == "timeout" else "cancelled")
    assert way != "timeout" or queue.result(task_id).error_message in TIMED_OUT
    assert result(queue, put(queue, "soon")).is_success
    if Path(files["pids"]).exists():  # else it was ended before it could write it
        pids = [int(pid) for pid in Path(files["pids"]).read_text("utf-8").split()]
        eventually(lambda: not any(is_alive(pid) for pid in pids), 20, "nothing of it is left")
    Path(files["until"]).touch()
    assert queue.result(task_id).status == ("error" if way == "timeout" else "cancelled")


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(("task_type", "data", "how"), [
    pytest.param("killed", {}, "signal 9", marks=pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")),
    ("leaves", {"code": 3}, "exit code 3"),
])
@pytest.mark.slow
def test_a_process_that_dies_fails_its_attempt_only(queue: Queue, root: Path, task_type: str, data: dict[str, int],
                                                    how: str) -> None:
    """The task may be tried again, the worker lives, and the next task has a new process."""
    with source_of("folder", queue, root) as source, at_work(source, executor="process"):
        task_id = put(queue, task_type, data, max_retries=1)
        assert result(queue, task_id).error_message == f"the handler's process died ({how})"
        assert queue.task(task_id).task.attempts == 2
        assert result(queue, put(queue, "soon")).is_success
        if task_type == "leaves":
            assert [line.text for line in queue.logs.read(task_id, -1, 10).lines] == ["last words"] * 2


def test_all_that_a_process_prints_is_in_the_log_of_its_task(queue: Queue, root: Path) -> None:
    """In order, with its empty lines, to the last one, which is not the next task's."""
    with source_of("folder", queue, root) as source, at_work(source, executor="process"):
        ids = [put(queue, "chatty", {"lines": 3000}) for _ in range(2)]
        for task_id in ids:
            assert result(queue, task_id).is_success
    expected = [text for number in range(3000) for text in (str(number), "")] + ["the end"]
    for task_id in ids:
        assert [line.text for line in queue.logs.read(task_id, -1, 10_000).lines] == expected


def test_nothing_is_left_of_a_worker_that_has_ended(queue: Queue, root: Path, tmp_path: Path) -> None:
    """Its handlers' processes end with it, also one that was busy; its task is given back and lost no attempt."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    files = files_in(tmp_path)
    with source_of("folder", queue, root) as source, at_work(source, executor="process", concurrency=2):
        task_id = put(queue, "deaf", files)
        eventually(Path(files["began"]).exists, 20, "it runs")
    eventually(lambda: not {child.pid for child in psutil.Process().children(recursive=True)
                            if child.status() != psutil.STATUS_ZOMBIE} - before, 20, "nothing is left")
    assert (state(queue, task_id), queue.task(task_id).task.attempts) == (State.READY, 0)


@pytest.mark.slow
def test_nothing_is_left_of_a_worker_that_was_killed(queue: Queue, root: Path, tmp_path: Path,
                                                     children: Processes) -> None:
    """kill -9: its handlers' processes notice, and go with all they have started; the task comes back."""
    files = files_in(tmp_path)
    task_id = put(queue, "deaf", files)
    worker = children.command("work", "--root", root, "--handlers", FATES, "--executor", "process")
    eventually(Path(files["began"]).exists, 30, "it runs")
    pids = [int(pid) for pid in Path(files["pids"]).read_text("utf-8").split()]
    assert all(is_alive(pid) for pid in pids)
    worker.kill()
    eventually(lambda: not any(is_alive(pid) for pid in pids), 20, "nothing of it is left")
    eventually(lambda: state(queue, task_id) is State.READY, 20, "the task comes back")


def test_a_stopping_worker_tells_what_outlives_the_grace(queue: Queue, root: Path, tmp_path: Path) -> None:
    """When the grace is over a handler is told ``shutdown``; what it gives back costs no attempt, and a result that it
    still comes to counts."""
    files, others = files_in(tmp_path), files_in(tmp_path, "b")
    with source_of("folder", queue, root) as source, at_work(source, grace_seconds=0.1, concurrency=2):
        task_id, parting = put(queue, "obedient", files), put(queue, "parting", others)
        eventually(lambda: Path(files["began"]).exists() and Path(others["began"]).exists(), 20, "both run")
    assert queue.result(parting).data == {"why": "shutdown"}
    eventually(lambda: Path(files["why"]).exists() and Path(files["why"]).read_text("utf-8") == "shutdown", 20,
               "it was told why")
    assert (state(queue, task_id), queue.task(task_id).task.attempts) == (State.READY, 0)
