"""The other process of the races: ``race_worker.py STORY ROOT ...``, spoken to line by line."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from taskspool.engine.lifecycle import Failure, open_queue
from taskspool.errors import LeaseLost
from taskspool.settings import Settings


def claim_all(root: str, number: str, lease_seconds: str) -> None:
    """Claim and complete until three looks in a row find nothing; then print the ids of all it was handed."""
    queue = open_queue(Settings(root=Path(root), durability="fast"))
    queue.sweep()
    print("ready", flush=True)
    sys.stdin.readline()
    handed: list[str] = []
    misses = 0
    while misses < 3:
        claims = queue.claim(f"worker {number}", max_tasks=1 + int(number) % 3, lease_seconds=int(lease_seconds))
        misses = 0 if claims else misses + 1
        if not claims:
            threading.Event().wait(0.05)
            queue.sweep()
        for claim in claims:
            handed.append(claim.task.id)
            queue.complete(claim.task.id, claim.lease.token, {})
    queue.close()
    print("\n".join(handed))


def claim_and_complete(root: str, lease_seconds: str) -> None:
    """Claim one task, print its id; when told to, try to beat, complete and fail it, and print how each went."""
    queue = open_queue(Settings(root=Path(root)))
    [claim] = queue.claim("zombie", lease_seconds=int(lease_seconds))
    print(claim.task.id, flush=True)
    sys.stdin.readline()
    task_id, token = claim.task.id, claim.lease.token
    for verb in (lambda: queue.complete(task_id, token, {}), lambda: queue.extend(task_id, token),
                 lambda: queue.fail(task_id, token, Failure("no"))):
        try:
            verb()
            print("completed", flush=True)
        except LeaseLost:
            print("LeaseLost", flush=True)
    queue.close()


if __name__ == "__main__":
    {"claim_all": claim_all, "claim_and_complete": claim_and_complete}[sys.argv[1]](*sys.argv[2:])
