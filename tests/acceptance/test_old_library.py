"""Programs with the old library in them, on the folder of our bridge and our worker: nobody notices the others."""

from __future__ import annotations

import json
import threading

import pytest

from acceptance.conftest import System
from acceptance.old_library import OldLibrary
from waiting import eventually


@pytest.fixture
def old(office: System) -> OldLibrary:
    return OldLibrary(office.folder)


def test_an_old_client_reads_the_result_of_our_worker(old: OldLibrary) -> None:
    """What it pushed is done by our worker, and the result has exactly the six keys its TaskResult takes."""
    task_id = old.push_task("calculation", {"operation": "average", "numbers": [1, 2, 3]})
    result = eventually(lambda: old.get_result(task_id), 10, "the old client has its result")
    assert (result.task_id, result.worker, result.status) == (task_id, "our-worker", "success")
    assert (result.data, result.error_message) == ({"result": 2.0}, None)


def test_an_old_client_reads_why_our_worker_failed(old: OldLibrary) -> None:
    """A failure is a result too: status error and the reason."""
    task_id = old.push_task("calculation", {"operation": "divide", "numbers": [1, 0]})
    result = eventually(lambda: old.get_result(task_id), 10, "the old client has its result")
    assert (result.status, result.error_message) == ("error", "cannot divide 1 by zero")


def test_an_old_worker_does_what_came_over_http(office: System, old: OldLibrary) -> None:
    """It finds the task as its Task takes it; its result is there for who waits over HTTP, and the task is finished."""
    task_id = office.submit("web_scraping", {"url": "https://example.com", "selector": "h1"})
    task = old.pop_task("comet-browser", "web_scraping")
    assert task is not None
    assert (task.id, task.data["selector"], task.requester) == (task_id, "h1", "http-client")
    shown = office.get(f"/api/tasks/{task_id}").json()
    assert (shown["status"], shown["assigned_to"]) == ("in_progress", "comet-browser")
    assert office.post("/api/tasks/next", {"worker_id": "other", "types": ["web_scraping"]}).json()["task"] is None
    assert office.get(f"/api/tasks/{task_id}/result").status_code == 404
    [held] = eventually(lambda: office.get("/api/inflight").json()["inflight"], 10, "what it holds is in flight")
    assert (held["task_id"], held["worker"]) == (task_id, "comet-browser")
    assert office.get("/api/stats").json()["inflight"] == 1
    old.push_result(task_id, {"html": "<h1>안녕</h1>"})
    result = office.result(task_id)
    assert (result["worker"], result["success"], result["data"]) == ("comet-browser", True, {"html": "<h1>안녕</h1>"})
    assert office.get(f"/api/tasks/{task_id}").json()["status"] == "completed"
    eventually(lambda: not (old.tasks / f"{task_id}.json").exists(), 10, "the task's file follows its result")
    eventually(lambda: office.get("/api/inflight").json()["count"] == 0, 10, "nobody holds anything")


def test_a_failure_of_an_old_worker_is_told_over_http(office: System, old: OldLibrary) -> None:
    """``push_result(status="error", error=...)`` ends the task as failed, with that text."""
    task_id = office.submit("monitoring_report")
    assert old.pop_task("comet-browser", "monitoring_report") is not None
    old.push_result(task_id, {}, status="error", error="the page was gone")
    assert office.result(task_id)["error_message"] == "the page was gone"
    assert office.get(f"/api/tasks/{task_id}").json()["status"] == "failed"


def test_a_worker_that_deletes_what_it_has_done(office: System, old: OldLibrary) -> None:
    """Result written, then the task's file deleted: who waits gets it within a moment, and it counts as finished."""
    completed = office.get("/api/stats").json()["completed"]
    task_id = office.submit("json_process")
    done = threading.Event()

    def work() -> None:
        path = old.tasks / f"{task_id}.json"
        assert json.loads(path.read_text(encoding="utf-8"))["type"] == "json_process"
        document = {"task_id": task_id, "worker": "deleter", "status": "success", "data": {"n": 1},
                    "completed_at": "2026-01-02T03:04:05", "error_message": None}
        (old.results / path.name).write_text(json.dumps(document), encoding="utf-8")
        path.unlink(missing_ok=True)
        done.set()

    worker = threading.Timer(0.1, work)
    worker.start()
    assert office.result(task_id)["worker"] == "deleter"
    assert done.wait(10)
    assert office.get(f"/api/tasks/{task_id}").json()["status"] == "completed"
    assert office.get("/api/stats").json()["completed"] == completed + 1


def test_a_client_that_writes_its_task_slowly(office: System, old: OldLibrary) -> None:
    """Until its last byte is there the task is invisible, not an error; then our worker does it."""
    task_id = "0fffffff-0000-4000-8000-00000000000a"
    text = json.dumps({"id": task_id, "type": "data_transform", "requester": "slow", "status": "pending",
                       "data": {"operation": "reverse", "text": "느리다"}}, ensure_ascii=False)
    with (old.tasks / f"{task_id}.json").open("wb", buffering=0) as file:
        for byte in text.encode("utf-8")[:-1]:
            file.write(bytes([byte]))
            if byte in b",:":
                assert office.get(f"/api/tasks/{task_id}").status_code == 404
                assert office.get("/api/tasks").json()["count"] == 0
        file.write(b"}")
    assert office.result(task_id)["data"] == {"result": "다리느"}
    assert office.get("/api/stats").json()["quarantined"] == 0
    assert " error " not in office.bridge.said()


def test_old_and_new_workers_side_by_side(office: System, old: OldLibrary) -> None:
    """An old worker, our worker and a poller over HTTP take from one line: every task ends with one whole result."""
    ids = [office.submit("ping") if number % 2 else old.push_task("ping", {}) for number in range(30)]

    def old_work() -> None:
        for _ in ids:
            task = old.pop_task("comet-browser", "ping")
            if task is not None:
                old.push_result(task.id, {"message": "pong"})

    def poll() -> None:
        with_name = {"X-Worker-Name": "poller"}
        while (task := office.post("/api/tasks/next", {"types": ["ping"]}, **with_name).json()["task"]) is not None:
            office.post(f"/api/tasks/{task['id']}/result", {"success": True, "data": {"message": "pong"}})

    workers = [threading.Thread(target=work) for work in (old_work, poll)]
    for worker in workers:
        worker.start()
    results = [office.result(task_id) for task_id in ids]
    for worker in workers:
        worker.join(20)
    assert {result["data"]["message"] for result in results} == {"pong"}
    assert [old.get_result(task_id) is None for task_id in ids] == [False] * len(ids)
    eventually(lambda: not office.problems(), 15, "the folder is sound")
