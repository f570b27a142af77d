"""A batch on a real queue with a single worker: on the folder, over HTTP, with handlers in another process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import State
from taskspool.jobs import batches
from taskspool.settings import Settings
from taskspool.shapes_managed import BatchProcessing
from taskspool.worker.contact import Contact
from taskspool.worker.handlers import Handlers, Snooze, TaskContext
from taskspool.worker.source import FolderSource
from waiting import eventually
from worker.at_work import at_work, put, result, source_of, state


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(batches, "PARTS_PER_SECOND", 1000)


@pytest.fixture
def queue(root: Path) -> Iterator[Queue]:
    opened = open_queue(Settings(root=root, durability="fast"))
    sweeper = Sweeper(opened, tick_seconds=0.05)
    sweeper.start()
    yield opened
    sweeper.stop()
    opened.close()


@contextmanager
def worker(kind: str, queue: Queue, root: Path, handlers: Handlers, **options: Any) -> Iterator[None]:
    with source_of(kind, queue, root) as source, at_work(source, handlers, **options):
        yield


def folder_of_files(folder: Path, count: int) -> list[str]:
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"text {number}")
    return [str(folder / f"{number}.txt") for number in range(count)]


@pytest.mark.parametrize("kind", ["folder", "http"])
def test_a_batch_runs_its_parts_and_counts_them(queue: Queue, root: Path, tmp_path: Path, handlers: Handlers,
                                                kind: str) -> None:
    """With one worker that does one thing at a time: no deadlock, a count for each fate, the error of each failure;
    the parts belong to the batch and to its knowledge base."""
    paths = [*folder_of_files(tmp_path, 4), str(tmp_path / "missing.txt")]
    batch = put(queue, "batch_processing", {"file_paths": paths, "task_type": "document_processing"}, group="kb")
    with worker(kind, queue, root, handlers):
        told = result(queue, batch)
    assert told.is_success, told
    assert {name: told.data[name] for name in ("total", "completed", "failed", "cancelled", "missing")} == {
        "total": 5, "completed": 4, "failed": 1, "cancelled": 0, "missing": 0}
    assert "there is no such file" in told.data["parts"][4]["error"]
    for part in told.data["parts"]:
        options = queue.task(part["task_id"]).task.options
        assert (options.parent, options.group, options.timeout_seconds) == (batch, "kb", 300.0)
    assert queue.task(batch).task.progress.percent == 100  # type: ignore[union-attr]  # it had some


def test_an_attempt_that_is_made_again_submits_no_part_twice(queue: Queue, tmp_path: Path) -> None:
    """Also when the attempt before died between the last part and its checkpoint."""
    payload = BatchProcessing(file_paths=folder_of_files(tmp_path, 3))
    batch = put(queue, "batch_processing", {})
    source = FolderSource(queue, "w")
    context = TaskContext(batch, "batch_processing", "test", 1, "w", group="kb",
                          contact=Contact(submit=source.submit, look=source.look))
    for _attempt in range(2):
        with pytest.raises(Snooze, match="3 parts are open"):
            batches.run_batch(payload, context)
    assert queue.counts().ready == 1 + 3


@pytest.mark.parametrize("executor", ["thread", pytest.param("process", marks=pytest.mark.slow)])
def test_cancelling_a_batch_cancels_its_parts_that_wait(queue: Queue, root: Path, tmp_path: Path, handlers: Handlers,
                                                        executor: str) -> None:
    """A part whose batch was cancelled ends as cancelled when its turn comes, without doing anything."""
    paths = folder_of_files(tmp_path, 6)
    batch = put(queue, "batch_processing", {"file_paths": paths, "task_type": "document_processing"}, group="kb")
    queue.pause(["document_processing"])
    with worker("folder", queue, root, handlers, executor=executor):
        eventually(lambda: queue.counts().ready == 6 and queue.task(batch).state is State.SCHEDULED, 20)
        queue.cancel(batch)
        queue.resume(["document_processing"])
        eventually(lambda: queue.counts().cancelled == 7, 20, "the batch and its parts are cancelled")
    assert state(queue, batch) is State.CANCELLED
    assert not (root / "managed_data").exists()


def test_a_batch_waits_while_its_parts_are_paused(queue: Queue, root: Path, tmp_path: Path, handlers: Handlers) -> None:
    """It is put off, costs no attempt, holds no worker, and ends when they do."""
    paths = folder_of_files(tmp_path, 2)
    queue.pause(["document_processing"])
    batch = put(queue, "batch_processing", {"file_paths": paths, "task_type": "document_processing"}, group="kb")
    with worker("folder", queue, root, handlers):
        eventually(lambda: len([step for step in queue.story(batch) if step.verb == "release"]) >= 2, 20)
        assert result(queue, put(queue, "ping")).is_success
        queue.resume(["document_processing"])
        assert result(queue, batch).data["completed"] == 2
    assert queue.task(batch).task.attempts == 0
