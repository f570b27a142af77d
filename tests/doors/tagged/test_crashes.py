"""Killed by its own hand right before, and right after, what it asks of the engine: between any two steps of a verb.

The process that dies is a real one, with its own queue and database; the door that stays alive, or comes next, makes
the rest true.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import pytest
from live_tagged import LiveTagged
from service import environment
from sqlalchemy import select
from waiting import eventually

from taskspool.engine.task import State
from taskspool.records.models.tagged import TaggedTask, TaggedTombstone
from taskspool.settings import as_environment

DYING = """
import os, signal, sys
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.records.database import open_database
from taskspool.records.tagged_tasks import TaggedTasks
from taskspool.settings import from_environment
verb, moment, step, task_id = sys.argv[1:]
real = getattr(Queue, step)

def deadly(*arguments, **options):
    if moment == "after":
        real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(Queue, step, deadly)
settings = from_environment()
tasks = TaggedTasks(open_queue(settings), open_database(settings))
if verb == "create":
    tasks.create({"title": "from the dead", "timeout_seconds": 300, "retry_limit": 3, "handler": "noop",
                  "payload": {}, "priority": "中"}, ["a"])
if verb == "change":
    tasks.change(int(task_id), {"priority": "高"}, None)
if verb == "remove":
    tasks.remove(int(task_id))
"""
pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")]


def die(tagged: LiveTagged, verb: str, moment: str, step: str, task_id: int = 0) -> None:
    """``verb``, in a process that is gone right before or after ``step``."""
    done = subprocess.run([sys.executable, "-c", DYING, verb, moment, step, str(task_id)], timeout=60,
                          env=environment(**as_environment(tagged.settings)), capture_output=True, encoding="utf-8")
    assert done.returncode == -signal.SIGKILL, done.stderr


def rows(tagged: LiveTagged) -> list[TaggedTask]:
    with tagged.database.reading() as session:
        return list(session.scalars(select(TaggedTask)))


def of_engine(tagged: LiveTagged) -> list[Any]:
    return list(tagged.queue.store.index.listing(limit=1000).items)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_creating(fresh: LiveTagged, moment: str) -> None:
    """The row is accepted, and becomes one task of the engine, not none and not two."""
    die(fresh, "create", moment, "enqueue")
    [row] = rows(fresh)
    assert fresh.get({"id": row.id})["status"] == "to_do"
    queue_id = eventually(lambda: rows(fresh)[0].queue_id, why="it is handed over")
    eventually(lambda: [one.task.id for one in of_engine(fresh)] == [queue_id], why="the engine has it once")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_changing(fresh: LiveTagged, moment: str) -> None:
    """The row is changed, and the engine's task gets the priority of the row."""
    task = fresh.create(priority="低")
    die(fresh, "change", moment, "revise", task["id"])
    assert fresh.get(task)["priority"] == "高"
    eventually(lambda: rows(fresh)[0].is_told, why="the engine is told")
    assert fresh.queue.task(task["queue_id"]).task.priority.word == "high"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_while_deleting(fresh: LiveTagged, moment: str) -> None:
    """The row is gone, and the engine's task is cancelled; nothing of it stays behind."""
    task = fresh.create()
    die(fresh, "remove", moment, "cancel", task["id"])
    assert fresh.ask("GET", f"/tasks/{task['id']}").status_code == 404

    def is_tidy() -> bool:
        with fresh.database.reading() as session:
            return session.scalars(select(TaggedTombstone)).first() is None

    eventually(is_tidy, why="the tombstone is gone")
    assert fresh.queue.task(task["queue_id"]).state is State.CANCELLED
