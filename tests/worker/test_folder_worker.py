"""Workers on a folder: real processes, real files, real signals."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, Result, State
from taskspool.errors import ResultPending
from taskspool.settings import Settings
from taskspool.worker import loop
from taskspool.worker.execution import Execution
from taskspool.worker.handlers import Handlers, load_handlers
from taskspool.worker.loop import Worker, run_folder_worker
from taskspool.worker.source import FolderSource
from waiting import eventually
from worker_processes import Processes

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


def put(queue: Queue, task_type: str, data: object = None, max_retries: int = 0) -> str:
    return queue.enqueue(NewTask(task_type, data or {}, max_retries=max_retries)).task_id


def result(queue: Queue, task_id: str, seconds: float = 10.0) -> Result:
    def look() -> Result | None:
        try:
            return queue.result(task_id)
        except ResultPending:
            return None

    return eventually(look, seconds, f"result of {task_id}: {queue.task(task_id)}")


def hold(queue: Queue, folder: Path, name: str = "a") -> str:
    """A task that says that it began (file ``<name>.began``) and runs until ``<name>.until`` exists."""
    return put(queue, "hold", {"began": str(folder / f"{name}.began"), "until": str(folder / f"{name}.until")})


def ran(folder: Path) -> Counter[str]:
    """Task id -> how often the handler ``count`` ran for it, over all processes."""
    return Counter(line for log in folder.glob("*.ran") for line in log.read_text(encoding="utf-8").split())


def test_a_worker_lives_through_every_kind_of_failing_handler(queue: Queue, root: Path, children: Processes) -> None:
    """Errors, exits and give-ups end as readable results, and the next task is done by the same worker."""
    worker = children.folder_worker(root)
    failing = {
        put(queue, "boom", {"message": "it broke: 핑"}): "ValueError: it broke: 핑",
        put(queue, "leave"): "SystemExit: 3",
        put(queue, "hopeless", max_retries=5): "the account is closed",
        put(queue, "calculation", {"operation": "divide", "numbers": [1, 0]}): "cannot divide 1 by zero",
    }
    ping = put(queue, "ping")
    for task_id, message in failing.items():
        assert (result(queue, task_id).status, result(queue, task_id).error_message) == ("error", message)
        assert queue.task(task_id).state is State.DEAD
    assert result(queue, ping).data["message"] == "pong"
    assert worker.popen.poll() is None


def test_a_retry_comes_after_the_time_the_handler_asked_for(queue: Queue, root: Path, children: Processes) -> None:
    """Retry(after_seconds) puts the task off for so long, and the next attempt counts one more."""
    task_id = put(queue, "later", {"after_seconds": 0.3}, max_retries=1)
    children.folder_worker(root)
    assert result(queue, task_id).data == {"attempt": 2}


def test_a_type_without_handler_is_never_claimed(queue: Queue, root: Path, children: Processes) -> None:
    """A task nobody here can do waits, untouched, while others of later arrival are done."""
    foreign = put(queue, "web_scraping", {"url": "x"})
    ping = put(queue, "ping")
    children.folder_worker(root)
    result(queue, ping)
    snapshot = queue.task(foreign)
    assert (snapshot.state, snapshot.task.attempts, snapshot.task.crashes) == (State.READY, 0, 0)


def test_a_killed_workers_task_is_given_to_another_within_two_seconds(
        queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """kill -9 in the middle: the task is free within 2 s, and another worker finishes it as the second attempt."""
    first = children.folder_worker(root, name="first")
    task_id = hold(queue, tmp_path)
    eventually((tmp_path / "a.began").exists, why="the first worker began")
    first.kill()
    eventually(lambda: queue.task(task_id).state is State.READY, 2.0, "the task is free again")
    (tmp_path / "a.until").touch()
    children.folder_worker(root, name="second")
    assert result(queue, task_id).data == {"worker": "second", "attempt": 2}
    assert queue.task(task_id).task.crashes == 1


def test_workers_are_right_when_every_event_is_lost(
        root: Path, tmp_path: Path, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the watch switched off, tasks put there by another process are all done, once, from the tick alone."""
    monkeypatch.setattr(loop.Wakeup, "start", lambda self: False)
    folder = tmp_path / "ran"
    folder.mkdir()
    thread, stop = in_thread(root, 2, folder)
    try:
        for _ in range(3):
            ids = [put(queue, "count", {"folder": str(folder)}) for _ in range(5)]
            for task_id in ids:
                result(queue, task_id, 3.0)
    finally:
        stop()
        thread.join(10)
    assert sorted(ran(folder).values()) == [1] * 15


def test_workers_are_right_after_the_watched_folder_was_made_again(
        root: Path, tmp_path: Path, queue: Queue, children: Processes) -> None:
    """A watch on a removed folder hears nothing any more; the tick finds what comes into the new one."""
    children.folder_worker(root)
    result(queue, put(queue, "ping"))
    shutil.rmtree(root / "task_queue" / "tasks")
    (root / "task_queue" / "tasks").mkdir(mode=0o700)
    assert result(queue, put(queue, "ping"), 3.0).is_success


def test_a_waiting_worker_is_woken_by_a_task_from_another_process(queue: Queue, root: Path,
                                                                  children: Processes) -> None:
    """File events make it quick: of ten tasks, one by one, most are done long before the next tick."""
    children.folder_worker(root)
    result(queue, put(queue, "ping"))
    took = []
    for _ in range(10):
        began = time.monotonic()
        result(queue, put(queue, "ping"))
        took.append(time.monotonic() - began)
    assert sorted(took)[5] < 0.2, took


def test_concurrency_n_really_runs_n_at_once(queue: Queue, root: Path, children: Processes) -> None:
    """Four tasks that each wait for the other three end, in a worker with four runners."""
    children.folder_worker(root, concurrency=4)
    for task_id in [put(queue, "together", {"n": 4}) for _ in range(4)]:
        assert result(queue, task_id).data == {"n": 4}


def test_a_worker_claims_no_more_than_it_can_run(queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """While both runners are busy, everything else stays ready for others."""
    children.folder_worker(root, concurrency=2)
    for name in "abcd":
        hold(queue, tmp_path, name)
    eventually(lambda: (tmp_path / "a.began").exists() and (tmp_path / "b.began").exists(), why="two run")
    assert (queue.counts().claimed, queue.counts().ready) == (2, 2)
    for name in "abcd":
        (tmp_path / f"{name}.until").touch()
    eventually(lambda: queue.counts().done == 4, why="all are done in the end")


@POSIX
@pytest.mark.slow
def test_sigterm_gives_unfinished_work_back_within_five_seconds(
        queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """A handler that does not end is given up after the grace; its task is ready again and lost no attempt."""
    worker = children.folder_worker(root, concurrency=2)
    ids = [hold(queue, tmp_path, name) for name in "ab"]
    eventually(lambda: (tmp_path / "a.began").exists() and (tmp_path / "b.began").exists(), why="both run")
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.popen.wait(10) == 0
    assert time.monotonic() - began < 5.0
    for task_id in ids:
        snapshot = queue.task(task_id)
        assert (snapshot.state, snapshot.task.attempts, snapshot.task.crashes) == (State.READY, 0, 0)


@POSIX
@pytest.mark.slow
def test_a_second_signal_ends_the_grace(queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """Who presses Ctrl-C twice is not made to wait; the task is given back all the same."""
    worker = children.folder_worker(root)
    task_id = hold(queue, tmp_path)
    eventually((tmp_path / "a.began").exists, why="it runs")
    worker.signal(signal.SIGINT)
    eventually(lambda: "stopping" in worker.text(), why="the first signal was heard")
    began = time.monotonic()
    worker.signal(signal.SIGINT)
    assert worker.popen.wait(10) == 0
    assert time.monotonic() - began < 2.0
    assert queue.task(task_id).state is State.READY


@POSIX
def test_a_stopping_worker_finishes_what_ends_in_time(queue: Queue, root: Path, tmp_path: Path,
                                                      children: Processes) -> None:
    """A run that ends within the grace is handed in; nothing new is begun."""
    worker = children.folder_worker(root)
    first, second = hold(queue, tmp_path, "a"), hold(queue, tmp_path, "b")
    eventually((tmp_path / "a.began").exists, why="it runs")
    worker.signal(signal.SIGTERM)
    eventually(lambda: "stopping" in worker.text(), why="the signal was heard")
    (tmp_path / "a.until").touch()
    assert worker.popen.wait(10) == 0
    assert queue.result(first).data["attempt"] == 1
    assert queue.task(second).state is State.READY
    assert not (tmp_path / "b.began").exists()


def test_once_runs_one_look_and_until_idle_everything(queue: Queue, root: Path, tmp_path: Path) -> None:
    """once: at most as many tasks as may run at once; until_idle: all there are. Both end by themselves."""
    settings = Settings(root=root, durability="fast")
    folder = tmp_path / "ran"
    folder.mkdir()
    for _ in range(7):
        put(queue, "count", {"folder": str(folder)})
    handlers = counting()
    assert run_folder_worker(settings, handlers=handlers, concurrency=2, once=True) == 0
    assert sum(ran(folder).values()) == 2
    assert run_folder_worker(settings, handlers=handlers, concurrency=2, until_idle=True) == 0
    assert sum(ran(folder).values()) == 7
    assert run_folder_worker(settings, handlers=handlers, concurrency=2, once=True) == 0


@pytest.mark.parametrize("broken", ["claim", "complete", "execute"])
def test_a_fault_nobody_foresaw_ends_no_runner(queue: Queue, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """An error out of the queue, or out of our own pipeline, is logged; the task is done all the same."""
    source = FolderSource(queue, "w")
    owner, name = (Execution, "_perform") if broken == "execute" else (source, broken)
    sound, faults = getattr(owner, name), [OverflowError("unforeseen")]

    def faulty(*arguments: object) -> object:
        if faults:
            raise faults.pop()
        return sound(*arguments)

    monkeypatch.setattr(owner, name, faulty)
    worker = Worker(source, load_handlers(), wait_seconds=0.1)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        assert result(queue, put(queue, "ping")).data["worker"] == "w"
        assert not faults
    finally:
        worker.stop()
        thread.join(5)
    assert not thread.is_alive()


def counting() -> Handlers:
    from worker_processes import JOBS

    return load_handlers([str(JOBS)])


def in_thread(root: Path, concurrency: int, folder: Path) -> tuple[threading.Thread, object]:
    """A folder worker in this process, and what stops it."""
    made: list[Worker] = []
    original = Worker.run

    def run(self: Worker, **options: bool) -> int:
        made.append(self)
        return original(self, **options)

    Worker.run = run  # type: ignore[method-assign]
    settings = Settings(root=root, durability="fast")
    thread = threading.Thread(target=run_folder_worker, args=[settings],
                              kwargs={"handlers": counting(), "concurrency": concurrency})
    thread.start()
    eventually(lambda: made, why="the worker runs")
    Worker.run = original  # type: ignore[method-assign]
    return thread, made[0].stop


@pytest.mark.slow
def test_eight_runners_in_two_processes_run_each_of_a_thousand_tasks_once(
        queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """Each task is handed out exactly once, whoever is fastest."""
    folder = tmp_path / "ran"
    folder.mkdir()
    for number in range(2):
        children.folder_worker(root, name=f"w{number}", concurrency=4)
    ids = {put(queue, "count", {"folder": str(folder)}) for _ in range(1000)}
    eventually(lambda: queue.counts().done == 1000, 60, "all are done")
    assert ran(folder) == Counter(ids)
    assert os.getpid() not in {int(log.stem) for log in folder.glob("*.ran")}
