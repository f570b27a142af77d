"""Hostile requests in number: no 5xx, no stray file, and every answer is JSON with a text a person understands."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import hostile_requests
import pytest
from live_bridge import LiveBridge, Reply, live_bridge, read_reply

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run(root: Path, number: int, seed: int) -> Counter[int]:
    """Send ``number`` requests over kept-alive connections; how often each status came."""
    statuses: Counter[int] = Counter()
    made = 20
    next_request, chance = hostile_requests.requests(seed), random.Random(seed)
    with live_bridge(root) as bridge:
        ids = [bridge.submit().encode() for _ in range(made)]
        connection = bridge.connect()
        for _ in range(number):
            request = next_request().replace(hostile_requests.ID.encode(), chance.choice(ids))
            connection.sendall(request)
            reply = read_reply(connection, has_body=not request.startswith(b"HEAD"))
            check(request, reply)
            statuses[reply.status] += 1
            made += tasks_made(reply)
            if reply.headers.get("connection") == "close":
                connection.close()
                connection = bridge.connect()
        connection.close()
        assert bridge.get("/health").ok
        check_folder(bridge, made)
    return statuses


def check(request: bytes, reply: Reply) -> None:
    assert reply.status < 500, (request, reply)
    if reply.status >= 400 and not request.startswith(b"HEAD"):
        told = reply.json()
        assert isinstance(told["error"], str), (request, reply)
        assert 10 < len(told["error"]) < 500, (request, reply)
        assert told["error"].isprintable(), (request, reply)
        assert told["code"], (request, reply)


def tasks_made(reply: Reply) -> int:
    is_json = reply.headers.get("content-type", "").startswith("application/json")
    if reply.status not in (200, 201) or not reply.body or not is_json:
        return 0
    told = reply.json()
    return int(told.get("count", 1)) if told.get("created") else 0


def check_folder(bridge: LiveBridge, made: int) -> None:
    """As many tasks as were accepted, every file where files belong, nothing beside the queue's folder."""
    counts = bridge.queue.counts()
    finished = counts.done + counts.dead + counts.cancelled
    assert counts.scheduled + counts.ready + counts.claimed + finished == made
    assert [path.name for path in bridge.settings.root.iterdir()] == [bridge.settings.queue]
    assert list(bridge.queue.store.problems()) == []
    for path in bridge.settings.folder.rglob("*"):
        place = path.relative_to(bridge.settings.folder).parts[0]
        if path.is_file() and place in ("tasks", "scheduled", "claimed", "done", "dead", "results", "tmp"):
            assert ID.match(path.name), path


def test_a_thousand(tmp_path: Path) -> None:
    """1,000 hostile requests, the same every day."""
    statuses = run(tmp_path, 1_000, seed=2)
    assert statuses[400] > 300
    assert statuses[404] > 50
    assert statuses[405] > 50


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twenty_thousand(tmp_path: Path) -> None:
    """20,000 of them."""
    statuses = run(tmp_path, 20_000, seed=20_000)
    print(sorted(statuses.items()))
    assert sum(statuses.values()) == 20_000
