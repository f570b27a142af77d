"""GET /metrics: what operators expect is there, true, bounded, and the same from every process."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
from doors.managed.prometheus_text import names_in, parsed, scraped, value
from live_managed import LiveManaged, live_managed
from service import services
from waiting import eventually

from taskspool.doors.managed.metrics import OTHER, QueueCollector
from taskspool.doors.managed.models import DOCUMENTED_TYPES
from taskspool.engine.task import NewTask
from taskspool.web.metrics import HttpMetrics, told

EXPECTED = {"task_queue_size", "task_processing_duration_seconds_bucket", "task_success_total", "task_failure_total",
            "worker_pool_active_count", "worker_pool_idle_count", "http_requests_total",
            "http_request_duration_seconds_bucket", "task_status_size", "task_retrying",
            "task_queue_oldest_age_seconds", "process_resident_memory_bytes", "python_info", "taskspool_build_info"}
PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (package prometheus)")


def test_what_operators_expect_is_there(door: LiveManaged) -> None:
    """Every metric of the contract and of the docs has a series once one task has ended."""
    door.work(door.new()["id"])
    assert eventually(lambda: names_in(scraped(door)) >= EXPECTED, why="the index has counted the end")


def test_the_text_is_what_prometheus_reads(door: LiveManaged) -> None:
    """Text 0.0.4 unless OpenMetrics is asked for, and then that."""
    plain = door.get("/metrics")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    wish = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    other = door.get("/metrics", headers=wish)
    assert other.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert other.text.endswith("# EOF\n")


@PROMTOOL
@pytest.mark.parametrize("state", ["empty", "used"])
def test_promtool_finds_no_fault(fresh: LiveManaged, state: str) -> None:
    """`promtool check metrics` is content with an empty queue and with a used one."""
    if state == "used":
        fresh.work(fresh.new()["id"])
        fresh.fail(fresh.new()["id"], is_final=True)
        fresh.get("/nowhere")
        assert eventually(lambda: value(scraped(fresh), "task_failure_total", task_type="health_check"))
    text = fresh.get("/metrics").text
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_waiting_tasks_are_counted_by_priority(fresh: LiveManaged) -> None:
    """task_queue_size tells how many wait at each priority; who is scheduled does not wait in line yet."""
    for priority in ("critical", "high", "high", "normal"):
        fresh.new(priority=priority)
    fresh.new(priority="low", schedule_for="2099-01-01T00:00:00Z")
    expected = {"critical": 1.0, "high": 2.0, "normal": 1.0, "low": 0.0}

    def sizes() -> dict[str, float | None]:
        samples = scraped(fresh)
        return {level: value(samples, "task_queue_size", queue=level) for level in expected}

    assert eventually(lambda: sizes() == expected, why=f"{sizes()}")
    age = value(scraped(fresh), "task_queue_oldest_age_seconds")
    assert age is not None
    assert 0 < age < 60


def test_ends_and_times_are_counted_by_type(fresh: LiveManaged) -> None:
    """Success, failure, cancel and the durations of runs, each under the type of its task."""
    for task_type in ("document_processing", "embedding_generation"):
        fresh.work(fresh.new(task_type=task_type)["id"])
    fresh.fail(fresh.new(task_type="document_processing")["id"], is_final=True)
    assert fresh.delete(f"/api/v1/tasks/{fresh.new(task_type='vector_storage')['id']}").status_code == 200

    def is_counted() -> bool:
        samples = scraped(fresh)
        found = [value(samples, "task_success_total", task_type="document_processing"),
                 value(samples, "task_success_total", task_type="embedding_generation"),
                 value(samples, "task_failure_total", task_type="document_processing"),
                 value(samples, "task_cancel_total", task_type="vector_storage"),
                 value(samples, "task_processing_duration_seconds_count", task_type="document_processing"),
                 value(samples, "task_status_size", status="completed", task_type="document_processing"),
                 value(samples, "task_status_size", status="canceled", task_type="vector_storage")]
        return found == [1, 1, 1, 1, 2, 1, 1]

    assert eventually(is_counted)


def test_a_histogram_is_one(fresh: LiveManaged) -> None:
    """Buckets rise up to +Inf, which is the count; the sum is that of the runs."""
    for _ in range(3):
        fresh.work(fresh.new()["id"])
    name, kind = "task_processing_duration_seconds", {"task_type": "health_check"}
    assert eventually(lambda: value(scraped(fresh), f"{name}_count", **kind) == 3)
    samples = scraped(fresh)
    buckets = sorted((float(dict(labels)["le"]), count) for (found, labels), count in samples.items()
                     if found == f"{name}_bucket")
    assert [count for _, count in buckets] == sorted(count for _, count in buckets)
    assert buckets[-1] == (float("inf"), 3)
    assert 0 < (value(samples, f"{name}_sum", **kind) or 0) < 30


def test_who_fails_and_waits_is_told(fresh: LiveManaged) -> None:
    """task_retrying counts tasks that failed and wait for their next attempt; they are queued, in this door's words."""
    fresh.fail(fresh.new()["id"])

    def is_told() -> bool:
        samples = scraped(fresh)
        return (value(samples, "task_retrying") == 1
                and value(samples, "task_status_size", status="queued", task_type="health_check") == 1)

    assert eventually(is_told)


def test_types_nobody_knows_are_one_label(fresh: LiveManaged) -> None:
    """Tasks of a thousand types, put into the folder past this door, are told as "other"."""
    for start in (0, 500):
        fresh.queue.enqueue_many([NewTask(f"kind-{start + number}", {}) for number in range(500)])
    other = {"status": "queued", "task_type": OTHER}
    assert eventually(lambda: value(scraped(fresh), "task_status_size", **other) == 1000)
    kinds = {dict(labels).get("task_type") for _, labels in scraped(fresh)} - {None}
    assert kinds == {*DOCUMENTED_TYPES, OTHER}


def test_a_million_types_are_few_labels(fresh: LiveManaged) -> None:
    """Whatever types there are, and whatever paths are asked for, label values stay within 200."""
    collector, http = QueueCollector(fresh.queue, DOCUMENTED_TYPES), HttpMetrics()
    kinds = {collector.label_of(f"kind-{number}") for number in range(1_000_000)}
    for number in range(10_000):
        http.observe(f"METHOD{number}", None, 404, 0.001)
    values = {label for _, labels in parsed(told(http.registry, "").get_data(as_text=True)) for label in labels}
    assert kinds == {OTHER}
    assert len(values) <= 200


def test_requests_are_counted_by_route_not_by_path(fresh: LiveManaged) -> None:
    """The label is the route as declared; addresses that do not exist are one."""
    for number in range(5):
        fresh.told(fresh.new()["id"])
        fresh.get(f"/nowhere/{number}")
    samples = scraped(fresh)
    route = "/api/v1/tasks/<task_id:task_id>"
    assert value(samples, "http_requests_total", method="GET", route=route, status="200") == 5
    assert value(samples, "http_requests_total", method="GET", route="none", status="404") == 5
    assert value(samples, "http_request_duration_seconds_count", method="GET", route=route) == 5


def test_a_deleted_task_does_not_lower_a_counter(fresh: LiveManaged) -> None:
    """Tasks that are pruned were done all the same: counters never fall."""
    fresh.work(fresh.new()["id"])
    name, kind = "task_success_total", {"task_type": "health_check"}
    assert eventually(lambda: value(scraped(fresh), name, **kind) == 1)
    for path in (fresh.settings.folder / "done").rglob("*.json"):
        path.unlink()
    fresh.get("/api/v1/tasks")
    fresh.work(fresh.new()["id"])
    assert eventually(lambda: value(scraped(fresh), name, **kind) == 2)


def test_an_index_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The door's own figures are told all the same, and task_queue_up is 0."""
    with live_managed(tmp_path) as one:
        assert value(scraped(one), "task_queue_up") == 1
        with one.queue.store.index._file.reading() as connection:
            connection.execute("SELECT 1")
        monkeypatch.setattr(one.queue.store.index, "_file", _Unreadable())
        samples = scraped(one)
    assert value(samples, "task_queue_up") == 0
    assert "http_requests_total" in names_in(samples)
    assert "task_queue_size" not in names_in(samples)


class _Unreadable:
    def reading(self) -> Any:
        from taskspool.engine.index_file import IndexUnusable

        raise IndexUnusable("the disk is gone")


def test_a_page_of_another_site_learns_nothing(door: LiveManaged) -> None:
    """/metrics is behind the same gates as everything else: Host, Origin, Sec-Fetch-Site."""
    assert door.get("/metrics", headers={"Host": "evil.com"}).status_code == 421
    assert door.get("/metrics", headers={"Origin": "http://evil.com"}).status_code == 403
    assert door.get("/metrics", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403


@pytest.mark.slow
def test_two_servers_and_two_workers_tell_the_same(tmp_path: Path) -> None:
    """Tasks that processes of their own did are counted once, at whichever server one asks."""
    handlers = tmp_path / "jobs.py"
    handlers.write_text("from taskspool.worker.handlers import handler\n@handler('url_download_processing')\n"
                        "def fetch(data):\n    return {}\n")
    root, count = tmp_path / "root", 40
    with services(tmp_path) as started:
        servers = [started.start("-m", "taskspool", "serve", "managed", "--port", "0", "--root", root)
                   for _ in range(2)]
        urls = [f"http://127.0.0.1:{one.port()}" for one in servers]
        for _ in range(2):
            started.worker("--root", root, "--queue", "managed", "--handlers", handlers)
        for number in range(count):
            body = {"task_type": "url_download_processing", "kb_id": "kb", "payload": {}}
            assert requests.post(f"{urls[number % 2]}/api/v1/tasks", json=body, timeout=20).status_code == 201

        def figures() -> list[list[float | None]]:
            told_by = [parsed(requests.get(f"{url}/metrics", timeout=20).text) for url in urls]
            return [[value(one, "task_success_total", task_type=OTHER),
                     value(one, "task_processing_duration_seconds_count", task_type=OTHER),
                     value(one, "worker_pool_active_count")] for one in told_by]

        eventually(lambda: figures() == [[count, count, 2]] * 2, 60, "all is done and counted")
        posted = [value(parsed(requests.get(f"{url}/metrics", timeout=20).text), "http_requests_total", method="POST",
                        route="/api/v1/tasks", status="201") for url in urls]
    assert posted == [count / 2, count / 2], "requests are counted where they were made: Prometheus adds them up"


@pytest.mark.slow
def test_the_log_of_a_request_has_what_is_needed(tmp_path: Path) -> None:
    """With --log-format json a request is one line of JSON: id, route, status, milliseconds, bytes."""
    with services(tmp_path) as started:
        server = started.start("-m", "taskspool", "serve", "managed", "--port", "0", "--root", tmp_path / "root",
                               "--log-format", "json")
        url = f"http://127.0.0.1:{server.port()}"
        nobody = f"{url}/api/v1/tasks/550e8400-e29b-41d4-a716-446655440000"
        reply = requests.get(nobody, headers={"X-Request-ID": "asked-1"}, timeout=20)
        lines = eventually(lambda: [line for line in server.said().splitlines() if "asked-1" in line])
    told_line = json.loads(lines[0])
    assert reply.status_code == 404
    assert (told_line["request_id"], told_line["status"], told_line["bytes"]) == ("asked-1", 404, len(reply.content))
    assert told_line["route"] == "/api/v1/tasks/<task_id:task_id>"
    assert told_line["ms"] >= 0
