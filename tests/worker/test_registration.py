"""Workers in the registry: real processes, killed, made quiet, sent home."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from taskspool.client import Client
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask, State
from taskspool.engine.worker_record import WorkerReport
from taskspool.errors import ServerUnreachable, WorkerNotFound
from taskspool.worker import registration as module
from taskspool.worker.registration import Registration
from taskspool.worker.remote import RemoteSource
from waiting import eventually
from worker_processes import Processes

SECONDS = 60.0
"""A loaded machine is given time; what comes must be right."""


def info(queue: Queue, worker: str) -> Any:
    try:
        return queue.workers.get(worker)
    except WorkerNotFound:
        return None


def is_alive(queue: Queue, worker: str) -> Callable[[], bool]:
    return lambda: (found := info(queue, worker)) is not None and found.is_alive


def hold(queue: Queue, folder: Path, name: str) -> str:
    data = {"began": str(folder / f"{name}.began"), "until": str(folder / f"{name}.until")}
    return queue.enqueue(NewTask("hold", data)).task_id


def is_done(queue: Queue, task_id: str) -> Callable[[], bool]:
    return lambda: queue.task(task_id).state is State.DONE


def test_a_killed_folder_worker_is_gone_at_once(queue: Queue, root: Path, children: Processes) -> None:
    """kill -9: its lock is free, and nobody takes it for alive."""
    worker = children.folder_worker(root, name="w")
    eventually(is_alive(queue, "w"), SECONDS)
    assert info(queue, "w").report.pid == worker.popen.pid
    worker.kill()
    assert not info(queue, "w").is_alive


@pytest.mark.slow
def test_a_killed_folder_worker_does_not_bequeath_its_order(queue: Queue, root: Path, children: Processes) -> None:
    """The next of its name begins with nothing, and works."""
    worker = children.folder_worker(root, name="w")
    eventually(is_alive(queue, "w"), SECONDS)
    queue.workers.order("w", "quiet", "ann")
    worker.kill()
    children.folder_worker(root, name="w")
    eventually(is_alive(queue, "w"), SECONDS)
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    eventually(is_done(queue, task_id), SECONDS)
    eventually(lambda: info(queue, "w").report.done == 1, SECONDS)


@pytest.mark.slow
def test_a_quiet_folder_worker_finishes_what_it_has(
        queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """What runs goes on, what is new waits, until it may go on."""
    worker = children.folder_worker(root, name="w")
    running = hold(queue, tmp_path, "a")
    eventually((tmp_path / "a.began").exists, SECONDS)
    eventually(is_alive(queue, "w"), SECONDS)
    assert info(queue, "w").running == (running,)
    queue.workers.order("w", "quiet", "ann")
    eventually(lambda: info(queue, "w").report.state == "quiet", SECONDS)
    waiting = queue.enqueue(NewTask("ping", {})).task_id
    (tmp_path / "a.until").touch()
    eventually(is_done(queue, running), SECONDS)
    eventually(lambda: info(queue, "w").report.done == 1, SECONDS, "it lives on, and counts")
    assert (queue.task(waiting).state, worker.popen.poll()) == (State.READY, None)
    queue.workers.order("w", "run", "ann")
    eventually(is_done(queue, waiting), SECONDS)


@pytest.mark.slow
def test_a_folder_worker_ends_when_told(queue: Queue, root: Path, tmp_path: Path, children: Processes) -> None:
    """As with SIGTERM: exit code 0, what does not finish is given back, and it says goodbye."""
    worker = children.folder_worker(root, name="w")
    running = hold(queue, tmp_path, "a")
    eventually((tmp_path / "a.began").exists, SECONDS)
    eventually(is_alive(queue, "w"), SECONDS)
    queue.workers.order("w", "terminate", "ann")
    assert worker.popen.wait(SECONDS) == 0
    assert (queue.task(running).state, queue.task(running).task.attempts) == (State.READY, 0)
    assert info(queue, "w").report.state == "gone"


@pytest.mark.slow
def test_failures_are_counted_apart(queue: Queue, root: Path, children: Processes) -> None:
    """What a handler could not do is told, and what was put off is neither."""
    children.folder_worker(root, name="w")
    queue.enqueue(NewTask("boom", {}))
    queue.enqueue(NewTask("ping", {}))
    queue.enqueue(NewTask("busy", {"free": str(root)}))
    eventually(lambda: (found := info(queue, "w")) and (found.report.done, found.report.failed) == (2, 1), SECONDS)


@pytest.fixture
def client(root: Path, free_port: int, children: Processes) -> Iterator[Client]:
    children.bridge(root, free_port)
    with Client(f"http://127.0.0.1:{free_port}") as made:
        yield made


def known(client: Client, worker: str) -> Any:
    try:
        return client.worker(worker)
    except WorkerNotFound:
        return None


@pytest.mark.slow
def test_an_http_worker_is_told_while_it_waits(client: Client, children: Processes) -> None:
    """Quiet, on, and home: each within a poll; it tells what it is, and what it has done."""
    worker = children.http_worker(client.url, name="h")
    eventually(lambda: (found := known(client, "h")) and found["pid"], SECONDS)
    assert (known(client, "h")["kind"], known(client, "h")["is_alive"]) == ("http", True)
    client.order_worker("h", "quiet", by="ann")
    eventually(lambda: known(client, "h")["state"] == "quiet", SECONDS)
    task_id = client.submit("ping")
    client.order_worker("h", "run", by="ann")
    assert client.result(task_id, wait=SECONDS).data["worker"] == "h"
    client.order_worker("h", "terminate", by="ann")
    assert worker.popen.wait(SECONDS) == 0
    found = known(client, "h")
    assert (found["state"], found["done"]) == ("gone", 1)


@pytest.mark.slow
def test_a_killed_http_worker_does_not_bequeath_its_order(client: Client, children: Processes) -> None:
    """Who starts anew under its name a moment later works, although the one before is not known to be dead yet."""
    worker = children.http_worker(client.url, name="h")
    eventually(lambda: (found := known(client, "h")) and found["pid"], SECONDS)
    worker.popen.kill()
    worker.popen.wait(SECONDS)
    client.order_worker("h", "terminate", by="ann")
    again = children.http_worker(client.url, name="h")
    assert client.result(client.submit("ping"), wait=SECONDS).data["worker"] == "h"
    eventually(lambda: known(client, "h")["pid"] == again.popen.pid, SECONDS)
    assert (again.popen.poll(), known(client, "h")["order"]) == (None, None)


# -- without processes -----------------------------------------------------------------------------------------------


class Body:
    """A worker as the registration knows it: what it was told, in order."""

    def __init__(self) -> None:
        self.is_quiet = False
        self.told: list[str] = []

    def quiet(self) -> None:
        self.told.append("quiet")
        self.is_quiet = True

    def resume(self) -> None:
        self.told.append("resume")
        self.is_quiet = False

    def stop(self) -> None:
        self.told.append("stop")


class Source:
    """Answers each report with the next of ``answers``, the last one for ever."""

    worker, kind, started_at = "w", "folder", datetime(2026, 1, 31, tzinfo=UTC)

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.heard: list[WorkerReport] = []

    def report(self, report: WorkerReport) -> str:
        self.heard.append(report)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def registered(monkeypatch: pytest.MonkeyPatch, *answers: str | Exception) -> tuple[Registration, Body, Source]:
    monkeypatch.setattr(module, "REPORT_SECONDS", 0.0)
    source, body = Source(*answers), Body()
    return Registration(source, body, ["a"]), body, source  # type: ignore[arg-type]  # all it asks for


@pytest.mark.parametrize(("answers", "told"), [
    (["run", "run"], []),
    (["quiet", "quiet", "run", "run"], ["quiet", "resume"]),
    (["quiet", "terminate", "terminate"], ["quiet", "stop"]),
    (["quiet", ServerUnreachable("away"), "quiet"], ["quiet"]),
    (["quiet", ValueError("a fault of ours"), "run"], ["quiet", "resume"]),
])
def test_only_what_is_new_is_obeyed(monkeypatch: pytest.MonkeyPatch, answers: list[Any], told: list[str]) -> None:
    """Once each; what cannot be asked for a while changes nothing, and nothing is raised."""
    registration, body, _ = registered(monkeypatch, *answers)
    for _ in answers:
        registration.tell()
    assert body.told == told


def test_a_worker_that_is_quiet_by_itself_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry said nothing that it could take back; it is told."""
    registration, body, source = registered(monkeypatch, "run")
    body.is_quiet = True
    registration.tell()
    registration.tell()
    assert (body.told, source.heard[-1].state) == ([], "quiet")


def test_nothing_is_told_after_the_goodbye(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a late beat would bring back who has left."""
    registration, _, source = registered(monkeypatch, "run")
    registration.count(is_done=True)
    registration.count(is_done=False)
    registration.leave()
    registration.tell()
    assert [(report.state, report.done, report.failed) for report in source.heard] == [("gone", 1, 1)]


def test_over_http_it_is_sent_when_it_is_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of state at once, totals with the next beat, a failure some seconds later; polls bring orders too."""
    sent: list[WorkerReport] = []
    now = [100.0]
    answers: list[str | Exception] = ["run", "quiet", ServerUnreachable("away"), "run"]

    class Bridge:
        def report_worker(self, report: WorkerReport, timeout: float | None) -> str:
            sent.append(report)
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr("taskspool.worker.remote.time.monotonic", lambda: now[0])
    source = RemoteSource(Bridge(), "w")  # type: ignore[arg-type]  # all it asks for
    assert source.report(WorkerReport("w")) == "run"
    assert source.report(WorkerReport("w", done=1)) == "run"
    assert len(sent) == 1
    now[0] += 20
    assert source.report(WorkerReport("w", done=2)) == "quiet"
    with pytest.raises(ServerUnreachable):
        source.report(WorkerReport("w", done=2, state="quiet"))
    assert source.report(WorkerReport("w", done=2)) == "quiet", "what was heard last still holds"
    now[0] += 5
    assert source.report(WorkerReport("w", done=2, state="quiet")) == "run"
