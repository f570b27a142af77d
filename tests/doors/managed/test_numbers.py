"""Statistics, the line, and health: true numbers, under the names of seed 004."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock
from live_managed import TASKS, LiveManaged, live_managed

from taskspool.doors.managed import health
from taskspool.doors.managed.stats_views import stats_json
from taskspool.engine.disk import Room
from taskspool.engine.figures import Figures
from taskspool.engine.task import State
from taskspool.engine.worker_record import WorkerReport
from waiting import eventually

ZEROS = {"total_tasks": 0, "queued_tasks": 0, "processing_tasks": 0, "completed_tasks": 0, "failed_tasks": 0,
         "avg_process_time": 0.0, "success_rate": 0.0, "status_breakdown": {}, "type_breakdown": {}}


def stats(door: LiveManaged, **query: str) -> Any:
    return door.get("/api/v1/stats/tasks", params=query).json()


def test_statistics_count_what_is_there(tmp_path: Path) -> None:
    """Each task once, and no word of which there is none; the mean is from claim to end, the rate in percent of all."""
    clock = FakeClock()
    with live_managed(tmp_path, clock=clock) as door:
        ids = [door.new(kb_id="kb_a", task_type="vector_storage")["id"] for _ in range(6)]
        door.new(kb_id="kb_b")
        for seconds, task_id in ((2, ids[0]), (4, ids[1])):
            token = door.hold(task_id).lease.token
            clock.advance(seconds)
            door.queue.complete(task_id, token, {})
        door.fail(ids[2])
        door.hold(ids[3])
        door.delete(f"{TASKS}/{ids[4]}")
        told = stats(door, kb_id="kb_a")
        assert told == {
            "total_tasks": 6, "queued_tasks": 1, "processing_tasks": 1, "completed_tasks": 2, "failed_tasks": 0,
            "avg_process_time": pytest.approx(3, abs=0.01), "success_rate": 33.33,
            "status_breakdown": {"queued": 1, "processing": 1, "completed": 2, "canceled": 1, "retrying": 1},
            "type_breakdown": {"vector_storage": 6}}
        everything = stats(door)
        assert everything["type_breakdown"] == {"vector_storage": 6, "health_check": 1}
        assert everything["total_tasks"] == 7
        assert sum(everything["status_breakdown"].values()) == 7
        assert stats(door, kb_id="nobody") == ZEROS


def test_the_success_rate_is_the_one_of_the_document() -> None:
    """1180 completed of 1250 are 94.4 percent."""
    states = {State.READY: 45, State.CLAIMED: 12, State.DONE: 1180, State.DEAD: 13}
    assert stats_json(Figures(states, {}, 0, 45.6, True))["success_rate"] == 94.4


def test_statistics_of_an_empty_service_are_zeros(fresh: LiveManaged) -> None:
    """No null, no division by nothing."""
    assert stats(fresh) == ZEROS
    assert fresh.get("/api/v1/stats/system").json() == {
        "total_workers": 0, "active_workers": 0, "idle_workers": 0, "busy_workers": 0, "queue_size": 0,
        "processing_rate": 0.0, "workers": [], "task_stats": ZEROS}


def test_system_statistics_know_the_workers(tmp_path: Path) -> None:
    """Who lives, who is busy and with what, what each has done and how long it took; who is gone is counted only."""
    clock = FakeClock()
    with live_managed(tmp_path, clock=clock) as door:
        for name, done, failed in (("worker_001", 7, 1), ("worker_002", 0, 0), ("worker_003", 0, 0)):
            door.queue.workers.report(WorkerReport(name, done=done, failed=failed))
        door.queue.workers.report(WorkerReport("worker_003", state="gone"))
        ids = [door.new()["id"] for _ in range(3)]
        token = door.hold(ids[0], "worker_001").lease.token
        clock.advance(6)
        door.queue.complete(ids[0], token, {})
        door.hold(ids[1], "worker_001")
        told = door.get("/api/v1/stats/system").json()
        assert {name: told[name] for name in told if name not in ("workers", "task_stats")} == {
            "total_workers": 3, "active_workers": 2, "idle_workers": 1, "busy_workers": 1, "queue_size": 1,
            "processing_rate": pytest.approx(10, abs=0.1)}
        assert told["task_stats"] == stats(door)
        first, second = sorted(told["workers"], key=lambda worker: str(worker["id"]))
        assert {name: first[name] for name in ("id", "status", "current_task_id", "tasks_processed", "tasks_succeeded",
                                               "tasks_failed", "average_task_time")} == {
            "id": "worker_001", "status": "busy", "current_task_id": ids[1], "tasks_processed": 8,
            "tasks_succeeded": 7, "tasks_failed": 1, "average_task_time": pytest.approx(6, abs=0.01)}
        assert (second["status"], second["current_task_id"], second["average_task_time"]) == ("idle", "", 0.0)
        assert all(worker["last_heartbeat"].endswith("Z") and worker["started_at"] for worker in (first, second))


def test_the_line_by_priority(tmp_path: Path) -> None:
    """How many are queued of each priority, and of all; what is retrying, or worked on, is not."""
    with live_managed(tmp_path, clock=FakeClock()) as door:
        for priority in ("high", "high", "low", "normal"):
            door.new(priority=priority)
        door.new(priority="high", schedule_for="2100-01-01T00:00:00Z")
        door.fail(door.new(priority="high")["id"])
        door.hold(door.new(priority="high")["id"])
        for query, size, key in (("?priority=high", 3, "task_queue:high"), ("?priority=low", 1, "task_queue:low"),
                                 ("?priority=critical", 0, "task_queue:critical"), ("", 5, "task_queue"),
                                 ("?task_type=document_processing&priority=high", 3, "task_queue:high"),
                                 ("?priority=urgent", 0, "task_queue:urgent"), ("?priority=", 5, "task_queue")):
            assert door.get(f"/api/v1/queues/info{query}").json() == {"queue_size": size, "queue_key": key}, query


# -- health ----------------------------------------------------------------------------------------------------------


def test_a_healthy_service_says_so(fresh: LiveManaged) -> None:
    """200, each part healthy, and how many tasks are queued under both names that clients look at."""
    fresh.new()
    told = fresh.get("/health").json()
    assert {name: told[name] for name in ("status", "service", "details")} == {
        "status": "healthy", "service": "task-manager", "details": {
            "database": {"status": "healthy"}, "redis": {"status": "healthy", "size": 1},
            "queue": {"status": "healthy", "size": 1}}}
    assert told["version"] == "1.0.0"


def test_a_folder_that_is_gone_is_unhealthy(tmp_path: Path) -> None:
    """503, and which part does not work, without a path of this machine."""
    with live_managed(tmp_path) as door:
        shutil.rmtree(door.settings.folder / "tmp")
        shutil.rmtree(door.settings.folder / "tasks")
        (door.settings.folder / "tasks").write_text("not a folder")
        reply = door.get("/health")
        told = reply.json()
        assert (reply.status_code, told["status"]) == (503, "unhealthy")
        assert told["details"]["redis"]["status"] == told["details"]["queue"]["status"] == "unhealthy"
        assert "No such file" in told["details"]["queue"]["error"]
        assert str(tmp_path) not in reply.text


def test_an_index_that_cannot_be_asked_is_unhealthy(tmp_path: Path) -> None:
    """The database part says so; the others still work."""
    with live_managed(tmp_path) as door:
        index = door.settings.folder / "index.sqlite"
        door.get("/health")

        def is_seen() -> bool:
            for path in door.settings.folder.glob("index.sqlite*"):
                path.unlink(missing_ok=True) if path.is_file() else None
            index.mkdir(exist_ok=True)
            told: dict[str, Any] = door.get("/health").json()
            return bool(told["details"]["database"]["status"] == "unhealthy")

        eventually(is_seen, why="a folder is no index")
        told = door.get("/health").json()
        assert told["details"]["database"]["error"] == "the index cannot be asked"
        assert told["details"]["redis"] == told["details"]["queue"] == {"status": "healthy"}
        made = door.post(TASKS, {"task_type": "health_check", "kb_id": "kb", "payload": {}})
        assert made.status_code == 201, "what was accepted must not be answered with an error"
        assert made.json()["estimated_completion"] == door.told(made.json()["id"])["estimated_completion"] is not None
        assert door.get(TASKS).json()["code"] == "SERVICE_UNAVAILABLE", "lists need the index"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_unhealthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue part: new tasks would be refused; a disk that takes not even a probe as well."""
    with live_managed(tmp_path) as door:
        with monkeypatch.context() as patch:
            patch.setattr(health, "room_of", lambda *_: Room(1_000, 64 << 20))
            told = door.get("/health").json()
            assert told["details"]["queue"]["error"] == "new tasks cannot be written: the disk is nearly full"

        def on_a_full_disk(**_: Any) -> Any:
            return Path("/dev/full").open("wb", buffering=0)

        with monkeypatch.context() as patch:
            patch.setattr(health.tempfile, "TemporaryFile", on_a_full_disk)
            reply = door.get("/health")
            assert reply.status_code == 503
            assert reply.json()["error"] == "new tasks cannot be written: No space left on device"
        assert door.get("/health").status_code == 200
        assert list((door.settings.folder / "tmp").iterdir()) == [], "the probe leaves nothing"
