"""How this door says no, whatever is asked: one shape, documented codes, 404 for what is not there."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from benchmarks.loop_disk import memory_disk, why_not
from live_bridge import request_bytes
from live_managed import TASKS, LiveManaged, live_managed

from taskspool.errors import StoreUnavailable
from waiting import eventually

WHY_NOT = why_not(())

ID = "550e8400-e29b-41d4-a716-446655440000"
BODY = {"task_type": "health_check", "kb_id": "kb", "payload": {}}
NOT_THERE = {"error": "Not Found", "message": "The requested endpoint does not exist", "code": "NOT_FOUND"}


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/"), ("GET", "/nope"), ("GET", "/api/v1"), ("POST", "/api/v1/nope"), ("PATCH", TASKS), ("PUT", TASKS),
    ("DELETE", TASKS), ("GET", f"{TASKS}/x/nope"), ("GET", f"{TASKS}/x/retry"), ("PUT", "/health"),
    ("HEAD", "/health"),
    ("POST", "/api/v1/stats/tasks"), ("GET", "/api/v1/größe"), ("TRACE", TASKS),
])
def test_what_is_not_there_is_404(door: LiveManaged, method: str, path: str) -> None:
    """Unknown paths and wrong methods alike: 404 with the path, never 405."""
    reply = door.session.request(method, door.url + path, timeout=30)
    assert reply.status_code == 404
    if method != "HEAD":
        assert NOT_THERE.items() <= reply.json().items()
        assert reply.json()["path"] == path


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", f"{TASKS}/", 301), ("POST", f"{TASKS}/", 307), ("GET", "/health/", 301),
    ("PUT", f"{TASKS}/{ID}/progress/", 307)])
def test_a_slash_too_many_is_sent_on(door: LiveManaged, method: str, path: str, status: int) -> None:
    """301 for a GET, 307 for anything else, to the same path without it and with its query."""
    reply = door.session.request(method, f"{door.url}{path}?page=2", timeout=30, allow_redirects=False)
    assert reply.status_code == status
    assert reply.headers["Location"].removeprefix(door.url) == f"{path.rstrip('/')}?page=2"


def test_a_redirected_submit_arrives(door: LiveManaged) -> None:
    """A client that follows the 307 sends its body again."""
    assert door.post(f"{TASKS}/", BODY).status_code == 201


def test_options_says_what_is_possible(door: LiveManaged) -> None:
    """204 with Allow, and no header that would let pages of other sites in."""
    reply = door.session.options(door.url + TASKS, headers={"Origin": "http://evil.example"}, timeout=30)
    assert reply.status_code in (204, 403)
    assert "Access-Control-Allow-Origin" not in reply.headers
    reply = door.session.options(door.url + TASKS, timeout=30)
    assert (reply.status_code, reply.headers["Allow"]) == (204, "GET, OPTIONS, POST")


def test_a_listed_origin_may_call(tmp_path: Path) -> None:
    """CORS for exactly the origins that were named, on errors as well, and never for any other."""
    with live_managed(tmp_path, cors_origins=("http://panel.example",)) as door:
        for path, status in ((TASKS, 200), ("/nope", 404)):
            reply = door.get(path, headers={"Origin": "http://panel.example"})
            assert (reply.status_code, reply.headers["Access-Control-Allow-Origin"]) == (status, "http://panel.example")
        refused = door.get(TASKS, headers={"Origin": "http://evil.example"})
        assert (refused.status_code, refused.json()["code"]) == (403, "FORBIDDEN")


@pytest.mark.parametrize("headers", [
    {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_no_page_of_another_site_submits(door: LiveManaged, headers: dict[str, str], content_type: str) -> None:
    """The body needs no type here, so where it comes from decides: 403, and nothing is created."""
    before = door.get(TASKS).json()["pagination"]["total"]
    reply = door.post(TASKS, BODY, headers={**headers, "Content-Type": content_type})
    assert reply.status_code == 403
    assert set(reply.json()) == {"error", "message", "code", "details"}
    assert door.get(TASKS).json()["pagination"]["total"] == before


def test_another_host_is_refused(door: LiveManaged) -> None:
    """A name that is not ours in the Host header: 421, in the shape of this door."""
    reply = door.raw(request_bytes("GET", TASKS, host="evil.example"))
    assert (reply.status, reply.json()["code"]) == (421, "WRONG_HOST")
    assert set(reply.json()) == {"error", "message", "code", "details"}


def test_a_compressed_body_is_refused(door: LiveManaged) -> None:
    """415, in the shape of this door."""
    reply = door.session.post(door.url + TASKS, data=b"x", headers={"Content-Encoding": "gzip"}, timeout=30)
    assert (reply.status_code, reply.json()["code"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_body_beyond_all_limits_is_refused(door: LiveManaged) -> None:
    """413 before it is read, in the shape of this door."""
    reply = door.session.post(door.url + TASKS, data=b"x" * 2_000_000, timeout=30)
    assert (reply.status_code, reply.json()["code"]) == (413, "PAYLOAD_TOO_LARGE")


# -- full ------------------------------------------------------------------------------------------------------------


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    """503 QUEUE_FULL when as many wait as may; one that is done, or canceled, makes room; a batch fits whole or not."""
    with live_managed(tmp_path, managed_max_waiting=3) as door:
        ids = [door.new()["id"], door.new(schedule_for="2100-01-01T00:00:00Z")["id"]]
        reply = door.post(f"{TASKS}/batch", [BODY, BODY])
        assert (reply.status_code, reply.json()["error"], reply.json()["code"]) == (503, "Queue is full", "QUEUE_FULL")
        ids.append(door.new()["id"])
        reply = door.post(TASKS, BODY)
        assert (reply.status_code, reply.json()["code"]) == (503, "QUEUE_FULL")
        assert (reply.json()["details"]["waiting"], reply.json()["details"]["limit"]) == (3, 3)
        assert reply.headers["Retry-After"] == "1"
        assert {task["id"] for task in door.listed()} == set(ids)
        door.work(ids[0])
        assert door.post(TASKS, BODY).status_code == 201
        assert door.post(TASKS, BODY).status_code == 503
        door.delete(f"{TASKS}/{ids[1]}")
        assert door.post(TASKS, BODY).status_code == 201


def test_a_queue_without_a_bound_refuses_nothing(tmp_path: Path) -> None:
    """0: as many as the disk takes."""
    with live_managed(tmp_path, managed_max_waiting=0) as door:
        assert door.post(f"{TASKS}/batch", [BODY] * 5).status_code == 201


def test_many_at_once_do_not_overfill(tmp_path: Path) -> None:
    """Whoever comes at the same moment, no more than the bound are taken."""
    with live_managed(tmp_path, managed_max_waiting=10) as door:
        found: list[int] = []

        def submit() -> None:
            found.extend(door.post(TASKS, BODY).status_code for _ in range(4))

        threads = [threading.Thread(target=submit) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (found.count(201), found.count(503)) == (10, 10)
        assert door.get(TASKS).json()["pagination"]["total"] == 10


@pytest.mark.skipif(bool(WHY_NOT), reason=f"no small disk of its own: {WHY_NOT}")
def test_a_full_disk_is_503() -> None:
    """SERVICE_UNAVAILABLE for submits, and /health says which part; looks, cancels and the rest go on. With room on the
    disk all is well again."""
    with memory_disk(8192, 2000) as disk, live_managed(disk / "root", min_free_bytes=1 << 20) as door:
        task_id = door.new()["id"]
        filler = disk / "filler"
        filler.write_bytes(bytes(shutil.disk_usage(disk).free - (900 << 10)))
        eventually(lambda: not door.post(TASKS, BODY).ok, why="it is noticed")
        reply = door.post(TASKS, BODY)
        assert (reply.status_code, reply.json()["error"], reply.json()["code"]) == (
            503, "Service unavailable", "SERVICE_UNAVAILABLE")
        assert reply.headers["Retry-After"] == "1"
        health = door.get("/health")
        assert (health.status_code, health.json()["details"]["queue"]["status"]) == (503, "unhealthy")
        assert door.told(task_id)["status"] == "queued"
        assert door.delete(f"{TASKS}/{task_id}").status_code == 200
        filler.unlink()
        assert eventually(lambda: door.post(TASKS, BODY).status_code == 201, why="there is room again")
        assert door.get("/health").status_code == 200


def test_a_disk_that_refuses_is_503(door: LiveManaged, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the disk refuses: SERVICE_UNAVAILABLE, nothing acknowledged."""
    def refuse(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(type(door.queue.store), "put", refuse)
        reply = door.post(TASKS, BODY)
    assert (reply.status_code, reply.json()["code"]) == (503, "SERVICE_UNAVAILABLE")


def test_a_fault_of_ours_is_500_without_its_reason(door: LiveManaged, monkeypatch: pytest.MonkeyPatch) -> None:
    """INTERNAL_ERROR in the one shape; why stands in the log and nowhere else."""
    def break_down(*_: Any, **__: Any) -> Any:
        raise RuntimeError("secret reason")

    with monkeypatch.context() as patch:
        patch.setattr(type(door.queue), "figures", break_down)
        reply = door.get("/api/v1/stats/tasks")
    assert (reply.status_code, reply.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in reply.text
