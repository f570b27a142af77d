"""Workers and processes that have done enough make room for fresh ones."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from taskspool.cli.codes import ExitCode
from taskspool.engine.lifecycle import Queue
from taskspool.settings import Settings
from taskspool.worker.handlers import load_handlers
from taskspool.worker.loop import Worker, run_folder_worker
from taskspool.worker.recycling import RECYCLED, Recycling
from worker.at_work import FATES, at_work, files_in, put, result, source_of


def test_a_worker_of_threads_ends_after_so_many_tasks(queue: Queue, root: Path) -> None:
    """It claims no more than that, finishes them, and ends with a code of its own."""
    ids = [put(queue, "soon") for _ in range(5)]
    settings = Settings(root=root, durability="fast")
    assert run_folder_worker(settings, handlers=load_handlers([str(FATES)]), concurrency=2, max_tasks=3) == RECYCLED
    assert sum(queue.task(task_id).state.is_final for task_id in ids) == 3
    assert (RECYCLED, queue.counts().ready) == (ExitCode.RECYCLED, 2)


def test_a_worker_of_threads_ends_when_it_has_grown(queue: Queue, root: Path) -> None:
    """After the task that made it too large it claims nothing more."""
    ids = [put(queue, "soon") for _ in range(3)]
    settings = Settings(root=root, durability="fast")
    assert run_folder_worker(settings, handlers=load_handlers([str(FATES)]), max_memory_bytes=1) == RECYCLED
    assert sum(queue.task(task_id).state.is_final for task_id in ids) == 1


def test_a_handler_that_does_not_stop_does_not_hold_up_the_end(queue: Queue, root: Path, tmp_path: Path) -> None:
    """When all else is done, a thread whose task was taken from it is not waited for."""
    files = files_in(tmp_path)
    task_id = put(queue, "deaf", files, timeout_seconds=0.3)
    with source_of("folder", queue, root) as source:
        worker = Worker(source, load_handlers([str(FATES)]), max_tasks=1, wait_seconds=0.1)
        thread = threading.Thread(target=worker.run)
        thread.start()
        thread.join(30)
        assert (thread.is_alive(), worker.is_recycled) == (False, True), "its only runner is still busy"
    assert queue.result(task_id).status == "error"
    Path(files["until"]).touch()


@pytest.mark.slow
def test_a_process_is_replaced_after_so_many_tasks(queue: Queue, root: Path) -> None:
    """Each of them runs so many and no more; the worker lives on."""
    with source_of("folder", queue, root) as source, at_work(source, executor="process", max_tasks=2):
        done = [result(queue, put(queue, "counted")).data for _ in range(5)]
    assert [each["number"] for each in done] == [1, 2, 1, 2, 1]
    assert len({each["pid"] for each in done}) == 3


@pytest.mark.slow
def test_a_process_is_replaced_when_it_has_grown(queue: Queue, root: Path) -> None:
    """The task that made it grow is done; the next has a process of its own."""
    options = {"executor": "process", "max_memory_bytes": 200 << 20}
    with source_of("folder", queue, root) as source, at_work(source, **options):
        small = [result(queue, put(queue, "counted")).data["pid"] for _ in range(2)]
        large = result(queue, put(queue, "greedy", {"bytes": 250 << 20})).data["pid"]
        after = result(queue, put(queue, "counted")).data["pid"]
    assert (small[0] == small[1] == large, large != after) == (True, True)


def test_it_says_why() -> None:
    """The reason names the option; without options there is none."""
    assert Recycling().reason(10**9) is None
    assert Recycling(max_tasks=3).reason(2) is None
    assert Recycling(max_tasks=3).reason(3) == "it has run 3 tasks (--max-tasks)"
    assert "--max-memory 1 MiB" in str(Recycling(max_memory_bytes=1 << 20).reason(1, os.getpid()))
    assert Recycling(max_memory_bytes=1).reason(1, pid=2**22 + 1) is None, "there is no such process"


@pytest.mark.parametrize("executor", ["thread", "process"])
def test_a_class_is_made_once_per_process(queue: Queue, root: Path, executor: str) -> None:
    """The instance of the first task serves the next ones."""
    with source_of("folder", queue, root) as source, at_work(source, executor=executor):
        assert [result(queue, put(queue, "counted")).data["number"] for _ in range(3)] == [1, 2, 3]
