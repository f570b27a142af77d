"""What is put into a column comes out of it, on each of the three databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, StatementError

from taskspool.records.database import Database
from taskspool.records.models.tagged import Tag, TaggedTask, TaskTag
from taskspool.records.models.todos import Todo, TodoBatch

NOW = datetime(2026, 11, 23, 5, 21, 15, 510313, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=st.sampled_from(
    [UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-3, minutes=-30)), timezone(timedelta(hours=14))]))
PLAIN = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                      | st.text(max_size=20), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                      max_leaves=8)
GENTLY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def tagged(**values: object) -> TaggedTask:
    return TaggedTask(uuid=str(uuid4()), title="t", timeout_seconds=1, retry_limit=0, handler="noop", created_at=NOW,
                      updated_at=NOW, **values)


def todo(**values: object) -> Todo:
    return Todo(**{"id": uuid4(), "title": "t", "created_at": NOW, "updated_at": NOW, **values})


@GENTLY
@given(instant=INSTANTS)
def test_an_instant_comes_back_to_the_microsecond_in_utc(database: Database, instant: datetime) -> None:
    """Whatever its zone, from year 1 to 9999: the same instant, aware, in UTC."""
    with database.session() as session:
        row = todo(due_date=instant)
        session.add(row)
        session.flush()
        session.expire(row)
        assert row.due_date == instant
        assert row.due_date.tzinfo is UTC


def test_a_time_without_a_zone_is_refused(database: Database) -> None:
    """It may be any of 26 hours: who writes says which."""
    with pytest.raises(StatementError, match="without a zone"), database.session() as session:
        session.add(todo(due_date=datetime(2026, 1, 1)))


def test_instants_sort_as_they_follow_each_other(database: Database) -> None:
    """By the microsecond, and over the year 1000 and the edge of the zones."""
    rising = [datetime(1, 1, 2, tzinfo=UTC), datetime(999, 1, 1, tzinfo=UTC), NOW, NOW + timedelta(microseconds=1),
              datetime(9999, 12, 30, tzinfo=UTC)]
    with database.session() as session:
        session.add_all(todo(due_date=instant) for instant in reversed(rising))
    with database.reading() as session:
        assert list(session.scalars(select(Todo.due_date).order_by(Todo.due_date))) == rising


@GENTLY
@given(words=PLAIN, value=VALUES)
def test_text_and_json_come_back_letter_by_letter(database: Database, words: str, value: object) -> None:
    """Every script and any spaces in text; in JSON the order of keys, deep nesting and control characters as well."""
    with database.session() as session:
        row = tagged(description=words, payload={"z": value, "a": 1, words: "\0"})
        session.add(row)
        session.flush()
        session.expire(row)
        assert row.description == words
        assert row.payload == {"z": value, "a": 1, words: "\0"}
        assert list(row.payload)[:2] == ["z", "a"] or words in ("z", "a")


def test_json_may_be_deeper_than_mariadb_reads_it(database: Database) -> None:
    """A value of depth 200 is kept, and None is NULL."""
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    with database.session() as session:
        session.add_all([tagged(payload=deep), tagged(payload=None)])
    with database.reading() as session:
        assert list(session.scalars(select(TaggedTask.payload).order_by(TaggedTask.id))) == [deep, None]
        assert session.scalar(text("SELECT COUNT(*) FROM tagged_tasks WHERE payload IS NULL")) == 1


def test_names_that_differ_in_a_letter_or_a_space_are_different(database: Database) -> None:
    """Text is compared letter by letter: no database takes "a", "A", "a " and "ä" for the same."""
    names = ["a", "A", "a ", "ä", "核心业务", "😀"]
    with database.session() as session:
        session.add_all(Tag(name=name) for name in names)
    with database.reading() as session:
        found = [session.scalars(select(Tag).where(Tag.name == name)).one().name for name in names]
        assert found == names
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(Tag(name="A"))


def test_a_uuid_comes_back_as_one(database: Database) -> None:
    """uuid.UUID in and out, and rows are ordered by it as its hexadecimal digits are."""
    ids = sorted(uuid4() for _ in range(20))
    with database.session() as session:
        session.add_all(todo(id=id_) for id_ in reversed(ids))
    with database.reading() as session:
        found = list(session.scalars(select(Todo.id).order_by(Todo.id)))
    assert found == ids
    assert all(isinstance(one, UUID) for one in found)


def test_foreign_keys_hold(database: Database) -> None:
    """A to-do of a batch that does not exist is refused; with its batch's end it belongs to none; a task's tags go."""
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(todo(batch_id=uuid4()))
    batch, task, tag = TodoBatch(id=uuid4(), created_at=NOW), tagged(), Tag(name="x")
    with database.session() as session:
        task.task_tags.append(TaskTag(tag=tag))
        session.add_all([batch, todo(batch=batch), task])
    with database.session() as session:
        session.execute(text("DELETE FROM todo_batches"))
        session.execute(text("DELETE FROM tagged_tasks"))
    with database.reading() as session:
        assert session.scalars(select(Todo.batch_id)).all() == [None]
        assert session.scalars(select(TaskTag)).all() == []


@pytest.mark.parametrize("values", [{"status": "Pending"}, {"priority": "urgent"}])
def test_words_that_are_none_are_refused(database: Database, values: dict[str, str]) -> None:
    """A status or priority that does not exist comes into no row, whoever writes it."""
    with pytest.raises(IntegrityError), database.session() as session:
        session.add(todo(**values))


def test_numbers_of_tagged_tasks_are_never_given_twice(database: Database) -> None:
    """The id of a deleted task is not the next one's."""
    with database.session() as session:
        session.add_all(found := [tagged(), tagged()])
    last = found[-1].id
    with database.session() as session:
        session.delete(session.get_one(TaggedTask, last))
    with database.session() as session:
        session.add(newer := tagged())
    assert newer.id > last
