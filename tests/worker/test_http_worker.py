"""Workers over HTTP: real worker processes, a real bridge, killed and started again."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskspool.client import Client
from taskspool.engine.task import Result
from taskspool.errors import InvalidRequest, LeaseLost, ResultPending, ServerUnreachable
from taskspool.worker.handlers import load_handlers
from taskspool.worker.loop import run_http_worker
from waiting import eventually
from worker_processes import Process, Processes

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def bridge(children: Processes, root: Path, free_port: int) -> Process:
    return children.bridge(root, free_port)


@pytest.fixture
def url(bridge: Process, free_port: int) -> str:
    return f"http://127.0.0.1:{free_port}"


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as made:
        yield made


def hold(client: Client, folder: Path, name: str = "a") -> str:
    """A task that says that it began (file ``<name>.began``) and runs until ``<name>.until`` exists."""
    return client.submit("hold", {"began": str(folder / f"{name}.began"), "until": str(folder / f"{name}.until")})


def state(client: Client, task_id: str) -> Any:
    return client.task(task_id)["status"]


def has_result(client: Client, task_id: str) -> Result | None:
    try:
        return client.result(task_id)
    except ResultPending:
        return None


def test_an_http_worker_does_what_comes_and_leaves_the_rest(client: Client, url: str, children: Processes) -> None:
    """Results, readable failures, retries in their time; a type without handler is never claimed."""
    foreign = client.submit("web_scraping", {"url": "x"})
    worker = children.http_worker(url)
    assert client.result(client.submit("calculation", {"numbers": [1, 2, 3]}), wait=10).data == {"result": 6}
    failed = client.result(client.submit("boom", {"message": "it broke: 핑"}), wait=10)
    assert (failed.status, failed.error_message, failed.worker) == ("error", "ValueError: it broke: 핑", "http-worker")
    later = client.submit("later", {"after_seconds": 0.2}, max_retries=1)
    assert client.result(later, wait=10).data == {"attempt": 2}
    assert client.result(client.submit("ping"), wait=10).data["worker"] == "http-worker"
    assert state(client, foreign) == "pending"
    assert worker.popen.poll() is None


@pytest.mark.slow
def test_finished_work_survives_a_kill_of_the_bridge_and_is_delivered_once(
        client: Client, url: str, root: Path, tmp_path: Path, free_port: int, bridge: Process,
        children: Processes) -> None:
    """The bridge dies while two tasks run; both end while it is down; the new bridge gets both results, first try."""
    worker = children.http_worker(url, concurrency=2)
    ids = [hold(client, tmp_path, name) for name in "ab"]
    eventually(lambda: (tmp_path / "a.began").exists() and (tmp_path / "b.began").exists(), why="both run")
    bridge.kill()
    for name in "ab":
        (tmp_path / f"{name}.until").touch()
    eventually(lambda: worker.text().count("is kept and sent again") == 2, why="both results found no bridge")
    children.bridge(root, free_port)
    for task_id in ids:
        assert client.result(task_id, wait=10).data == {"worker": "http-worker", "attempt": 1}
    assert client.result(client.submit("ping"), wait=10).data["worker"] == "http-worker"
    assert client.stats()["completed_tasks"] == 3
    assert worker.popen.poll() is None


@pytest.mark.slow
def test_a_worker_started_before_its_bridge_works_when_it_comes(
        root: Path, free_port: int, children: Processes) -> None:
    """A worker waits for a bridge that is not there yet, and says so once."""
    worker = children.http_worker(f"http://127.0.0.1:{free_port}")
    eventually(lambda: "trying again" in worker.text(), why="it found nobody")
    children.bridge(root, free_port)
    with Client(f"http://127.0.0.1:{free_port}") as client:
        assert client.result(client.submit("ping"), wait=10).data["message"] == "pong"
    assert worker.text().count("trying again") == 1


@POSIX
@pytest.mark.slow
def test_a_worker_frozen_beyond_its_lease_drops_its_result(
        client: Client, url: str, tmp_path: Path, children: Processes) -> None:
    """SIGSTOP for longer than the lease: the task is done by another; the resumed worker's result is refused."""
    frozen = children.http_worker(url, name="frozen", lease_seconds=1)
    task_id = hold(client, tmp_path)
    eventually((tmp_path / "a.began").exists, why="the first worker runs it")
    frozen.signal(signal.SIGSTOP)
    eventually(lambda: state(client, task_id) == "pending", 6, "its lease ran out")
    (tmp_path / "a.until").touch()
    children.http_worker(url, name="second")
    assert client.result(task_id, wait=10).data == {"worker": "second", "attempt": 2}
    frozen.signal(signal.SIGCONT)
    eventually(lambda: "dropped" in frozen.text(), why="the resumed worker dropped its result")
    assert client.result(task_id).worker == "second"
    assert client.stats()["completed_tasks"] == 1


def test_a_stale_token_is_refused_with_lease_lost(client: Client, tmp_path: Path) -> None:
    """After a release the old token completes, fails, extends and releases nothing: 409 each time."""
    task_id = client.submit("anything", {})
    claim, = client.next("w1", types=["anything"], wait=5)
    client.release(task_id, claim.lease.token)
    second, = client.next("w2", types=["anything"], wait=5)
    stale = claim.lease.token
    for call in (lambda: client.complete(task_id, stale, "w1", {}), lambda: client.fail(task_id, stale, "w1", "no"),
                 lambda: client.heartbeat(task_id, stale), lambda: client.release(task_id, stale)):
        with pytest.raises(LeaseLost):
            call()
    assert client.heartbeat_worker("w1", {task_id: stale})["lost"] == [task_id]
    assert client.heartbeat_worker("w2", {task_id: second.lease.token})["lost"] == []
    client.complete(task_id, second.lease.token, "w2", {"by": "w2"})
    client.complete(task_id, second.lease.token, "w2", {"by": "w2"})
    assert client.result(task_id).data == {"by": "w2"}


@pytest.mark.slow
def test_a_long_run_keeps_its_lease(client: Client, url: str, tmp_path: Path, children: Processes) -> None:
    """A handler that takes three leases is beaten for all the while: nobody else gets its task."""
    children.http_worker(url, lease_seconds=1, concurrency=2)
    task_id = hold(client, tmp_path)
    eventually((tmp_path / "a.began").exists, why="it runs")
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 3.2, 5)
    (tmp_path / "a.until").touch()
    assert client.result(task_id, wait=10).data["attempt"] == 1


@POSIX
@pytest.mark.slow
def test_sigterm_during_a_run_gives_it_back_to_the_bridge_within_five_seconds(
        client: Client, url: str, tmp_path: Path, children: Processes) -> None:
    """Work that does not end in the grace is released: it waits again at once, and not for its lease to run out."""
    worker = children.http_worker(url)
    task_id = hold(client, tmp_path)
    eventually((tmp_path / "a.began").exists, why="it runs")
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.popen.wait(10) == 0
    assert time.monotonic() - began < 5
    assert (state(client, task_id), client.task(task_id)["attempts"]) == ("pending", 0)


@POSIX
@pytest.mark.slow
def test_sigterm_during_a_long_poll_ends_the_worker_and_loses_no_task(
        client: Client, url: str, children: Processes) -> None:
    """A poll that nobody waits for any more takes no task with it."""
    worker = children.http_worker(url)
    client.result(client.submit("ping"), wait=10)
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.popen.wait(10) == 0
    assert time.monotonic() - began < 3
    task_id = client.submit("ping")
    children.http_worker(url, name="second")
    assert client.result(task_id, wait=10).worker == "second"


@POSIX
@pytest.mark.slow
def test_a_worker_stops_in_time_without_its_bridge(client: Client, url: str, tmp_path: Path, bridge: Process,
                                                   children: Processes) -> None:
    """SIGTERM while the bridge is gone, one task running and one result waiting for it: still within 5 s."""
    worker = children.http_worker(url, concurrency=2)
    for name in "ab":
        hold(client, tmp_path, name)
    eventually(lambda: (tmp_path / "a.began").exists() and (tmp_path / "b.began").exists(), why="both run")
    bridge.kill()
    (tmp_path / "a.until").touch()
    eventually(lambda: "is kept and sent again" in worker.text(), why="one result waits")
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.popen.wait(10) == 0
    assert time.monotonic() - began < 5


def test_once_says_when_there_is_no_bridge(free_port: int) -> None:
    """A single look does not wait for a bridge that is not there, nor go on when it refuses."""
    with pytest.raises(ServerUnreachable):
        run_http_worker(f"http://127.0.0.1:{free_port}", handlers=load_handlers(), once=True)


@pytest.mark.slow
def test_a_lease_the_bridge_refuses_is_an_error_and_not_a_loop(url: str) -> None:
    """What would be refused again and again ends the worker with the bridge's reason."""
    with pytest.raises(InvalidRequest, match="lease"):
        run_http_worker(url, handlers=load_handlers(), lease_seconds=10**9)


def test_once_and_until_idle_end_by_themselves(client: Client, url: str) -> None:
    """once runs what one look gives, until_idle everything."""
    ids = client.submit_many([{"type": "ping"} for _ in range(5)])
    assert run_http_worker(url, handlers=load_handlers(), concurrency=2, once=True) == 0
    assert sum(has_result(client, task_id) is not None for task_id in ids) == 2
    assert run_http_worker(url, handlers=load_handlers(), concurrency=2, until_idle=True) == 0
    assert all(has_result(client, task_id) for task_id in ids)


def test_a_result_that_is_too_large_fails_its_task(client: Client, url: str, tmp_path: Path) -> None:
    """What the bridge will not store ends as a readable failure, and the worker goes on."""
    big = tmp_path / "big_jobs.py"
    big.write_text("from taskspool import handler\n@handler('big')\ndef big(data): return 'x' * 3_000_000\n",
                   encoding="utf-8")
    task_id = client.submit("big")
    run_http_worker(url, handlers=load_handlers([str(big)]), until_idle=True)
    result = client.result(task_id)
    assert result.status == "error"
    assert "result was refused" in (result.error_message or "")


def test_a_waiting_client_has_its_result_quickly(client: Client, url: str, children: Processes) -> None:
    """Submit, long-polling worker, long-polling client: the whole way takes a moment, not a tick."""
    children.http_worker(url)
    client.result(client.submit("ping"), wait=10)
    took = []
    for _ in range(10):
        began = time.monotonic()
        client.result(client.submit("ping"), wait=10)
        took.append(time.monotonic() - began)
    assert sorted(took)[5] < 0.2, took


def test_an_http_worker_is_stopped_from_inside_too(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside the main thread no signals are touched, and stop() ends the worker all the same."""
    from taskspool.worker import loop

    made: list[loop.Worker] = []
    original = loop.Worker.run
    monkeypatch.setattr(loop.Worker, "run", lambda self, **options: made.append(self) or original(self, **options))
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run_http_worker, args=[url],
                              kwargs={"handlers": load_handlers(), "wait_seconds": 25})
    thread.start()
    eventually(lambda: made, why="it runs")
    made[0].stop()
    thread.join(5)
    assert not thread.is_alive()
    assert signal.getsignal(signal.SIGINT) is before
