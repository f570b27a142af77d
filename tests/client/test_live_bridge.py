"""The client against a real bridge: what one version sends, the other understands."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from live_bridge import LiveBridge, live_bridge
from taskspool.client import Client
from taskspool.engine.events import Event
from taskspool.engine.options import Backoff
from taskspool.errors import DuplicateTask, LeaseLost, NotRetryable, ServerUnreachable, TaskCancelled, TaskFinished
from waiting import eventually
from worker_processes import processes


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[LiveBridge]:
    with live_bridge(tmp_path) as made:
        yield made


@pytest.fixture
def client(bridge: LiveBridge) -> Iterator[Client]:
    with Client(bridge.url, retries=0) as made:
        yield made


def test_every_wish_arrives(bridge: LiveBridge, client: Client) -> None:
    """Whatever submit can ask for stands in the task's own file."""
    task_id = client.submit(
        "t", {"n": 1}, requester="me", priority="low", max_retries=3, backoff=Backoff("linear", 2.0, 9.0, 0.0),
        run_at="2999-01-31T12:00:00Z", start_before="2999-02-01T00:00:00+01:00", timeout=1.5, total_timeout=60.0,
        lease=30, unique_key="k", on_conflict="reject", group="g", tags=["a", "b"],
        parent="01936f5e-0000-4000-8000-00000000000c")
    task = bridge.queue.task(task_id).task
    options = task.options
    assert (task.requester, task.priority.word, task.max_retries, task.not_before.year) == ("me", "low", 3, 2999)
    assert options.start_before.isoformat() == "2999-01-31T23:00:00+00:00"
    assert (options.timeout_seconds, options.total_timeout_seconds, options.lease_seconds) == (1.5, 60.0, 30)
    assert (options.backoff, options.unique_key, options.group, options.tags, options.parent) == (
        Backoff("linear", 2.0, 9.0, 0.0), "k", "g", ("a", "b"), "01936f5e-0000-4000-8000-00000000000c")
    with pytest.raises(DuplicateTask) as raised:
        client.submit("t", unique_key="k", on_conflict="reject")
    assert raised.value.details["task_id"] == task_id
    assert client.submit("t", unique_key="k") == task_id


def test_a_worker_tells_and_is_told(bridge: LiveBridge, client: Client) -> None:
    """Progress and checkpoint go with a heartbeat; its answer brings the wish to cancel; the next claim has it all."""
    task_id = client.submit("t", timeout=90.0, max_retries=1, backoff={"kind": "constant", "base": 0})
    [claim] = client.next("w", request_id="one")
    assert client.next("w", request_id="one")[0].lease.token == claim.lease.token
    token = claim.lease.token
    assert not client.heartbeat(task_id, token, progress=40, message="m", checkpoint={"row": 4})["cancel_requested"]
    told = client.task(task_id)
    assert (told["progress"]["percent"], told["progress"]["message"], told["checkpoint"]) == (40, "m", {"row": 4})
    client.fail(task_id, token, "w", "broke")
    [again] = eventually(lambda: client.next("w"), why="it waits again")
    assert (again.task.checkpoint, again.task.last_error, again.lease.attempt) == ({"row": 4}, "broke", 2)
    assert again.task.options.timeout_seconds == pytest.approx(90, abs=0.01)
    assert client.cancel(task_id, by="me", reason="why not")["cancel_requested"]
    assert client.heartbeat(task_id, again.lease.token)["cancel_requested"]
    assert client.heartbeat_worker("w", {task_id: again.lease.token})["cancel"] == [task_id]
    with pytest.raises(TaskCancelled):
        client.complete(task_id, again.lease.token, "w", {})
    assert client.result(task_id).status == "cancelled"


def test_tasks_are_looked_after(client: Client) -> None:
    """Cancel, retry, one or many; pause and resume; batches; explanations; and how each is refused."""
    ids = [client.submit("t", group="g") for _ in range(3)]
    client.cancel(ids[0])
    assert client.cancel_many(group="g")["count"] == 2
    assert set(client.retry_many(state=["cancelled"], group="g")["task_ids"]) == set(ids)
    with pytest.raises(NotRetryable):
        client.retry(ids[0])
    client.pause(["t"], by="me")
    assert (client.next("w"), list(client.queue()["paused_types"])) == ([], ["t"])
    assert client.explain(ids[0])["next"]
    client.resume(["t"])
    [claim] = client.next("w")
    client.complete(claim.task.id, claim.lease.token, "w", {})
    with pytest.raises(TaskFinished):
        client.cancel(claim.task.id)
    with pytest.raises(LeaseLost):
        client.release(claim.task.id, claim.lease.token)
    batch = client.submit_batch([{"type": "b"}, {"type": "b", "priority": "high"}], name="mine")
    assert client.batch(batch["batch_id"])["counts"]["ready"] == 2
    assert [one["name"] for one in client.batches()] == ["mine"]
    assert {task["id"] for task in client.tasks(batch=batch["batch_id"])} == set(batch["task_ids"])
    assert client.tasks(state="ready").total == 4
    assert client.stats()["by_type"]["b"]["ready"] == 2


@pytest.mark.slow
def test_a_reader_misses_nothing_while_the_bridge_is_killed(tmp_path: Path, free_port: int) -> None:
    """kill -9 of the bridge, twice: the reader's stream goes on behind the last event, and each one comes once."""
    root, url = tmp_path / "outputs", f"http://127.0.0.1:{free_port}"
    seen: list[Event] = []

    def read() -> None:
        with Client(url, retries=40) as reader:
            try:
                for event in reader.events(follow=True):
                    seen.append(event)
                    if event.type == "last":
                        return
            except ServerUnreachable:
                return

    with processes(tmp_path) as children, Client(url, retries=20) as client:
        bridge = children.bridge(root, free_port)
        reading = threading.Thread(target=read)
        reading.start()

        def is_reading() -> bool:
            client.submit("first")
            return bool(seen)

        eventually(is_reading, 10, "the reader reads")
        ids = []
        for _ in range(2):
            new = [client.submit("t") for _ in range(10)]
            ids += new
            eventually(lambda new=new: set(new) <= {event.task_id for event in seen}, 10, "told before it dies")
            bridge.kill()
            bridge = children.bridge(root, free_port)
        client.submit("last")
        reading.join(20)
    assert not reading.is_alive()
    numbers = [event.id for event in seen]
    assert len(set(numbers)) == len(numbers)
    assert [event.task_id for event in seen if event.type == "t" and event.verb == "enqueue"] == ids
    assert "reset" not in {event.verb for event in seen}
