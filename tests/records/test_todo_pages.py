"""A page of the to-do list: every order, every filter, on every database, and by which index."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from sqlalchemy import event, insert, text

from databases import open_fresh
from taskspool.records.database import Database
from taskspool.records.folding import folded
from taskspool.records.models.todos import PRIORITIES, STATUSES, Todo, TodoBatch
from taskspool.records.todos import SORTS, WITHOUT_VALUE_LAST, TodoFilter, matches, page_of_todos

NOW = datetime(2026, 11, 23, 5, 21, 15, 510313, tzinfo=UTC)
SESSIONS = [UUID(int=1), UUID(int=2), None]
BATCH = UUID(int=99)
SORT_KEYS = {
    "updated_at": lambda row: (row["updated_at"],), "created_at": lambda row: (row["created_at"],),
    "due_date": lambda row: (row["due_date"],),
    "status": lambda row: (STATUSES.index(row["status"]), row["created_at"]),
    "priority": lambda row: (row["priority"] and PRIORITIES.index(row["priority"]),),
}
WHOLE = 10_000


def rows_of(count: int, random: Random) -> list[dict]:
    def instant() -> datetime:
        return NOW + timedelta(minutes=random.randrange(8))

    return [{"id": UUID(int=random.getrandbits(128)), "session_id": random.choice(SESSIONS),
             "batch_id": random.choice([BATCH, None]), "position": 0, "title": f"T{number}", "description": None,
             "status": random.choice(STATUSES), "priority": random.choice([*PRIORITIES, None]),
             "due_date": random.choice([instant(), None]), "completed_at": None, "created_at": instant(),
             "updated_at": instant()} for number in range(count)]


def fill(database: Database, rows: list[dict]) -> None:
    with database.session() as session:
        session.add(TodoBatch(id=BATCH, created_at=NOW))
        session.flush()
        session.execute(insert(Todo), rows)


def sorted_by_hand(rows: list[dict], sort: str, order: str) -> list[UUID]:
    """What the contract asks for: rows without the key last both ways, ties by id."""
    key = SORT_KEYS[sort]
    with_value = [row for row in rows if key(row)[0] is not None]
    without = [row for row in rows if key(row)[0] is None]
    found = sorted(with_value, key=lambda row: (*key(row), row["id"]), reverse=order == "desc")
    return [row["id"] for row in [*found, *sorted(without, key=lambda row: row["id"], reverse=order == "desc")]]


def test_every_order_of_every_choice_is_as_by_hand(database: Database) -> None:
    """The pages of 7, laid together, are the whole list; the total is true; due dates and priorities that are not
    there come last both ways."""
    rows = rows_of(60, Random(7))
    fill(database, rows)
    for session_id, status, batch_id, sort, order in itertools.product(
            (None, SESSIONS[0]), (None, "pending"), (None, BATCH), SORTS, ("asc", "desc")):
        wanted = sorted_by_hand([row for row in rows if session_id in (None, row["session_id"])
                                 and status in (None, row["status"])
                                 and batch_id in (None, row["batch_id"])], sort, order)
        found: list[UUID] = []
        with database.reading() as session:
            for page in itertools.count(1):
                choice = TodoFilter(session_id, status, batch_id)
                items, total = page_of_todos(session, choice, sort, order, page, 7)
                assert total == len(wanted)
                assert len(items) == min(7, max(0, total - (page - 1) * 7))
                found += [item.id for item in items]
                if not items:
                    break
        assert found == wanted, (session_id, status, batch_id, sort, order)


def test_a_page_far_behind_the_end_is_empty(database: Database) -> None:
    """Also one whose number no database could count to."""
    fill(database, rows_of(3, Random(1)))
    with database.reading() as session:
        assert page_of_todos(session, TodoFilter(), "due_date", "desc", 10**30, 10) == ([], 3)


def test_sorts_without_a_value_are_told() -> None:
    """The orders whose key may be missing are those of the columns that may be NULL."""
    assert {sort for sort, columns in SORTS.items()
            if Todo.__table__.columns[columns[0].key].nullable and sort != "status"} == WITHOUT_VALUE_LAST


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", SORTS)
def test_no_page_is_sorted_when_it_is_asked_for(tmp_path: Path, sort: str, order: str) -> None:
    """All to-dos, those of a session, of a status, of both: an index is read from one end, and counting takes one."""
    with open_fresh("sqlite", tmp_path) as database:
        fill(database, rows_of(40, Random(3)))
        for session_id, status in itertools.product((None, SESSIONS[0]), (None, "pending")):
            with database.reading() as session:
                plans = []

                def explain(connection, cursor, statement, parameters, *_more, plans=plans):
                    if statement.startswith("SELECT"):
                        answer = connection.connection.driver_connection.execute(
                            f"EXPLAIN QUERY PLAN {statement}", parameters)
                        plans.append(" ".join(row[3] for row in answer))

                connection = session.connection()
                event.listen(connection, "after_cursor_execute", explain)
                page_of_todos(session, TodoFilter(session_id, status), sort, order, 1, WHOLE)
            assert len(plans) in (2, 3, 4), plans
            assert [plan for plan in plans if "TEMP B-TREE" in plan or "INDEX" not in plan] == []
            if session_id or status:
                assert [plan for plan in plans if "SEARCH" not in plan] == []


# -- searching -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "description", "wanted", "is_found"), [
    ("Write the report", None, "report", True),
    ("Write the report", None, "REP write", True),
    ("Write the report", "for Ann", "ann report", True),
    ("Write the report", "for Ann", "reportfor", False),
    ("Write the report", None, "reports", False),
    ("Straße", None, "STRASSE", True),
    ("ÉCOLE", None, "e\u0301cole", True),
    ("核心业务 报告", None, "业务", True),
    ("ＡＢＣ", None, "abc", True),
    ("İstanbul", None, "i\u0307stanbul", True),
    ("100% done", None, "100%", True),
    ("1000 done", None, "100%", False),
    ("snake_case", None, "snake_case", True),
    ("snakeXcase", None, "snake_case", False),
    ("what!", None, "what!", True),
    ("what", None, "what!", False),
    ("back\\slash", None, "k\\s", True),
    ("it's; DROP TABLE", None, "it's;", True),
    ("anything", None, " \t ", True),
    ("the end", None, "\n", True),
])
def test_a_search_finds_every_word_anywhere(database: Database, title: str, description: str | None, wanted: str,
                                            is_found: bool) -> None:
    """Parts of words, in any order, without regard to case, width or accents' spelling; % and _ are letters."""
    with database.session() as session:
        session.add(Todo(id=UUID(int=5), title=title, description=description, created_at=NOW, updated_at=NOW))
    with database.reading() as session:
        items, total = page_of_todos(session, TodoFilter(text=wanted), "created_at", "asc", 1, 10)
    assert (len(items), total) == (is_found, is_found)


def test_a_search_sees_what_a_row_says_now(database: Database) -> None:
    """After a change of the title it is found by the new one alone; rows put in by the thousand are found as well."""
    with database.session() as session:
        session.execute(insert(Todo), [{"id": UUID(int=5), "title": "Old", "description": "Same", "created_at": NOW,
                                        "updated_at": NOW}])
    with database.session() as session:
        session.get_one(Todo, UUID(int=5)).title = "New"
    with database.reading() as session:
        found = [page_of_todos(session, TodoFilter(text=word), "created_at", "asc", 1, 1)[1]
                 for word in ("old", "new", "same")]
        assert found == [0, 1, 1]
        assert session.scalar(text("SELECT search_text FROM todos")) == folded("New", "Same")
    assert "LIKE" in str(matches("x"))
