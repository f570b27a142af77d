"""Unlucky orders of events between the two stores: no row is untrue for ever, and no run is one too many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from live_tagged import LiveTagged
from sqlalchemy import select

from taskspool.cli.doors import DOORS
from taskspool.engine.task import State
from taskspool.errors import RefusedToStart
from taskspool.records.models.tagged import TaggedTask
from taskspool.records.tagged_follow import TaggedFollower
from taskspool.records.tagged_tasks import TaggedTasks


def row_of(tagged: LiveTagged, task: dict[str, Any]) -> TaggedTask:
    with tagged.database.reading() as session:
        return session.scalars(select(TaggedTask).where(TaggedTask.id == task["id"])).one()


@pytest.mark.parametrize("changed", [{"priority": "高"}, {"retry_limit": 0}, {"timeout_seconds": 9}])
def test_a_task_lost_after_it_was_changed_is_handed_over_anew(tagged: LiveTagged, changed: dict[str, Any]) -> None:
    """Its file is gone, and the engine knows its key with what it wanted before: it comes as it is wanted now, and is
    in nobody's way."""
    task = tagged.create(priority="低")
    assert tagged.ask("PATCH", f"/tasks/{task['id']}", changed).status_code == 200
    (tagged.settings.folder / "tasks" / f"{task['queue_id']}.json").unlink()
    TaggedFollower(tagged.queue, tagged.database).look_at_unfinished()
    TaggedTasks(tagged.queue, tagged.database).repair()
    found = tagged.queue.task(str(row_of(tagged, task).queue_id))
    assert found.state is State.READY
    assert found.task.data == {"task_id": task["id"], "uuid": row_of(tagged, task).uuid}
    assert tagged.ask("PATCH", f"/tasks/{task['id']}", {"title": "x"}).status_code == 200


def test_retry_limit_of_a_finished_task_changes_the_row_in_lists_too(tagged: LiveTagged) -> None:
    """The count never passes the limit, whoever asks."""
    task = tagged.create(retry_limit=2)
    for _ in range(3):
        tagged.fail(tagged.claim(task))
    assert tagged.get(task)["current_retry_count"] == 2
    tagged.list()
    tagged.ask("PATCH", f"/tasks/{task['id']}", {"retry_limit": 0})
    assert [one for one in tagged.list() if one["id"] == task["id"]] == [tagged.get(task)]


def test_a_retry_limit_below_the_runs_that_were_ends_the_task(fresh: LiveTagged,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs have failed when retry_limit becomes 1: the handler is not called a third time."""
    task = fresh.create(retry_limit=5)
    for _ in range(2):
        fresh.fail(fresh.claim(task))
    fresh.ask("PATCH", f"/tasks/{task['id']}", {"retry_limit": 1})
    fresh.work(monkeypatch)
    told = fresh.get(task)
    assert (told["status"], told["current_retry_count"], told["result"]) == ("failed", 1, None)
    assert "no run is left" in told["error"]


def test_a_task_tried_again_by_hand_has_all_its_runs(fresh: LiveTagged, monkeypatch: pytest.MonkeyPatch) -> None:
    """``taskspool retry`` begins at the first run again: what was used before does not count against the limit."""
    task = fresh.create(retry_limit=0)
    fresh.fail(fresh.claim(task))
    assert fresh.get(task)["status"] == "failed"
    fresh.queue.retry(task["queue_id"], by="somebody")
    fresh.work(monkeypatch)
    assert fresh.get(task)["status"] == "done"


def test_a_second_root_may_not_serve_the_rows_of_another(fresh: LiveTagged, tmp_path: Path) -> None:
    """Its queue knows none of their work: it would fail what runs, and have done again what waits."""
    running = fresh.create()
    fresh.claim(running)
    fresh.list()
    with DOORS["tagged"].opened(fresh.settings):
        assert fresh.get(running)["status"] == "in_progress"
    with (pytest.raises(RefusedToStart, match="another root"),
          DOORS["tagged"].opened(replace(fresh.settings, root=tmp_path))):
        raise AssertionError("it was opened")
    assert row_of(fresh, running).status == "in_progress"
    with DOORS["tagged"].opened(fresh.settings):
        assert fresh.get(running)["status"] == "in_progress"
