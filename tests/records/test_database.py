"""Sessions: all or nothing, one instant, no update lost, and what a failure of the database is told as."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from databases import DATABASES, ON_SERVERS, database_url, open_fresh, server_url, tell
from service import environment
from taskspool.errors import RefusedToStart, StoreFull, StoreUnavailable
from taskspool.records.database import TRIES, Database, is_healthy, open_database
from taskspool.records.failures import Contended
from taskspool.records.models.tagged import TaggedCursor, TaggedTombstone
from taskspool.records.models.todos import Todo
from taskspool.settings import Settings

NOW = datetime(2026, 11, 23, 5, 21, 15, 510313, tzinfo=UTC)
WRITERS = 4
ROUNDS = 10


def add(database: Database, name: str = "n", value: str = "0") -> None:
    with database.session() as session:
        session.add(TaggedCursor(name=name, value=value))


def value_of(database: Database, name: str = "n") -> str | None:
    with database.reading() as session:
        return session.scalar(select(TaggedCursor.value).where(TaggedCursor.name == name))


def count_up(session: Session) -> None:
    row = session.get_one(TaggedCursor, "n", with_for_update=True)
    row.value = str(int(row.value) + 1)


def many_times(database: Database, times: int = ROUNDS) -> None:
    for _ in range(times):
        database.run(count_up)


def test_a_session_is_all_or_nothing(database: Database) -> None:
    """What is raised inside undoes all of it, and goes through unchanged."""
    with pytest.raises(KeyError), database.session() as session:
        session.add(TaggedCursor(name="n", value="0"))
        session.flush()
        raise KeyError
    assert value_of(database) is None


def test_rows_stay_readable_after_their_session(database: Database) -> None:
    """A view may build its answer when the transaction is over."""
    with database.session() as session:
        session.add(row := TaggedCursor(name="n", value="0"))
    assert row.value == "0"


def test_writers_at_once_lose_no_update(database: Database) -> None:
    """Threads that read a row for update, change it and write it back: every one of them counts."""
    add(database)
    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(many_times, database) for _ in range(WRITERS)]:
            done.result()
    assert value_of(database) == str(WRITERS * ROUNDS)


def test_processes_on_one_file_lose_no_update(tmp_path: Path) -> None:
    """Two openings of one file, as two processes have them: SQLite's own lock keeps them apart."""
    with open_fresh("sqlite", tmp_path) as first:
        second = Database(first.url.render_as_string())
        add(first)
        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(many_times, each) for each in (first, second)]:
                done.result()
        second.close()
        assert value_of(first) == str(2 * ROUNDS)


def test_a_writer_on_a_file_has_it_to_itself_from_its_first_look(tmp_path: Path) -> None:
    """What a writing session has read stays true until it ends: another program's writer is kept out, readers are not.
    """
    with open_fresh("sqlite", tmp_path) as database, closing(
            sqlite3.connect(str(database.url.database), timeout=0, isolation_level=None)) as other:
        with database.session() as session:
            session.execute(select(TaggedCursor)).all()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            assert value_of(database) is None
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def test_a_reading_session_sees_one_instant(database: Database) -> None:
    """What others commit between two looks is not seen by the second; nobody waits for the other."""
    add(database)
    with database.reading() as session:
        before = session.scalar(select(TaggedCursor.value))
        database.run(count_up)
        assert session.scalar(select(TaggedCursor.value)) == before == "0"
    assert value_of(database) == "1"


def test_a_reading_session_changes_nothing(database: Database) -> None:
    """The database itself refuses a write there."""
    with pytest.raises(DBAPIError), database.reading() as session:
        session.execute(text("INSERT INTO tagged_cursors (name, value) VALUES ('n', '0')"))
        session.commit()
    assert value_of(database) is None


@pytest.mark.parametrize("kind", ON_SERVERS)
def test_a_deadlock_is_run_again(kind: str, tmp_path: Path) -> None:
    """Two writers that take two rows in opposite order: the database undoes one, and its whole function runs again."""
    with open_fresh(kind, tmp_path) as database:
        add(database, "a")
        add(database, "b")
        both_hold_one = threading.Barrier(2)
        runs = []

        def take(first: str, second: str) -> None:
            is_first_run = threading.Event()

            def function(session: Session) -> None:
                runs.append(first)
                session.get_one(TaggedCursor, first, with_for_update=True).value += first
                session.flush()
                if not is_first_run.is_set():
                    is_first_run.set()
                    both_hold_one.wait(10)
                session.get_one(TaggedCursor, second, with_for_update=True).value += first

            database.run(function)

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(take, "a", "b"), pool.submit(take, "b", "a")]:
                done.result()
        assert len(runs) > 2
        assert {"".join(sorted(value_of(database, name) or "")) for name in ("a", "b")} == {"0ab"}


def test_a_lock_that_is_not_given_is_told_as_contention(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that does not let go of the file: 503 after the patience, tried again by ``run``."""
    monkeypatch.setattr("taskspool.records.connections.BUSY_SECONDS", 0.01)
    monkeypatch.setattr("taskspool.records.database.PAUSE_SECONDS", 0.0)
    with database_url("sqlite", tmp_path) as url:
        database = Database(url)
        database.upgrade()
        holder = sqlite3.connect(str(database.url.database), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        tries = []

        def write(session: Session) -> None:
            tries.append(1)
            session.add(TaggedCursor(name="m", value="0"))

        with pytest.raises(Contended) as refused:
            database.run(write)
        assert (refused.value.status, refused.value.code, len(tries)) == (503, "STORE_UNAVAILABLE", TRIES)
        holder.close()
        add(database)
        database.close()


@pytest.mark.parametrize("kind", ON_SERVERS)
def test_a_connection_that_was_cut_between_two_calls_is_made_anew(kind: str, tmp_path: Path) -> None:
    """A server that restarted, or an administrator who ended our connection: the next call works."""
    with open_fresh(kind, tmp_path) as database:
        add(database)
        cut(kind, database)
        assert is_healthy(database)
        database.run(count_up)
        assert value_of(database) == "1"


@pytest.mark.parametrize("kind", ON_SERVERS)
def test_a_connection_that_is_cut_during_a_call_is_told_as_503(kind: str, tmp_path: Path) -> None:
    """Nothing was acknowledged; the message tells no stranger where the database is, and the next call works."""
    with open_fresh(kind, tmp_path) as database:
        add(database)
        with pytest.raises(StoreUnavailable) as refused, database.session() as session:
            count_up(session)
            session.flush()
            cut(kind, database)
            session.execute(text("SELECT 1"))
        assert (refused.value.status, type(refused.value)) == (503, StoreUnavailable)
        assert refused.value.message == "the database is not available"
        assert value_of(database) == "0"


def cut(kind: str, database: Database) -> None:
    """End every connection to the database, as an administrator does."""
    server = server_url(kind)
    name = database.url.database
    if kind == "postgresql":
        tell(server, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        return
    engine = create_engine(server)
    with engine.connect() as connection:
        for (number,) in connection.execute(text(
                f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")).all():
            connection.execute(text(f"KILL {number}"))
    engine.dispose()


def test_a_full_disk_is_told_as_507(tmp_path: Path) -> None:
    """No room: nothing is kept of it, what stands stays readable, and with room it goes on."""
    with open_fresh("sqlite", tmp_path) as database:
        add(database)
        with database.engine.connect() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFull) as refused, database.session() as session:
            session.add(TaggedCursor(name="big", value="x" * 100_000))
        assert refused.value.status == 507
        assert (value_of(database), value_of(database, "big")) == ("0", None)


def test_a_file_that_was_removed_is_not_healthy(tmp_path: Path) -> None:
    """An open file answers on after it is gone; who asks for its health is told the truth."""
    with open_fresh("sqlite", tmp_path) as database:
        assert is_healthy(database)
        Path(str(database.url.database)).unlink()
        assert not is_healthy(database)


@pytest.mark.parametrize(("durability", "synchronous"), [("strict", 2), ("fast", 1)])
def test_sqlite_keeps_what_the_durability_asks_for(tmp_path: Path, durability: str, synchronous: int) -> None:
    """strict: every commit is on the disk (FULL); fast: NORMAL. Always a write-ahead log, and foreign keys on."""
    database = open_database(Settings(root=tmp_path, durability=durability))  # type: ignore[arg-type]
    with database.engine.connect() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in (
            "synchronous", "journal_mode", "foreign_keys")]
    database.close()
    assert found == [synchronous, "wal", 1]


# -- what is refused at the start ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("url", "words", "hint"), [
    ("nonsense", "cannot be read", "postgresql://user:password@host/name"),
    ("oracle://u:secret@h/d", "no database of the kind 'oracle'", "mariadb://"),
    ("postgresql+asyncpg://u:secret@h/d", "driver 'asyncpg' is not used", "leave it out"),
    ("postgresql://u:secret@h", "names no database", "postgresql://"),
    ("postgresql://u:secret@h:port/d", "cannot be read", "postgresql://"),
    ("sqlite://", "in memory", "sqlite:///"),
    ("sqlite:///file:x?mode=memory", "in memory", "sqlite:///"),
    ("postgresql://u:secret@127.0.0.1:1/d", "at 127.0.0.1:1 is not available", "is the server running"),
    ("mariadb://u:secret@127.0.0.1:1/d", "at 127.0.0.1:1 is not available", "is the server running"),
])
def test_a_url_that_leads_nowhere_is_refused_in_a_sentence(tmp_path: Path, url: str, words: str, hint: str) -> None:
    """The message says what is wrong and the hint what would be right; the password is in neither."""
    with pytest.raises(RefusedToStart) as refused:
        open_database(Settings(root=tmp_path, database_url=url))
    assert words in refused.value.message
    assert hint in refused.value.hint
    assert "secret" not in f"{refused.value.message} {refused.value.hint}"


def test_a_wrong_password_is_refused_without_showing_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the message nor the log has it, also where the server repeats it, being the user's name as well."""
    server = server_url("mariadb").set(username="Geheim-123", password="Geheim-123")
    with pytest.raises(RefusedToStart, match="not available") as refused:
        open_database(Settings(root=tmp_path, database_url=server.render_as_string(hide_password=False)))
    assert "Geheim-123" not in refused.value.message + caplog.text


@pytest.mark.parametrize("content", [b"this is not a database, it is a letter", b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """A foreign or torn file: a clear sentence, and not a byte of it is changed."""
    path = tmp_path / "taskspool.db"
    path.write_bytes(content)
    with pytest.raises(RefusedToStart, match="cannot be used"):
        open_database(Settings(root=tmp_path))
    assert path.read_bytes() == content


def test_a_torn_database_is_refused(tmp_path: Path) -> None:
    """A file of ours whose first table was overwritten is told apart from an empty one."""
    open_database(Settings(root=tmp_path)).close()
    path = tmp_path / "taskspool.db"
    content = bytearray(path.read_bytes())
    content[100:4096] = b"\xff" * 3996
    path.write_bytes(content)
    with pytest.raises(RefusedToStart, match=r"taskspool\.db"):
        open_database(Settings(root=tmp_path))


def test_a_folder_in_the_files_place_is_refused(tmp_path: Path) -> None:
    """The reason of the system stands in the message."""
    (tmp_path / "taskspool.db").mkdir()
    with pytest.raises(RefusedToStart, match="Is a directory"):
        open_database(Settings(root=tmp_path))


def test_a_driver_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip install 'taskspool[postgres]', or [mariadb]."""
    def missing(*_arguments: object, **_options: object) -> None:
        raise ModuleNotFoundError

    monkeypatch.setattr("taskspool.records.connections.create_engine", missing)
    for url, extra in (("postgresql://h/d", "[postgres]"), ("mariadb://h/d", "[mariadb]")):
        with pytest.raises(RefusedToStart, match="is not installed") as refused:
            Database(url)
        assert extra in refused.value.hint


def test_a_session_may_write_many_rows_at_once(database: Database) -> None:
    """A thousand to-dos in one transaction, each with its ranks and its text to search."""
    with database.session() as session:
        session.add_all(Todo(id=UUID(int=number + 1), title=f"T{number}", created_at=NOW, updated_at=NOW,
                             priority="high") for number in range(1000))
    with database.reading() as session:
        ranks = select(func.count(), func.min(Todo.priority_rank), func.max(Todo.status_rank))
        assert session.execute(ranks).one() == (1000, 2, 0)


# -- several at once, and killed in the middle -----------------------------------------------------------------------


def test_many_who_start_at_once_on_no_file_all_start(tmp_path: Path) -> None:
    """The file, its log and its tables are made once; nobody is refused for being early."""
    together = threading.Barrier(6)

    def start() -> bool:
        together.wait(10)
        database = open_database(Settings(root=tmp_path / "new"))
        try:
            return is_healthy(database)
        finally:
            database.close()

    with ThreadPoolExecutor(6) as pool:
        assert [done.result() for done in [pool.submit(start) for _ in range(6)]] == [True] * 6


PAIRS = """
import sys, uuid
from datetime import UTC, datetime
from taskspool.records.database import Database
from taskspool.records.models.tagged import TaggedCursor, TaggedTombstone
database = Database(sys.argv[1])
def pair(session):
    name = uuid.uuid4().hex
    session.add(TaggedCursor(name=name, value=""))
    session.flush()
    session.add(TaggedTombstone(uuid=name, at=datetime.now(UTC)))
    return name
while True:
    print(database.run(pair), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", DATABASES)
def test_a_killed_writer_leaves_whole_transactions(kind: str, tmp_path: Path) -> None:
    """kill -9 in the middle of writing: what was told as done is there, no half of a pair is, and writing goes on."""
    with open_fresh(kind, tmp_path) as database:
        url = database.url.render_as_string(hide_password=False)
        told: set[str] = set()
        for number in range(int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "2"))):
            writers = [subprocess.Popen([sys.executable, "-c", PAIRS, url], stdout=subprocess.PIPE, text=True,
                                        env=environment()) for _ in range(2)]
            for writer in writers:
                assert writer.stdout is not None
                told |= {writer.stdout.readline().strip() for _ in range(5 + number)}
                writer.kill()
                told |= {line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
                writer.wait(10)
        add(database)
        with database.reading() as session:
            first = set(session.scalars(select(TaggedCursor.name))) - {"n"}
            second = set(session.scalars(select(TaggedTombstone.uuid)))
        assert first == second
        assert told - {""} <= first
