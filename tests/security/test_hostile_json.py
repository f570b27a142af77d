"""Hostile JSON in number, to every address that takes any: refused in words, or accepted whole; never a 5xx."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from live_bridge import Reply, live_bridge, read_reply, request_bytes

from security import hostile_json
from security.in_process import InProcess, in_process
from security.test_hostile import check_folder, tasks_made
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import NewTask

BODIES = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "50000"))
SEED = 20_266
WAITING, HELD, FINISHED = 5, 5, 3
UNKNOWN = "0199f000-0000-7000-8000-0000000000aa"
LONGEST_SECONDS = 5.0
"""No body may occupy a processor for longer. The largest has 10 MiB."""


@dataclass
class Tally:
    """What came of it. ``slowest``: seconds of this thread, bytes and beginning of the body that took longest."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: tuple[float, int, bytes] = (0.0, 0, b"")
    made: int = 0

    def add(self, body: bytes, reply: Reply, seconds: float) -> None:
        self.statuses[reply.status] += 1
        self.slowest = max(self.slowest, (seconds, len(body), body[:60]))
        self.made += tasks_made(reply)
        assert reply.status < 500, (body[:500], reply)
        if reply.status >= 400:
            told = reply.json()
            assert 10 < len(told["error"]) < 500, (body[:500], reply)
            assert told["error"].isprintable(), (body[:500], reply)


class Targets:
    """Addresses that take JSON, over tasks in every state; and what a good body for them holds."""

    def __init__(self, queue: Queue, paths: list[str]) -> None:
        self._paths = paths
        self._ids = [queue.enqueue(NewTask("kept", {"n": n})).task_id for n in range(WAITING + HELD + FINISHED)]
        held = [queue.claim_one(task_id, "w").lease for task_id in self._ids[WAITING:]]
        for lease in held[HELD:]:
            queue.complete(lease.task_id, lease.token, {})
        self._tokens = [lease.token for lease in held] + ["nobody"]
        self.made = len(self._ids)

    def path(self, chance: random.Random) -> str:
        path = chance.choice(self._paths)
        while "<" in path:
            before, _, rest = path.partition("<")
            wanted, _, after = rest.partition(">")
            filled = chance.choice([*self._ids, UNKNOWN]) if "task_id" in wanted else "w"
            path = f"{before}{filled}{after}"
        return path

    def fields(self, chance: random.Random) -> dict[str, str]:
        """A submit, a claim and an end in one: every address picks what it knows, and ignores the rest."""
        return {"task_type": '"ping"', "data": '{"a":1}', "worker_id": '"w"', "wait": "0", "status": '"success"',
                "lease_token": json.dumps(chance.choice(self._tokens)), "tasks": '[{"task_type":"ping"}]'}


def posts_of(bridge: InProcess) -> list[str]:
    return sorted(rule.rule for rule in bridge.app.url_map.iter_rules() if "POST" in (rule.methods or ()))


def shoot(number: int, seed: int, targets: Targets, post: Callable[[str, bytes], Reply]) -> Tally:
    """``number`` bodies, each to an address chosen by the seed."""
    tally, chance = Tally(made=targets.made), random.Random(seed)
    next_body = hostile_json.bodies(seed, targets.fields)
    for _ in range(number):
        path, body = targets.path(chance), next_body()
        began = time.thread_time()
        reply = post(path, body)
        tally.add(body, reply, time.thread_time() - began)
    return tally


def check_stored(folder: Path) -> int:
    """What was accepted is JSON that every reader understands alike: no NaN, no key twice, UTF-8. How many files."""
    found = [path for place in ("tasks", "scheduled", "claimed", "done", "dead", "cancelled", "results")
             for path in (folder / place).rglob("*.json")]
    for path in found:
        json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refused, object_pairs_hook=_once)
    return len(found)


def _refused(word: str) -> None:
    raise AssertionError(f"{word} was stored")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def told(what: str, tally: Tally, seconds: float) -> str:
    took, size, beginning = tally.slowest
    return (f"{what}, seed {SEED}, {seconds:.0f} s: {dict(sorted(tally.statuses.items()))}; slowest "
            f"{took * 1000:.0f} ms for {size} bytes {beginning!r}")


@pytest.mark.parametrize("number", [2_000, pytest.param(BODIES, marks=pytest.mark.slow)])
@pytest.mark.timeout(1_800)
def test_every_body_is_refused_in_words_or_accepted_whole(tmp_path: Path, number: int) -> None:
    """No 5xx, no stray file, as many tasks as were acknowledged."""
    began = time.monotonic()
    with in_process(tmp_path) as bridge:
        tally = shoot(number, SEED, Targets(bridge.queue, posts_of(bridge)), bridge.post)
        bridge.queue.sweep()
        check_folder(bridge, tally.made)  # type: ignore[arg-type]  # it has a queue and settings: all that is asked
        assert check_stored(bridge.settings.folder) >= tally.made
    print(told(f"{number} hostile bodies", tally, time.monotonic() - began))
    assert tally.slowest[0] < LONGEST_SECONDS
    assert tally.statuses[400] > number / 4
    assert tally.made > number / 100


@pytest.mark.parametrize("number", [300, pytest.param(BODIES // 10, marks=pytest.mark.slow)])
@pytest.mark.timeout(1_800)
def test_the_same_over_a_socket(tmp_path: Path, number: int) -> None:
    """What holds for the bridge in this process holds for the one behind a port."""
    began = time.monotonic()
    with in_process(tmp_path / "paths") as bridge:
        paths = posts_of(bridge)
    with live_bridge(tmp_path / "live") as bridge:
        connection = bridge.connect()

        def post(path: str, body: bytes) -> Reply:
            nonlocal connection
            connection.sendall(request_bytes("POST", path, body, content_type="application/json"))
            reply = read_reply(connection)
            if reply.headers.get("connection") == "close":
                connection.close()
                connection = bridge.connect()
            return reply

        tally = shoot(number, SEED + 1, Targets(bridge.queue, paths), post)
        connection.close()
        check_folder(bridge, tally.made)
    print(told(f"{number} over a socket", tally, time.monotonic() - began))
    assert tally.statuses[400] > number / 4


@pytest.mark.parametrize("kind", range(hostile_json.HUGE_KINDS))
def test_the_worst_mebibyte_costs_little(tmp_path: Path, kind: int) -> None:
    """Deep, with a million keys, with one key again and again, full of escapes, full of small objects: where bodies of
    16 MiB are allowed, each is still refused, or accepted, within moments."""
    body = hostile_json.huge(random.Random(SEED), kind)
    with in_process(tmp_path, max_task_bytes=1 << 24) as bridge:
        began = time.thread_time()
        reply = bridge.post("/api/tasks", body)
        seconds = time.thread_time() - began
    each = seconds * 1000 / (len(body) / (1 << 20))
    print(f"{body[:40]!r}: {len(body) / (1 << 20):.1f} MiB, {reply.status}, {each:.0f} ms for a MiB")
    assert reply.status in (201, 400)
    assert seconds < LONGEST_SECONDS
