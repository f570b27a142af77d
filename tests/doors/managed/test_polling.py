"""GET /api/v1/polling/status: news of tasks, as soon as there are any, and never missed."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from live_managed import TASKS, LiveManaged, at, live_managed

from taskspool.doors.managed.changes import Changes
from taskspool.engine.lifecycle import open_queue
from taskspool.web.errors import TooManyStreams
from waiting import eventually

POLL = "/api/v1/polling/status"


def poll(door: LiveManaged, *ids: str, **query: Any) -> Any:
    reply = door.get(POLL, params={"task_ids": ",".join(ids), **query})
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_how_things_stand(door: LiveManaged) -> None:
    """Without `since` every named task is told at once, with all its members; what is no task is left out."""
    task_id = door.new()["id"]
    told = poll(door, task_id, "550e8400-e29b-41d4-a716-446655440000", "nope")
    [update] = told["updates"]
    assert {name: update[name] for name in update if name not in ("timestamp", "task")} == {
        "type": "task_update", "task_id": task_id, "status": "queued", "progress": 0, "message": ""}
    assert update["task"].items() <= door.told(task_id).items()
    assert told["has_more"] is False


def test_nothing_new(door: LiveManaged) -> None:
    """With `since` and no change until the time is over: an empty list, and a timestamp to go on with."""
    task_id = door.new()["id"]
    since = "2100-01-01T00:00:00Z"
    assert poll(door, task_id, since=since, timeout=0)["updates"] == []
    assert at(poll(door, task_id, since=since, timeout=1)["timestamp"]) > at(door.told(task_id)["created_at"])


def test_nobody_waits_for_what_is_not_there(door: LiveManaged) -> None:
    """Ids that no task has: an empty answer at once, whatever the timeout."""
    told = poll(door, "550e8400-e29b-41d4-a716-446655440000", "nope", timeout=300)
    assert told["updates"] == []


def test_each_change_is_told_in_turn(tmp_path: Path) -> None:
    """Claimed, progress, done: whoever asks again with the last timestamp learns each, also what others do."""
    with live_managed(tmp_path) as door:
        task_id, other = door.new()["id"], open_queue(door.settings)
        try:
            since, seen = poll(door, task_id)["timestamp"], list[tuple[str, int]]()

            def follow() -> None:
                nonlocal since
                while ("completed", 100) not in seen:
                    told = poll(door, task_id, since=since, timeout=20)
                    since = told["timestamp"]
                    seen.extend((update["status"], update["progress"]) for update in told["updates"])

            thread = threading.Thread(target=follow)
            thread.start()
            token = other.claim("elsewhere")[0].lease.token
            eventually(lambda: ("processing", 0) in seen, why="the claim is told")
            other.extend(task_id, token, percent=40)
            eventually(lambda: ("processing", 40) in seen, why="the progress is told")
            other.complete(task_id, token, {})
            thread.join(20)
            assert not thread.is_alive()
            assert ("completed", 100) in seen
        finally:
            other.close()


def test_other_tasks_wake_nobody(door: LiveManaged) -> None:
    """Who waits for one task is not told of another."""
    mine, other = door.new()["id"], door.new()["id"]
    since = poll(door, mine)["timestamp"]
    while poll(door, mine, since=since, timeout=0)["updates"]:
        since = poll(door, mine)["timestamp"]
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(poll(door, mine, since=since, timeout=30)))
    thread.start()
    door.delete(f"{TASKS}/{other}")
    door.delete(f"{TASKS}/{mine}")
    thread.join(20)
    assert [update["task_id"] for update in found[0]["updates"]] == [mine]


@pytest.mark.parametrize(("query", "field"), [
    ({}, "task_ids"), ({"task_ids": ""}, "task_ids"), ({"task_ids": ",".join(map(str, range(101)))}, "task_ids"),
    ({"task_ids": "a", "timeout": "301"}, "timeout"), ({"task_ids": "a", "timeout": "-1"}, "timeout"),
    ({"task_ids": "a", "timeout": "x"}, "timeout"), ({"task_ids": "a", "since": "yesterday"}, "since")])
def test_what_cannot_be_waited_for(door: LiveManaged, query: dict[str, str], field: str) -> None:
    """400 naming the parameter."""
    reply = door.get(POLL, params=query)
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field)


def test_no_more_wait_than_may(door: LiveManaged) -> None:
    """Beyond the bound: TooManyStreams; who leaves makes room, and with the last the thread ends."""
    changes = Changes(door.queue, max_waiters=1, poll_seconds=0.01)
    changes.check_room()
    leave = changes.join(["a"], lambda: None)
    with pytest.raises(TooManyStreams):
        changes.check_room()
    leave(False)
    changes.check_room()
    eventually(lambda: changes._thread is None, why="nobody waits")
