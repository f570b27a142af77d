"""What a crash leaves between the two stores is finished by whoever comes next.

Each test makes what the process had written when it died, and has the door repair it; ``test_crashes`` really kills.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from live_tagged import LiveTagged
from sqlalchemy import delete, select, update

from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import State
from taskspool.records.models.tagged import Tag, TaggedTask, TaggedTombstone, TaskTag
from taskspool.records.tagged_follow import TaggedFollower
from taskspool.records.tagged_standing import key_of, new_task_of
from taskspool.records.tagged_tags import collect_tags
from taskspool.records.tagged_tasks import TaggedTasks


@pytest.fixture
def repair(tagged: LiveTagged) -> Callable[[], int]:
    return TaggedTasks(tagged.queue, tagged.database).repair


@pytest.fixture
def full(tagged: LiveTagged) -> Iterator[TaggedTasks]:
    """The verbs, over an engine that takes the disk for full."""
    queue = open_queue(replace(tagged.settings, min_free_bytes=1 << 50))
    yield TaggedTasks(queue, tagged.database)
    queue.close()


def row_alone(tagged: LiveTagged, **columns: Any) -> TaggedTask:
    """A row as it is committed, before anything else was done for it."""
    now = datetime.now(UTC)
    row = TaggedTask(**{"title": "t", "timeout_seconds": 300, "retry_limit": 3, "handler": "noop", "payload": {},
                        "priority": "中", "uuid": str(uuid.uuid4()), "created_at": now, "updated_at": now, **columns})
    tagged.database.run(lambda session: session.add(row))
    return row


def row_of(tagged: LiveTagged, task_id: int) -> TaggedTask:
    with tagged.database.reading() as session:
        return session.scalars(select(TaggedTask).where(TaggedTask.id == task_id)).one()


def copies(tagged: LiveTagged, row: TaggedTask) -> int:
    """How many tasks of the engine are for this row."""
    listed = tagged.queue.store.index.listing(limit=1000).items
    return sum(one.task.data.get("uuid") == row.uuid for one in listed if one.task.type == "execute_task")


def test_a_row_that_was_not_handed_over_is(tagged: LiveTagged, repair: Callable[[], int]) -> None:
    """Died after the row: the engine gets the task, once, with its priority."""
    row = row_alone(tagged, priority="高")
    repair()
    repair()
    queue_id = str(row_of(tagged, row.id).queue_id)
    assert tagged.queue.task(queue_id).task.priority.word == "high"
    assert copies(tagged, row) == 1


def test_a_task_handed_over_is_not_handed_over_twice(tagged: LiveTagged, repair: Callable[[], int]) -> None:
    """Died after the engine had it, before the row knew: the same key finds the same task."""
    row = row_alone(tagged)
    queue_id = tagged.queue.enqueue(new_task_of(row), key=key_of(row)).task_id
    repair()
    assert row_of(tagged, row.id).queue_id == queue_id
    assert copies(tagged, row) == 1


@pytest.mark.parametrize("is_enqueued", [False, True])
def test_a_change_waits_until_the_engine_has_the_task(tagged: LiveTagged, repair: Callable[[], int],
                                                      is_enqueued: bool) -> None:
    """PATCH of a row that was not handed over: the same key must always come with the same wish."""
    row = row_alone(tagged, priority="低")
    if is_enqueued:
        tagged.queue.enqueue(new_task_of(row), key=key_of(row))
    assert tagged.ask("PATCH", f"/tasks/{row.id}", {"priority": "高"}).status_code == 200
    repair()
    assert tagged.queue.task(str(row_of(tagged, row.id).queue_id)).task.priority.word == "high"
    assert copies(tagged, row) == 1


def test_a_change_the_engine_was_not_told_is_told(tagged: LiveTagged, repair: Callable[[], int]) -> None:
    """Died after the row was changed: the engine's task gets the new priority."""
    task = tagged.create(priority="低")
    tagged.database.run(lambda session: session.execute(
        update(TaggedTask).where(TaggedTask.id == task["id"]).values(priority="高", is_told=False)))
    repair()
    assert tagged.queue.task(task["queue_id"]).task.priority.word == "high"
    assert row_of(tagged, task["id"]).is_told


@pytest.mark.parametrize("is_running", [False, True])
def test_a_deleted_task_is_stopped(tagged: LiveTagged, repair: Callable[[], int], is_running: bool) -> None:
    """Died after the row was gone: its tombstone has the engine's task cancelled, then it goes too."""
    task = tagged.create()
    if is_running:
        tagged.claim(task)
    uuid_ = row_of(tagged, task["id"]).uuid

    def removed(session: Any) -> None:
        session.execute(delete(TaggedTask).where(TaggedTask.id == task["id"]))
        session.add(TaggedTombstone(uuid=uuid_, queue_id=task["queue_id"], at=datetime.now(UTC)))

    tagged.database.run(removed)
    repair()
    assert tagged.queue.task(task["queue_id"]).state is State.CANCELLED
    with tagged.database.reading() as session:
        assert session.get(TaggedTombstone, uuid_) is None


def test_what_the_engine_refuses_now_is_done_later(tagged: LiveTagged, repair: Callable[[], int],
                                                   full: TaggedTasks) -> None:
    """A full disk: the row is accepted, and the task handed over when there is room again."""
    row = full.create({"title": "t", "timeout_seconds": 300, "retry_limit": 3, "handler": "noop", "priority": "中"}, [])
    assert row.queue_id is None
    assert tagged.get({"id": row.id})["status"] == "to_do"
    repair()
    assert tagged.queue.task(str(row_of(tagged, row.id).queue_id)).state is State.READY


def test_a_task_lost_before_it_ran_is_handed_over_anew(tagged: LiveTagged, repair: Callable[[], int]) -> None:
    """Its file is gone, nothing of it was done: it is enqueued again."""
    task = tagged.create()
    (tagged.settings.folder / "tasks" / f"{task['queue_id']}.json").unlink()
    TaggedFollower(tagged.queue, tagged.database).look_at_unfinished()
    repair()
    assert tagged.queue.task(str(row_of(tagged, task["id"]).queue_id)).task.data["task_id"] == task["id"]


def test_unused_tags_are_collected_and_used_ones_are_not(tagged: LiveTagged, tag: str) -> None:
    """What GET /tags does not show any more is removed in the end."""
    task = tagged.create(tags=[tag, f"{tag}-kept"])
    tagged.ask("PATCH", f"/tasks/{task['id']}", {"tags": [f"{tag}-kept"]})
    collect_tags(tagged.database)
    with tagged.database.reading() as session:
        names = set(session.scalars(select(Tag.name)))
        assert session.scalars(select(TaskTag).where(TaskTag.task_id == task["id"])).one()
    assert f"{tag}-kept" in names
    assert tag not in names
