"""Waiting at the bridge: held without a thread, woken at once, and nobody gets a task that has left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from live_bridge import LiveBridge, live_bridge, read_reply, request_bytes
from waiting import eventually

from taskspool.doors.bridge import create_app
from taskspool.engine.lifecycle import open_queue


def in_background(call: Callable[[], Any]) -> Callable[[], Any]:
    """Start ``call``; the function returned waits for what it returns."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(call)
    pool.shutdown(wait=False)
    return lambda: future.result(20)


def poll_bytes(*types: str, wait: float = 20) -> bytes:
    names = ",".join(f'"{name}"' for name in types)
    return request_bytes("POST", "/api/tasks/next", f'{{"worker_id":"w","types":[{names}],"wait":{wait}}}'.encode())


def waiting(bridge: LiveBridge, number: int) -> Callable[[], bool]:
    return lambda: len(bridge.queue.bell.waiting_types) == number


def test_next_waits_for_a_task(fresh: LiveBridge) -> None:
    """A waiting worker has a new task within a moment of its submission."""
    answer = in_background(lambda: fresh.claim("w", types=["late"], wait=20))
    eventually(waiting(fresh, 1))
    began = time.monotonic()
    task_id = fresh.submit("late")
    assert answer()["id"] == task_id
    assert time.monotonic() - began < 2


def test_next_waits_only_for_its_types(fresh: LiveBridge) -> None:
    """A task of another type wakes nobody who cannot do it."""
    answer = in_background(lambda: fresh.claim("w", types=["a", "b"], wait=20))
    eventually(waiting(fresh, 1))
    fresh.submit("c")
    assert waiting(fresh, 1)()
    task_id = fresh.submit("b")
    assert answer()["id"] == task_id


@pytest.mark.parametrize("ask", [
    lambda bridge: bridge.post("/api/tasks/next", {"types": ["never"], "wait": 0.3}),
    lambda bridge: bridge.post("/api/tasks/next?wait=0.3", {"types": ["never"]}),
    lambda bridge: bridge.get("/api/tasks/next?wait=0.3&types=never"),
])
def test_waiting_ends(bridge: LiveBridge, ask: Callable[[LiveBridge], Any]) -> None:
    """Without a task the wait ends on time, with task null, however it was asked for."""
    began = time.monotonic()
    reply = ask(bridge)
    assert (reply.status_code, reply.json()["task"]) == (200, None)
    assert 0.3 <= time.monotonic() - began < 3


def test_prefer_wait(bridge: LiveBridge) -> None:
    """``Prefer: wait=1`` (RFC 7240) waits too, and the answer says so."""
    began = time.monotonic()
    reply = bridge.post("/api/tasks/next", {"types": ["never"]}, headers={"Prefer": "respond-async, wait=1"})
    assert reply.headers["Preference-Applied"] == "wait=1"
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize("path", ["/api/tasks/{}/result?wait=20", "/api/results/{}?wait=20"])
def test_result_waits(fresh: LiveBridge, path: str) -> None:
    """Whoever waits for a result has it as soon as it is there."""
    task_id = fresh.submit()
    answer = in_background(lambda: fresh.get(path.format(task_id)))
    eventually(lambda: fresh.queue.bell.awaited_results == [task_id])
    fresh.post(f"/api/tasks/{task_id}/result", {"status": "success", "data": {"v": 7}})
    assert (answer().status_code, answer().json()["data"]) == (200, {"v": 7})


def test_result_not_in_time(bridge: LiveBridge, kind: str) -> None:
    """A wait for a result that does not come ends as the 404 it would have been."""
    reply = bridge.get(f"/api/tasks/{bridge.submit(kind)}/result?wait=0.2")
    assert (reply.status_code, reply.json()["code"]) == (404, "RESULT_PENDING")


def test_result_of_unknown_task_does_not_wait(bridge: LiveBridge) -> None:
    """Nobody waits for the result of a task that does not exist."""
    began = time.monotonic()
    assert bridge.get("/api/tasks/00000000-0000-4000-8000-000000000000/result?wait=20").status_code == 404
    assert time.monotonic() - began < 5


def test_one_task_wakes_one_worker(fresh: LiveBridge) -> None:
    """Ten wait, one task comes: one of them gets it, the others go on waiting; each task is given once."""
    connections = [fresh.connect() for _ in range(10)]
    for connection in connections:
        connection.sendall(poll_bytes("t"))
    eventually(waiting(fresh, 10))
    given = []
    for _ in range(10):
        fresh.submit("t")
    for connection in connections:
        given.append(read_reply(connection).json()["task"]["id"])
        connection.close()
    assert len(set(given)) == 10


def test_who_left_gets_nothing(fresh: LiveBridge) -> None:
    """A waiting worker that hangs up is not handed a task: the next one in line gets it at once."""
    gone = fresh.connect()
    gone.sendall(poll_bytes("t"))
    eventually(waiting(fresh, 1))
    stays = in_background(lambda: fresh.claim("stays", types=["t"], wait=20))
    eventually(waiting(fresh, 2))
    gone.close()
    task_id = fresh.submit("t")
    assert stays()["id"] == task_id
    assert fresh.queue.lease_of(task_id).worker == "stays"  # type: ignore[union-attr]


def test_who_left_leaves_the_line(fresh: LiveBridge) -> None:
    """A worker that hangs up does not stay in line."""
    gone = fresh.connect()
    gone.sendall(poll_bytes("t"))
    eventually(waiting(fresh, 1))
    gone.close()
    eventually(waiting(fresh, 0))


def test_waiting_costs_no_thread(fresh: LiveBridge) -> None:
    """300 waiting polls hold no thread, and the bridge answers others as before."""
    threads = threading.active_count()
    connections = [fresh.connect() for _ in range(300)]
    for connection in connections:
        connection.sendall(poll_bytes("never"))
    eventually(waiting(fresh, 300), 20)
    assert threading.active_count() <= threads + 1
    began = time.monotonic()
    assert fresh.get("/health").ok
    assert time.monotonic() - began < 2
    for connection in connections:
        connection.close()
    eventually(waiting(fresh, 0), 20)


def test_every_task_reaches_a_waiting_worker(fresh: LiveBridge) -> None:
    """No ring is lost: 8 workers that only ever wait long take 200 tasks submitted meanwhile, each once."""
    taken: list[str] = []

    def work() -> None:
        with fresh.connect() as connection:
            while True:
                connection.sendall(poll_bytes("t", wait=20))
                task = read_reply(connection).json()["task"]
                if task is None or task["data"]:
                    return
                taken.append(task["id"])

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    began = time.monotonic()
    made = [fresh.submit("t") for _ in range(200)]
    eventually(lambda: len(taken) >= 200, 20, "all tasks are taken")
    assert time.monotonic() - began < 15
    for _ in workers:
        fresh.submit("t", {"go": "home"})
    for worker in workers:
        worker.join(20)
    assert sorted(taken) == sorted(made)


def test_plain_wsgi_server_waits_in_its_thread(tmp_path: Any) -> None:
    """Under any WSGI server the same view waits too, in the thread of its request."""
    from taskspool.settings import Settings

    settings = Settings(root=tmp_path, durability="fast")
    queue = open_queue(settings)
    try:
        app = create_app(queue, settings)
        answer = in_background(lambda: app.test_client().post("/api/tasks/next", json={"types": ["t"], "wait": 20}))
        eventually(lambda: queue.bell.waiting_types)
        made = app.test_client().post("/api/tasks", json={"task_type": "t"}).get_json()
        assert answer().get_json()["task"]["id"] == made["task_id"]
        empty = app.test_client().post("/api/tasks/next", json={"types": ["t"], "wait": 0.1})
        assert empty.get_json()["task"] is None
    finally:
        queue.close()


def test_stop_lets_everybody_go(tmp_path: Any) -> None:
    """A server that stops answers those who wait, and is gone within 5 seconds."""
    with live_bridge(tmp_path) as bridge:
        polls = [bridge.connect() for _ in range(20)]
        for connection in polls:
            connection.sendall(poll_bytes("never"))
        eventually(waiting(bridge, 20))
        began = time.monotonic()
        bridge.serving.stop()
        for connection in polls:
            assert read_reply(connection).json()["task"] is None
            connection.close()
        bridge._thread.join(6)
        assert not bridge._thread.is_alive()
        assert time.monotonic() - began < 5
