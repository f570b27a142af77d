"""``taskspool db``: what is there, and the way to the newest, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from databases import ON_SERVERS, database_url, server_url
from taskspool.cli.main import run
from taskspool.records.database import Database, open_database
from taskspool.records.migrations.env import VERSION_TABLE
from taskspool.records.revisions import newest
from taskspool.settings import Settings

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """``taskspool db ARGUMENTS`` with a root of its own: (exit code, stdout, stderr)."""
    monkeypatch.setenv("TASKSPOOL_ROOT", str(tmp_path / "outputs"))

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = run(["db", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_upgrade_makes_the_tables_and_says_so(command: Command, tmp_path: Path) -> None:
    """From nothing to the newest; a second time there is nothing to do; then the doors start on it."""
    code, out, _ = command("upgrade")
    assert (code, f"from nothing to revision {newest()}" in out) == (0, True)
    code, out, _ = command("upgrade")
    assert (code, "nothing to do" in out) == (0, True)
    open_database(Settings(root=tmp_path / "outputs")).close()


def test_upgrade_tells_programs_what_was_there(command: Command) -> None:
    """--json: the database, the revision before and the one now."""
    before = json.loads(command("upgrade", "--json")[1])
    after = json.loads(command("upgrade", "--json")[1])
    assert (before["before"], before["revision"]) == (None, newest())
    assert after == before | {"before": newest()}
    assert before["database"].endswith("taskspool.db")


def test_current_makes_nothing(command: Command, tmp_path: Path) -> None:
    """Looking at a database that is not there is an error that names the file, and no file is made."""
    code, _, err = command("current")
    assert (code, "there is no database" in err, "taskspool db upgrade" in err) == (1, True, True)
    assert not (tmp_path / "outputs").exists()


def test_current_says_whether_it_is_the_newest(command: Command) -> None:
    """Exit code 0 for this version's tables, 1 for none."""
    command("upgrade")
    code, out, _ = command("current")
    assert (code, f"{newest()}, current" in out) == (0, True)
    assert json.loads(command("current", "--json")[1])["state"] == "current"


def test_current_of_a_newer_database_is_told_and_upgrade_refused(command: Command, tmp_path: Path) -> None:
    """Exit code 1 for a look, 2 for a refusal; nothing is changed."""
    command("upgrade")
    database = Database(f"sqlite:///{tmp_path}/outputs/taskspool.db")
    with database.session() as session:
        session.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'future'"))
    database.close()
    code, out, _ = command("current")
    assert (code, "future, newer" in out) == (1, True)
    code, _, err = command("upgrade")
    assert (code, "newer version than this one" in err) == (2, True)
    assert "future" in command("current")[1]


def test_history_lists_every_revision(command: Command) -> None:
    """The newest first, each with what it does."""
    code, out, _ = command("history")
    assert (code, "0001" in out, "The first tables" in out) == (0, True, True)
    assert json.loads(command("history", "--json")[1])[-1]["after"] is None


def test_a_url_that_cannot_be_used_is_a_usage_error(command: Command) -> None:
    """Exit code 2, a sentence and a hint, and never the password."""
    for url in ("oracle://u:Geheim-1@h/d", "no url", "postgresql://u:Geheim-1@127.0.0.1:1/d"):
        code, out, err = command("upgrade", "--database-url", url)
        assert (code, "hint:" in err, "Geheim-1" in out + err) == (2, True, False), err


@pytest.mark.parametrize("kind", ON_SERVERS)
def test_a_server_is_upgraded_by_url(command: Command, kind: str, tmp_path: Path) -> None:
    """--database-url names it; the password is not shown."""
    with database_url(kind, tmp_path) as url:
        code, out, _ = command("upgrade", "--database-url", url)
        assert (code, f"at {server_url(kind).host}" in out) == (0, True)
        assert command("current", "--database-url", url)[0] == 0
