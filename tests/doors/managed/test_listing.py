"""GET /api/v1/tasks: filters, pages and orders; what is refused, and what finds nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock
from live_managed import TASKS, LiveManaged, at, live_managed

LISTED = {
    "id", "task_type", "status", "priority", "kb_id", "payload", "result", "progress", "retry_count", "max_retries",
    "error_message", "worker_id", "created_at", "updated_at", "started_at", "completed_at", "scheduled_for", "timeout",
}
PRIORITIES = ("low", "normal", "high", "critical")


KINDS = {"completed": "vector_storage", "failed": "health_check", "canceled": "health_check",
         "retrying": "vector_storage", "processing": "document_processing", "queued": "health_check"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveManaged, dict[str, str]]]:
    """A door with one task of each status, and one to come; name -> id, in the order they were made.

    Its clock stands, and nothing is swept: what is retrying stays so.
    """
    clock = FakeClock()
    with live_managed(tmp_path_factory.mktemp("shelf"), clock=clock) as door:
        ids = {}
        for number, (name, kind) in enumerate(KINDS.items()):
            clock.advance(1)
            ids[name] = door.new(kb_id="kb_shelf", priority=PRIORITIES[number % 4], task_type=kind)["id"]
        door.work(ids["completed"], {"n": 1})
        clock.advance(1)
        door.fail(ids["failed"], is_final=True)
        clock.advance(1)
        door.delete(f"{TASKS}/{ids['canceled']}")
        door.fail(ids["retrying"])
        door.hold(ids["processing"])
        ids["later"] = door.new(kb_id="kb_other", schedule_for="2100-01-01T00:00:00Z", priority="low")["id"]
        yield door, ids


Shelf = tuple[LiveManaged, dict[str, str]]


def names(shelf: Shelf, **query: Any) -> list[str]:
    """Which tasks a list shows, in its order."""
    door, ids = shelf
    by_id = {task_id: name for name, task_id in ids.items()}
    return [by_id[task["id"]] for task in door.listed(**query)]


def test_without_a_query_it_is_the_first_20_newest_first(shelf: Shelf) -> None:
    """D1: page 1 of 20 is the default; all members but the outlook are there."""
    door, ids = shelf
    reply = door.get(TASKS)
    told = reply.json()
    assert reply.status_code == 200
    assert told["pagination"] == {"page": 1, "page_size": 20, "total": 7, "total_pages": 1}
    assert [task["id"] for task in told["tasks"]] == list(ids.values())[::-1]
    assert all(set(task) == LISTED for task in told["tasks"])


@pytest.mark.parametrize("status", ["completed", "failed", "canceled", "processing", "retrying"])
def test_by_status(shelf: Shelf, status: str) -> None:
    """Each word finds its own, with the words a task itself is told in."""
    reply = shelf[0].get(TASKS, params={"status": status}).json()
    assert names(shelf, status=status) == [status]
    assert [task["status"] for task in reply["tasks"]] == [status]
    assert reply["pagination"]["total"] == 1


def test_queued_is_all_else_that_waits(shelf: Shelf) -> None:
    """What is in the line, and what was never tried and comes later; not what is retrying."""
    assert names(shelf, status="queued") == ["later", "queued"]
    assert shelf[0].get(TASKS, params={"status": "queued"}).json()["pagination"]["total"] == 2


def test_what_was_tried_and_waits_in_line_is_queued(tmp_path: Path) -> None:
    """When the time of a retry has come, a client that lists what is queued must see it."""
    with live_managed(tmp_path, clock=FakeClock()) as door:
        task_id = door.new()["id"]
        door.fail(task_id)
        assert [task["id"] for task in door.listed(status="retrying")] == [task_id]
        assert door.listed(status="queued") == []
        door.queue.promote(task_id)
        assert [task["id"] for task in door.listed(status="queued")] == [task_id]
        assert door.listed(status="retrying") == []


@pytest.mark.parametrize(("query", "found"), [
    ({"kb_id": "kb_other"}, ["later"]),
    ({"task_type": "vector_storage"}, ["retrying", "completed"]),
    ({"priority": "critical"}, ["retrying"]),
    ({"priority": "low", "kb_id": "kb_shelf"}, ["processing", "completed"]),
    ({"kb_id": "kb_shelf", "status": "failed", "task_type": "health_check", "priority": "normal"}, ["failed"]),
    ({"kb_id": "kb_shelf", "status": "failed", "task_type": "vector_storage"}, []),
])
def test_filters_narrow_together(shelf: Shelf, query: dict[str, str], found: list[str]) -> None:
    """Each filter that is given must fit."""
    assert names(shelf, **query) == found
    assert shelf[0].get(TASKS, params=query).json()["pagination"]["total"] == len(found)


@pytest.mark.parametrize("query", [{"status": "nope"}, {"status": "pending"}, {"priority": "urgent"},
                                   {"task_type": "nope"}, {"kb_id": "nobody"}, {"kb_id": "' OR 1=1 --"},
                                   {"kb_id": "\0"}, {"status": "QUEUED"}])
def test_a_value_nobody_has_finds_nothing(shelf: Shelf, query: dict[str, str]) -> None:
    """200 with an empty array, never null (D2)."""
    reply = shelf[0].get(TASKS, params=query)
    assert reply.status_code == 200
    assert reply.json() == {"tasks": [], "pagination": {"page": 1, "page_size": 20, "total": 0, "total_pages": 0}}


def test_an_empty_filter_asks_nothing(shelf: Shelf) -> None:
    """`?status=&kb_id=` is what forms send that were not filled in."""
    assert len(names(shelf, status="", kb_id="", task_type="", priority="", sort_by="", sort_order="")) == 7


def test_pages_cover_the_list_once(shelf: Shelf) -> None:
    """Page after page gives the whole; the last may be short, and behind it there is nothing."""
    door, ids = shelf
    pages = [door.get(TASKS, params={"page": page, "page_size": 3}).json() for page in (1, 2, 3, 4)]
    assert [len(page["tasks"]) for page in pages] == [3, 3, 1, 0]
    assert [task["id"] for page in pages for task in page["tasks"]] == list(ids.values())[::-1]
    assert pages[1]["pagination"] == {"page": 2, "page_size": 3, "total": 7, "total_pages": 3}


@pytest.mark.parametrize(("sort_by", "found"), [
    ("created_at", ["completed", "failed", "canceled", "retrying", "processing", "queued"]),
    ("completed_at", ["completed", "failed", "canceled"]),
])
def test_what_is_named_alone_rises(shelf: Shelf, sort_by: str, found: list[str]) -> None:
    """`sort_by` alone: ascending; with `sort_order=desc` the other way round. Only what has ended has completed_at."""
    reply = shelf[0].get(TASKS, params={"kb_id": "kb_shelf", "sort_by": sort_by}).json()
    assert names(shelf, kb_id="kb_shelf", sort_by=sort_by) == found
    assert reply["pagination"]["total"] == len(found)
    assert names(shelf, kb_id="kb_shelf", sort_by=sort_by, sort_order="desc") == found[::-1]
    assert names(shelf, kb_id="kb_shelf", sort_by=sort_by, sort_order="ASC") == found


@pytest.mark.parametrize("sort_by", ["priority", "task_type", "updated_at"])
def test_sorted_by_a_member(shelf: Shelf, sort_by: str) -> None:
    """What is told is in that order, either way; an instant to the millisecond, as a claim is told."""
    rank: dict[str, Any] = {"priority": PRIORITIES.index, "task_type": str,
                            "updated_at": lambda told: int(at(told).timestamp() * 1000)}
    for order in ("asc", "desc"):
        told = [rank[sort_by](task[sort_by]) for task in shelf[0].listed(sort_by=sort_by, sort_order=order)]
        assert len(told) == 7
        assert told == sorted(told, reverse=order == "desc")


def test_sorted_by_status_like_comes_with_like(shelf: Shelf) -> None:
    """Tasks of one status stand together."""
    told = [task["status"] for task in shelf[0].listed(sort_by="status", kb_id="kb_shelf")]
    assert [word for number, word in enumerate(told) if number == 0 or told[number - 1] != word] == list(
        dict.fromkeys(told))


@pytest.mark.parametrize(("query", "field"), [
    ({"page": "0"}, "page"), ({"page": "-1"}, "page"), ({"page": "a"}, "page"), ({"page": ""}, "page"),
    ({"page": "1.5"}, "page"), ({"page": "9" * 30}, "page"), ({"page_size": "0"}, "page_size"),
    ({"page_size": "101"}, "page_size"), ({"page_size": "x"}, "page_size"), ({"sort_by": "kb_id; DROP"}, "sort_by"),
    ({"sort_by": "payload"}, "sort_by"), ({"sort_by": "created_at", "sort_order": "up"}, "sort_order"),
])
def test_what_cannot_be_listed_is_refused(shelf: Shelf, query: dict[str, str], field: str) -> None:
    """400 INVALID_REQUEST naming the parameter and its rule; nothing of it ever gets near the index."""
    reply = shelf[0].get(TASKS, params=query)
    assert reply.status_code == 400
    told = reply.json()
    assert (told["error"], told["code"], told["details"]["field"]) == (
        "Invalid query parameters", "INVALID_REQUEST", field)


def test_a_page_of_100_is_the_largest(shelf: Shelf) -> None:
    """100 is taken, 101 was refused above."""
    assert shelf[0].get(TASKS, params={"page_size": "100", "page": "1"}).json()["pagination"]["page_size"] == 100


def test_what_is_listed_is_what_is_told(shelf: Shelf) -> None:
    """A task of a list has the same members as its detail."""
    door, _ = shelf
    for task in door.listed(kb_id="kb_shelf", status="completed"):
        assert task.items() <= door.told(task["id"]).items()
