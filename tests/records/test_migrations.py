"""The way to the tables: from nothing, alone, and only where it is ours to go."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, inspect, text

from databases import KINDS, ON_SERVERS, database_url, open_fresh
from service import environment
from taskspool.errors import RefusedToStart
from taskspool.records.database import Database, connect, open_database
from taskspool.records.migrations.env import VERSION_TABLE
from taskspool.records.revisions import Standing, configuration, newest, steps
from taskspool.records.tables import METADATA
from taskspool.settings import Settings

UPGRADE = """
import sys
from taskspool.records.database import Database
database = Database(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(database.upgrade()[0].value)
"""


def test_the_migrations_lead_to_the_tables_of_the_models(made: Database) -> None:
    """An upgrade from nothing makes just what the models say: tables, columns, types, indexes, keys."""
    with made.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE, "compare_type": True})
        assert compare_metadata(context, METADATA) == []


def test_the_migrations_make_what_alembic_does_not_compare(made: Database) -> None:
    """Checks, computed columns and what a deletion does to rows that point there are those of the models, too."""
    seen = inspect(made.engine)
    for table in METADATA.sorted_tables:
        checks = {one["name"] for one in seen.get_check_constraints(table.name)}
        assert checks == {one.name for one in table.constraints if isinstance(one, CheckConstraint)}, table.name
        computed = {column["name"] for column in seen.get_columns(table.name) if column.get("computed")}
        assert computed == {column.name for column in table.columns if column.computed}, table.name
        if made.dialect == "sqlite":  # which tells the words as they were given
            told = {column["name"]: column["computed"]["sqltext"] for column in seen.get_columns(table.name)
                    if column.get("computed")}
            assert told == {each.name: str(each.computed.sqltext) for each in table.columns if each.computed}
        rules = {one["name"]: one["options"].get("ondelete") for one in seen.get_foreign_keys(table.name)}
        wanted = {one.name: one.ondelete for one in table.foreign_key_constraints}
        assert {name: rule or "RESTRICT" for name, rule in rules.items()} == wanted, table.name


def test_revisions_are_one_line_and_each_says_what_it_does() -> None:
    """The history has no branches: each revision follows the one before, and has a sentence."""
    found = steps()
    assert [step.after for step in found] == [None, *(step.revision for step in found[:-1])]
    assert all(step.message for step in found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_two_processes_that_upgrade_at_once_both_succeed(kind: str, tmp_path: Path) -> None:
    """One makes the tables, the other waits and finds them made."""
    with database_url(kind, tmp_path) as url:
        both = [subprocess.Popen([sys.executable, "-c", UPGRADE, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, env=environment()) for _ in range(2)]
        assert [one.stdout.readline() for one in both if one.stdout] == ["ready\n"] * 2
        for one in both:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        said = [one.communicate(timeout=60) for one in both]
        assert sorted(out.strip() for out, _ in said) == ["current", "empty"], said
        database = Database(url)
        assert database.standing() == (Standing.CURRENT, newest())
        database.close()


def test_an_empty_file_gets_its_tables_at_the_first_start(tmp_path: Path) -> None:
    """Without a URL the database is taskspool.db below the root, made by itself, for its owner alone."""
    database = open_database(Settings(root=tmp_path / "outputs"))
    assert database.standing() == (Standing.CURRENT, newest())
    with database.session() as session:
        session.execute(text("INSERT INTO tagged_cursors VALUES ('a', 'b')"))
        files = sorted((tmp_path / "outputs").iterdir())
        assert [(path.name, path.stat().st_mode & 0o777) for path in files] == [
            (name, 0o600) for name in ("taskspool.db", "taskspool.db-shm", "taskspool.db-wal")]
    database.close()


@pytest.mark.parametrize("kind", ON_SERVERS)
def test_a_server_is_never_changed_silently(kind: str, tmp_path: Path) -> None:
    """A start on an empty database of a server is refused with the command, and the database stays empty."""
    with database_url(kind, tmp_path) as url:
        settings = Settings(root=tmp_path, database_url=url)
        with pytest.raises(RefusedToStart) as refused:
            open_database(settings)
        assert "taskspool db upgrade" in refused.value.hint
        database = connect(settings)
        assert inspect(database.engine).get_table_names() == []
        assert database.upgrade() == (Standing.EMPTY, None)
        database.close()
        open_database(settings).close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("revision", "words", "hint"), [
    ("9999", "newer version", "install that version"),
    ("0000", "older version", "taskspool db upgrade"),
])
def test_other_versions_tables_are_refused_with_what_to_do(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                           revision: str, words: str, hint: str) -> None:
    """A database of a newer version, and one of an older, an own file too: nothing is changed at a start."""
    with open_fresh(kind, tmp_path) as database:
        with database.session() as session:
            session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '{revision}'"))
        oldest = steps()[0]
        monkeypatch.setattr("taskspool.records.revisions.steps", lambda: [type(oldest)("0000", "", None), oldest])
        url = database.url.render_as_string(hide_password=False)
        with pytest.raises(RefusedToStart, match=words) as refused:
            open_database(Settings(root=tmp_path, database_url=url))
        assert hint in refused.value.hint
        assert database.standing()[1] == revision


@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_database_is_left_alone(kind: str, tmp_path: Path) -> None:
    """Tables of others in our file, or one of our names without a revision on a server: refused, also by an upgrade."""
    with database_url(kind, tmp_path) as url:
        database = Database(url)
        with database.session() as session:
            session.execute(text("CREATE TABLE todos (id INTEGER)"))
        assert database.upgrade() == (Standing.FOREIGN, None)
        assert inspect(database.engine).get_table_names() == ["todos"]
        database.close()
        with pytest.raises(RefusedToStart, match="not taskspool's"):
            open_database(Settings(root=tmp_path, database_url=url))


@pytest.mark.parametrize("kind", ON_SERVERS)
def test_a_server_may_hold_another_programs_tables(kind: str, tmp_path: Path) -> None:
    """Beside them ours are made: a server's database is often shared."""
    with database_url(kind, tmp_path) as url:
        database = Database(url)
        with database.session() as session:
            session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32))"))
        assert database.upgrade() == (Standing.EMPTY, None)
        assert database.standing() == (Standing.CURRENT, newest())
        database.close()


@pytest.mark.parametrize("kind", KINDS[:2])
def test_an_upgrade_that_fails_half_way_leaves_nothing(kind: str, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite and PostgreSQL an upgrade is one transaction: all tables, or none."""
    def stumble(*arguments: object) -> None:
        real(*arguments)
        raise KeyboardInterrupt

    real = command.upgrade
    monkeypatch.setattr("taskspool.records.revisions.command.upgrade", stumble)
    with database_url(kind, tmp_path) as url:
        database = Database(url)
        with pytest.raises(KeyboardInterrupt):
            database.upgrade()
        assert inspect(database.engine).get_table_names() == []
        database.close()


def test_alembic_finds_the_migrations_by_the_package() -> None:
    """No path of this tree is in the configuration: it works from an installed wheel, too."""
    assert configuration().get_main_option("script_location") == "taskspool.records:migrations"
