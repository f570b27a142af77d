"""The to-do list with 1,000,000 to-dos on SQLite: a page and its total, with the indexes and without them.

    python -m benchmarks.todos_list [--quick] [--folder DIR]

The bar: of one session and status, in any order, 99 of 100 answers within 50 ms. It is the code that the to-do door
calls (records/todos.py), in its own reading session each time. The million takes 1.5 GiB of disk and some minutes.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import Table as SqlTable
from sqlalchemy import insert

from benchmarks.measuring import Ground, Options, Row, Table, ground, median, percentile, rate, run
from taskspool.records.database import Database
from taskspool.records.models.todos import PRIORITIES, STATUSES, Todo
from taskspool.records.todos import SORTS, TodoFilter, page_of_todos

TODOS = 1_000_000
SESSIONS = 100
BAR_MS = 50.0
ANSWERS = 300
PLAIN_ANSWERS = 7
PAGE = 10
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
TARGET = "to-dos"


def measure(options: Options) -> Table:
    count = options.size(TODOS, 2_000)
    table = Table(f"A page of {PAGE} of {count:,} to-dos and their total, on SQLite; beside it: without the indexes")
    with ground(options.folder) as place:
        indexed, plain = made(place, count)
        try:
            for what, choice, sort, last_page in cases(count):
                compare(table, indexed, plain, what, choice, sort, last_page, options)
            compare_writing(table, indexed, plain, options)
        finally:
            indexed.close()
            plain.close()
    return table


def cases(count: int) -> Iterator[tuple[str, TodoFilter, str, int]]:
    """(what, which to-dos, in which order, the last page that is asked for)."""
    one = TodoFilter(session_id=UUID(int=7), status="pending")
    for sort in ("due_date", *(sort for sort in SORTS if sort != "due_date")):
        yield f"a session and status, by {sort}", one, sort, 1
    yield "a session and status, by due_date, any page", one, "due_date", count // SESSIONS // 3 // PAGE
    yield "a session, by due_date, any page", TodoFilter(session_id=UUID(int=7)), "due_date", count // SESSIONS // PAGE
    yield "a status, by due_date", TodoFilter(status="completed"), "due_date", 1
    yield "all, by updated_at", TodoFilter(), "updated_at", 1
    yield "all, by priority", TodoFilter(), "priority", 1
    yield "a session, two words searched", TodoFilter(session_id=UUID(int=7), text="report 77"), "updated_at", 1


def compare(table: Table, indexed: Database, plain: Database, what: str, choice: TodoFilter, sort: str, last_page: int,
            options: Options) -> None:
    random = Random(1)
    took = [asked(indexed, choice, sort, random.randint(1, max(1, last_page)))
            for _ in range(options.size(ANSWERS, 5))]
    random = Random(1)
    without = [asked(plain, choice, sort, random.randint(1, max(1, last_page)))
               for _ in range(options.size(PLAIN_ANSWERS, 2))]
    slow, usual = percentile(took, 99), median(took)
    has_bar = choice.session_id is not None and choice.status is not None
    table.rows.append(Row(TARGET, what, f"p99 {slow:.1f} ms, p50 {usual:.2f} ms", f"p50 {median(without):.1f} ms",
                          median(without) / usual, f"p99 <= {BAR_MS:g} ms" if has_bar else "",
                          slow <= BAR_MS if has_bar else None))


def asked(database: Database, choice: TodoFilter, sort: str, page: int) -> float:
    """Milliseconds of one answer, falling and rising in turns by the page's number."""
    began = time.perf_counter()
    with database.reading() as session:
        page_of_todos(session, choice, sort, "asc" if page % 2 else "desc", page, PAGE)
    return (time.perf_counter() - began) * 1000


def compare_writing(table: Table, indexed: Database, plain: Database, options: Options) -> None:
    """What the indexes cost who writes: one to-do a transaction."""
    ratios, rates = [], []
    numbers = itertools.count(10**9)
    for _ in range(options.size(9, 1)):
        ours, other = (written(database, numbers, options.size(50, 3)) for database in (indexed, plain))
        ratios.append(ours / other)
        rates.append((ours, other))
    ours, other = (median(side) for side in zip(*rates, strict=True))
    table.at_least(None, median(ratios), target=TARGET, what="to-dos made, one a transaction", ours=rate(ours),
                   other=rate(other))


def written(database: Database, numbers: Iterator[int], count: int) -> float:
    """How many are made in a second."""
    began = time.perf_counter()
    for number in itertools.islice(numbers, count):
        row = row_of(number, Random(number))
        database.run(lambda session, row=row: session.add(Todo(**row)))
    return count / (time.perf_counter() - began)


def made(place: Ground, count: int) -> tuple[Database, Database]:
    """A database of ``count`` to-dos with its indexes, and a copy without them."""
    indexed, plain = (place.fresh() / "todos.db" for _ in range(2))
    database = Database(f"sqlite:///{indexed}", is_durable=False)
    database.upgrade()
    indexes = sorted(sql_table().indexes, key=lambda index: str(index.name))
    for index in indexes:
        index.drop(database.engine)
    random = Random(5)
    for first in range(0, count, 20_000):
        with database.session() as session:
            rows = [row_of(number, random) for number in range(first, min(count, first + 20_000))]
            session.execute(insert(sql_table()), rows)
    database.close()
    shutil.copyfile(indexed, plain)
    database = Database(f"sqlite:///{indexed}")
    for index in indexes:
        index.create(database.engine)
    return database, Database(f"sqlite:///{plain}")


def sql_table() -> SqlTable:
    table = Todo.__table__
    assert isinstance(table, SqlTable)
    return table


def row_of(number: int, random: Random) -> dict[str, object]:
    """One to-do of a store that was used for a year: in every second a due date, in three of four a priority."""
    created_at = BEGAN + timedelta(seconds=random.randrange(31_000_000), microseconds=number % 1_000_000)
    due_date = created_at + timedelta(minutes=random.randrange(100_000)) if random.random() < 0.5 else None
    return {"id": UUID(int=random.getrandbits(128)), "session_id": UUID(int=random.randrange(SESSIONS)), "position": 0,
            "title": f"Write the report of the {number % 1000}th meeting", "description": f"what was said {number}",
            "status": random.choice(STATUSES), "priority": random.choice([*PRIORITIES, None]), "due_date": due_date,
            "created_at": created_at, "updated_at": created_at + timedelta(minutes=random.randrange(10_000))}


if __name__ == "__main__":
    sys.exit(run(__doc__ or "", measure))
