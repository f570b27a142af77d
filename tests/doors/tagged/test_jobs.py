"""The worker of the tagged tasks: what it runs, in which order, and what its hooks leave in the rows.

The door is closed while the worker works, where a test says so: then it is the hooks alone that keep the rows true.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live_tagged import LiveTagged
from service import PROJECT
from sqlalchemy import select
from waiting import eventually

from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import NewTask
from taskspool.jobs import tagged as jobs
from taskspool.records.models.tagged import TaggedTask

BUSINESS = str(Path(__file__).parent / "business.py")


def rows(tagged: LiveTagged) -> list[TaggedTask]:
    """As they stand in the database, without a look at the engine."""
    with tagged.database.reading() as session:
        return list(session.scalars(select(TaggedTask).order_by(TaggedTask.id)))


def test_a_task_runs_the_handler_it_names(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One of the door's own, one that is built in, and one of a module given with --handlers; each with its payload."""
    file = tmp_path / "notes"
    payloads: dict[str, dict[str, Any]] = {
        "noop": {}, "calculation": {"operation": "add", "numbers": [1, 2]}, "note": {"file": str(file), "name": "a"}}
    tasks = {name: fresh.create(handler=name, payload=payload, retry_limit=2) for name, payload in payloads.items()}
    fresh.work(monkeypatch, [BUSINESS])
    done = {name: fresh.get(task) for name, task in tasks.items()}
    assert {task["status"] for task in done.values()} == {"done"}
    assert (done["noop"]["result"], done["calculation"]["result"]) == (None, {"result": 3})
    assert done["note"]["result"] == {"attempt": 1, "of": 3, "type": "note"}
    assert file.read_text() == "a\n"


def test_priorities_are_handed_out_in_order(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """高 before 中 before 低, inside one in the order they came; a PATCH counts."""
    file = tmp_path / "notes"

    def create(name: str, priority: str) -> dict[str, Any]:
        return fresh.create(priority=priority, handler="note", payload={"file": str(file), "name": name})

    moved = create("moved", "低")
    for name, priority in (("low", "低"), ("normal", "中"), ("high", "高"), ("normal 2", "中"), ("high 2", "高")):
        create(name, priority)
    fresh.ask("PATCH", f"/tasks/{moved['id']}", {"priority": "中"})
    fresh.queue.store.index.last_event_id()  # written: another process, as a worker is, hears of it a moment later
    fresh.work(monkeypatch, [BUSINESS])
    assert file.read_text().splitlines() == ["high", "high 2", "moved", "normal", "normal 2", "low"]


def test_the_hooks_leave_true_rows(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """on_retry and on_job_failure: with nobody else looking, the rows say failed, done, and how often it was tried."""
    fresh.projection.stop()
    file = tmp_path / "notes"
    monkeypatch.setenv("HOOKS_FILE", str(tmp_path / "hooks"))
    fresh.create(handler="hopeless")
    again = fresh.create(handler="note", payload={"file": str(file), "name": "a", "fails": 1}, retry_limit=1)
    fresh.create(handler="note", payload={"file": str(file), "name": "b", "fails": 9}, retry_limit=0)
    fresh.create(handler="nobody knows it")
    fresh.work(monkeypatch, [BUSINESS])
    assert [(row.status, row.current_retry_count) for row in rows(fresh)] == [
        ("failed", 0), ("retrying", 1), ("failed", 0), ("failed", 0)]
    assert rows(fresh)[1].error == "ValueError: attempt 1"
    fresh.queue.promote(again["queue_id"], by="me")
    fresh.work(monkeypatch, [BUSINESS])
    assert [(row.status, row.current_retry_count) for row in rows(fresh)] == [
        ("failed", 0), ("done", 1), ("failed", 0), ("failed", 0)]
    assert [row.error for row in rows(fresh)][:3] == ["never", None, "ValueError: attempt 1"]
    assert str(rows(fresh)[3].error).startswith("this worker has no handler for 'nobody knows it'; it has ")
    assert "retry 1 ValueError: attempt 1" in (tmp_path / "hooks").read_text()
    assert "failure 1 never" in (tmp_path / "hooks").read_text()


def test_a_crash_leaves_fewer_attempts(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A run whose worker died is one of the ``max_attempts``: when it was the last, on_failure is called."""
    monkeypatch.setenv("HOOKS_FILE", str(tmp_path / "hooks"))
    payload = {"file": str(tmp_path / "notes"), "name": "a", "fails": 9}
    task = fresh.create(handler="note", payload=payload, retry_limit=1)
    dying = open_queue(fresh.settings)
    dying.claim_one(task["queue_id"], "w", lease_seconds=0)
    dying.close()
    eventually(lambda: fresh.get(task)["status"] == "retrying", why="the dead worker is noticed")
    fresh.work(monkeypatch, [BUSINESS])
    assert (tmp_path / "hooks").read_text() == "failure 2 ValueError: attempt 2\n"
    assert (fresh.get(task)["status"], fresh.get(task)["current_retry_count"]) == ("failed", 1)


def test_a_row_says_in_progress_before_its_handler_begins(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch) -> None:
    """So whatever a worker touched is known to the database, should it die."""
    fresh.projection.stop()
    task = fresh.create()
    claim = fresh.claim(task)
    fresh.move_in(monkeypatch)
    work = jobs.opened(fresh.settings).mirror.begin(task["id"], claim.task.data["uuid"], claim.task.id)
    assert work is not None
    assert (work.handler, work.payload, work.retry_limit) == ("noop", {}, 3)
    assert [row.status for row in rows(fresh)] == ["in_progress"]


def test_a_task_without_its_row_is_given_up(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was deleted is not worked on, nor is a task that names none; a worker takes no harm."""
    fresh.create(handler="fail")
    strange: list[dict[str, Any]] = [{}, {"task_id": 1, "uuid": "of another"}, {"task_id": "1", "uuid": "x"}]
    queue_ids = [fresh.queue.enqueue(NewTask("execute_task", data, max_retries=3)).task_id for data in strange]
    fresh.work(monkeypatch)
    assert [fresh.queue.task(queue_id).state for queue_id in queue_ids] == ["dead"] * 3


def test_heavy_task_says_how_long_it_slept(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of concept, end to end: ``Slept for 0 seconds.``"""
    job = fresh.ask("POST", "/task?sleep_time=0").json()["job_id"]
    fresh.work(monkeypatch)
    [result] = fresh.queue.latest_results()
    assert (result.task_id.replace("-", ""), result.data) == (job, "Slept for 0 seconds.")


@pytest.mark.slow
def test_handlers_in_a_process_of_their_own(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``--executor process``: the child finds the database, and has the other handlers at hand too."""
    monkeypatch.setenv("PYTHONPATH", str(PROJECT / "src"))
    task = fresh.create(handler="note", payload={"file": str(tmp_path / "notes"), "name": "a"})
    fresh.work(monkeypatch, [BUSINESS], executor="process")
    assert fresh.get(task)["result"] == {"attempt": 1, "of": 4, "type": "note"}


@pytest.mark.slow
def test_a_run_that_takes_too_long_is_tried_again_and_fails(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch) -> None:
    """timeout_seconds is the time of one run: with retry_limit 1 two of them, then failed, and why."""
    task = fresh.create(handler="sleep", payload={"seconds": 60}, timeout_seconds=1, retry_limit=1)
    fresh.work(monkeypatch)
    assert (fresh.get(task)["status"], fresh.get(task)["current_retry_count"]) == ("retrying", 1)
    fresh.queue.promote(task["queue_id"], by="me")
    fresh.work(monkeypatch)
    told = fresh.get(task)
    assert (told["status"], told["current_retry_count"], told["error"]) == ("failed", 1, "timed out after 1 s")
