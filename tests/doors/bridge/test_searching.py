"""Lists with filter, order and pages, numbers by type and group, batches, and the queue as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from live_bridge import LiveBridge

from taskspool.clock import to_text


def ids_of(bridge: LiveBridge, query: str) -> list[str]:
    reply = bridge.get(f"/api/tasks?{query}")
    assert reply.status_code == 200, reply.text
    return [task["id"] for task in reply.json()["tasks"]]


def run(bridge: LiveBridge, kind: str, verb: str = "complete", **more: Any) -> str:
    """The id of a task that has ended."""
    task_id = bridge.submit(kind, **more)
    token = bridge.claim("w", types=[kind])["lease"]["token"]
    bridge.post(f"/api/tasks/{task_id}/{verb}", {"lease_token": token})
    return task_id


def test_each_filter(bridge: LiveBridge, kind: str) -> None:
    """Status, state, type, priority, group, tag, requester, worker, batch, parent, the id: each narrows a list."""
    done, dead = run(bridge, kind), run(bridge, kind, "fail")
    low = bridge.submit(kind, priority="low", group=f"g-{kind}", tags=["a", "b"], requester=f"r-{kind}")
    later = bridge.submit(kind, delay=60, priority="urgent", tags=["a"])
    batch = bridge.post("/api/batches", {"tasks": [{"task_type": kind, "parent_id": dead}]}).json()
    one = f"type={kind}&"
    assert ids_of(bridge, f"{one}status=pending") == [low, later, *batch["task_ids"]]
    assert ids_of(bridge, f"{one}state=scheduled") == [later]
    assert ids_of(bridge, f"{one}status=completed,failed") == [done, dead]
    assert ids_of(bridge, f"{one}status=pending&state=scheduled,dead") == [later]
    assert ids_of(bridge, f"{one}priority=low,critical") == [low, later]
    assert ids_of(bridge, f"group=g-{kind}") == ids_of(bridge, f"requester=r-{kind}") == [low]
    assert ids_of(bridge, f"{one}tag=a") == [low, later]
    assert ids_of(bridge, f"{one}tag=a&tag=b") == [low]
    assert ids_of(bridge, f"{one}worker=w") == [done, dead]
    assert ids_of(bridge, f"batch={batch['batch_id']}") == ids_of(bridge, f"parent={dead}") == batch["task_ids"]
    assert ids_of(bridge, f"id_prefix={low[:30]}") == [low]
    assert ids_of(bridge, f"type={kind}&type=other&state=dead") == [dead]


def test_by_time(bridge: LiveBridge, kind: str) -> None:
    """created and finished, after and before: closed below, open above."""
    run(bridge, kind)
    now = datetime.now(UTC)
    past, future = to_text(now - timedelta(hours=1)), to_text(now + timedelta(hours=1))
    for name in ("created", "finished"):
        assert len(ids_of(bridge, f"type={kind}&{name}_after={past}&{name}_before={future}")) == 1
        assert ids_of(bridge, f"type={kind}&{name}_after={future}") == ids_of(
            bridge, f"type={kind}&{name}_before={past}") == []


def test_pages_and_orders(bridge: LiveBridge, kind: str) -> None:
    """Pages by offset and by cursor meet without gap or overlap; the total is that of all pages; order turns it."""
    made = [bridge.submit(kind) for _ in range(7)]
    first = bridge.get(f"/api/tasks?type={kind}&limit=3&offset=0").json()
    assert (first["count"], first["total"], first["limit"], first["offset"]) == (3, 7, 3, 0)
    assert ids_of(bridge, f"type={kind}&limit=3&offset=3") == made[3:6]
    pages, cursor = [], None
    while True:
        query = {"type": kind, "limit": 3, "sort": "created_at"} | ({} if cursor is None else {"cursor": cursor})
        page = bridge.get("/api/tasks", params=query).json()
        pages += [task["id"] for task in page["tasks"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == made
    assert ids_of(bridge, f"type={kind}&sort=-created_at") == made[::-1]
    assert ids_of(bridge, f"type={kind}&sort=created_at&order=desc&limit=2") == made[:4:-1]


def test_the_older_form_is_as_ever(bridge: LiveBridge, kind: str) -> None:
    """limit and type alone list what waits, oldest first, with count and total_pending, and nothing that runs."""
    first = bridge.submit(kind, priority="low")
    second = bridge.submit(kind, priority="urgent")
    run(bridge, f"{kind}-done")
    body = bridge.get(f"/api/tasks?limit=10&type={kind}").json()
    assert body.keys() == {"count", "total_pending", "tasks", "server_time"}
    assert [task["id"] for task in body["tasks"]] == [first, second]
    assert body["total_pending"] >= 2


@pytest.mark.parametrize(("query", "field"), [
    ("status=busy", "status"), ("state=pending", "state"), ("priority=soon", "priority"), ("sort=age", "sort"),
    ("sort=", "sort"), ("order=up", "order"), ("offset=-1", "offset"), ("state=ready&limit=0", "limit"),
    ("created_after=yesterday", "created_after"), ("finished_before=2026-01-01", "finished_before"),
    ("group=", "group"), ("tag=a%0Ab", "tag"), ("id_prefix=XYZ", "id_prefix"), ("cursor=5", "cursor"),
])
def test_bad_filter(bridge: LiveBridge, query: str, field: str) -> None:
    """A filter that cannot be is refused by name."""
    reply = bridge.get(f"/api/tasks?{query}")
    assert (reply.status_code, reply.json()["details"]["field"]) == (400, field)


def test_numbers_by_type_and_group(fresh: LiveBridge) -> None:
    """Stats keep their old keys and tell counts per type and group, times and throughput; a query narrows them."""
    run(fresh, "a", group="g")
    run(fresh, "a", "fail")
    run(fresh, "b")
    fresh.submit("b", group="g")
    stats = fresh.get("/api/stats").json()
    assert (stats["pending"], stats["successful"], stats["failed"], stats["success_rate"]) == (1, 2, 1, 66.67)
    assert (stats["by_type"]["a"]["done"], stats["by_type"]["a"]["dead"]) == (1, 1)
    assert stats["by_type"]["a"]["success_rate"] == 50
    assert (stats["by_group"]["g"]["done"], stats["by_group"]["g"]["ready"]) == (1, 1)
    assert stats["by_state"] == {"scheduled": 0, "ready": 1, "claimed": 0, "done": 2, "dead": 1, "cancelled": 0}
    durations = stats["durations"]
    assert durations["count"] == 3
    assert 0 < durations["p50_ms"] <= durations["p90_ms"] <= durations["p99_ms"]
    assert sum(minute["completed"] + minute["failed"] for minute in stats["throughput"]) == 3
    assert stats["oldest_pending_at"]
    narrow = fresh.get("/api/stats?type=b&group=none").json()
    assert (narrow["by_type"].keys(), narrow["by_group"], narrow["pending"]) == ({"b"}, {}, 1)


def test_stats_without_an_index(fresh: LiveBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the index cannot be asked, the older numbers are told all the same."""
    fresh.submit("a")
    monkeypatch.setattr(fresh.queue.store.index, "_file", Broken())
    stats = fresh.get("/api/stats")
    assert (stats.status_code, stats.json()["pending"]) == (200, 1)
    assert "by_type" not in stats.json()
    assert fresh.get("/api/tasks?state=ready").status_code == 503


class Broken:
    """An index file that cannot be opened this moment."""

    def reading(self) -> Any:
        from taskspool.engine.index_file import IndexUnusable

        raise IndexUnusable("it is broken")


def test_batches(bridge: LiveBridge, kind: str) -> None:
    """A named set of tasks is made all or nothing, found by its id, and tells how far it is."""
    asked = {"name": "night", "tasks": [{"task_type": kind}, {"task_type": kind, "priority": "high"}]}
    reply = bridge.post("/api/batches", asked, headers={"Idempotency-Key": kind})
    made = reply.json()
    assert (reply.status_code, reply.headers["Location"]) == (201, f"/api/batches/{made['batch_id']}")
    assert (made["name"], made["count"], made["is_finished"], made["created"]) == ("night", 2, False, True)
    again = bridge.post("/api/batches", asked, headers={"Idempotency-Key": kind})
    assert (again.status_code, again.json()["batch_id"]) == (200, made["batch_id"])
    for _ in range(2):
        task = bridge.claim(types=[kind])
        bridge.post(f"/api/tasks/{task['id']}/complete", {"lease_token": task["lease"]["token"]})
    told = bridge.get(f"/api/batches/{made['batch_id']}").json()
    assert (told["counts"]["done"], told["is_finished"], told["missing"]) == (2, True, 0)
    assert told["finished_at"]
    assert bridge.get("/api/batches?limit=1").json()["batches"][0]["batch_id"] == made["batch_id"]
    unknown = bridge.get("/api/batches/00000000-0000-4000-8000-000000000000")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "BATCH_NOT_FOUND")
    assert bridge.post("/api/batches", {"tasks": []}).status_code == 400


def test_pause_a_type(bridge: LiveBridge, kind: str) -> None:
    """A paused type is not handed out, others are; who paused it and why is told, also by /health."""
    task_id, other = bridge.submit(kind), bridge.submit(f"{kind}-other")
    told = bridge.post("/api/queue/pause", {"types": [kind], "by": "me", "reason": "their site is down"}).json()
    assert (told["paused"], told["paused_types"][kind]["by"]) == (False, "me")
    assert bridge.claim(types=[kind, f"{kind}-other"])["id"] == other
    assert bridge.claim(types=[kind]) is None
    assert kind in bridge.get("/health").json()["paused_types"]
    assert bridge.get("/api/queue").json()["paused_types"][kind]["reason"] == "their site is down"
    bridge.post("/api/queue/resume", {"types": [kind]})
    assert bridge.claim(types=[kind])["id"] == task_id


def test_pause_the_queue(fresh: LiveBridge) -> None:
    """The whole queue rests, submits go on, and a worker that waits gets its task when it is resumed."""
    assert fresh.post("/api/queue/pause").json()["paused"]
    task_id = fresh.submit("t")
    assert fresh.claim() is None
    assert fresh.get("/health").json()["paused"]
    told = fresh.post("/api/queue/resume", {}).json()
    assert (told["paused"], told["counts"]["ready"], told["by_priority"]["normal"]) == (False, 1, 1)
    assert fresh.claim()["id"] == task_id
