"""Many workers of both kinds on one queue: each task is handed out exactly once."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from taskspool.client import Client
from waiting import eventually
from worker_processes import Processes

TASKS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "10000"))
BATCH = 500


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_eight_pollers_and_four_folder_workers_run_each_of_ten_thousand_tasks_once(
        root: Path, tmp_path: Path, free_port: int, children: Processes) -> None:
    """8 HTTP pollers and 4 folder workers, a process each: 10,000 tasks, 10,000 runs, 10,000 results."""
    ran_folder = tmp_path / "ran"
    ran_folder.mkdir()
    children.bridge(root, free_port)
    url = f"http://127.0.0.1:{free_port}"
    with Client(url, timeout=60) as client:
        ids: list[str] = []
        for _ in range(TASKS // BATCH):
            ids += client.submit_many([{"type": "count", "data": {"folder": str(ran_folder)}}] * BATCH)
        for number in range(8):
            children.http_worker(url, name=f"poller-{number}")
        eventually(lambda: runs_so_far(ran_folder) >= TASKS // 8, 120, "the pollers have their share")
        for number in range(4):
            children.folder_worker(root, name=f"folder-{number}")
        eventually(lambda: runs_so_far(ran_folder) >= TASKS, 240, "all have run")
        eventually(lambda: client.stats()["completed_tasks"] >= TASKS, 10, "all are handed in")
        stats = client.stats()
    runs = [log.read_text(encoding="utf-8").split() for log in ran_folder.glob("*.ran")]
    assert Counter(task_id for one in runs for task_id in one) == Counter(ids)
    assert (stats["successful"], stats["failed"], stats["pending"], stats["inflight"]) == (TASKS, 0, 0, 0)
    assert len(list((root / "task_queue" / "results").iterdir())) == TASKS
    assert len(runs) == 12, "every worker had its share"
    print(f"attempt {TASKS} ok {TASKS} duplicated 0 lost 0; per worker: {sorted(map(len, runs))}")


def runs_so_far(folder: Path) -> int:
    """How many runs have been written down: a line of 37 bytes each."""
    return sum(log.stat().st_size for log in folder.glob("*.ran")) // 37
