"""A quiet worker claims nothing, finishes what runs, and lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from waiting import eventually
from worker.at_work import at_work, files_in, put, result, source_of, state


@pytest.mark.parametrize("kind", ["folder", pytest.param("http", marks=pytest.mark.slow)])
def test_a_quiet_worker_finishes_what_runs_and_takes_nothing_new(queue: Queue, root: Path, tmp_path: Path,
                                                                kind: str) -> None:
    """Until it is told to go on; what a question in flight still brought is given back, and cost no attempt."""
    files = files_in(tmp_path)
    with source_of(kind, queue, root) as source, at_work(source, concurrency=2) as worker:
        running = put(queue, "deaf", files)
        eventually(Path(files["began"]).exists, 20, "it runs")
        worker.quiet()
        waiting = [put(queue, "soon") for _ in range(3)]
        Path(files["until"]).touch()
        assert result(queue, running).is_success
        eventually(lambda: queue.counts().claimed == 0, 20, "nothing is held")
        assert [state(queue, each) for each in waiting] == [State.READY] * 3
        worker.resume()
        assert all(result(queue, each).is_success for each in waiting)
        tasks = [queue.task(each).task for each in waiting]
        assert [task.attempts for task in tasks] == [0] * 3
        assert sum(len([step for step in task.history if step.verb == "release"]) for task in tasks) <= 1, \
            "only the question in flight"
