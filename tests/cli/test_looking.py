"""`ls`, `show`, `sweep`, `doctor`: looking at a folder, and what people and programs see."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from service import environment, taskspool
from taskspool.cli import care
from taskspool.cli.printing import age_text, json_text, safe, shown_width, table
from taskspool.clock import from_text


@pytest.mark.parametrize("verb", [["ls"], ["show", "x"], ["result", "x"], ["sweep"], ["doctor"]])
def test_looking_makes_no_queue(command, root, verb):
    """A wrong --root is said to hold no queue; nothing is made there."""
    done = command(*verb)
    assert done.code == 1
    assert "there is no queue" in done.err
    assert not root.exists()


def test_ls_shows_what_is_not_finished_under_counts(command):
    """A line of counts, then a table of what is held and what waits, in the order it will be claimed."""
    low = command("put", "b", "--priority", "low").out.strip()
    high = command("put", "a", "--priority", "high", "--requester", "me").out.strip()
    lines = command("ls").out.splitlines()
    assert lines[0].startswith("scheduled 0 · ready 2 · claimed 0")
    assert lines[2].split() == ["STATE", "ID", "TYPE", "AGE", "WORKER", "REQUESTER"]
    assert [line.split()[1:3] for line in lines[3:]] == [[high, "a"], [low, "b"]]


def test_ls_takes_a_state_a_type_and_a_limit(command):
    """STATE, --type and --limit choose; --json gives counts and tasks with the bridge's keys."""
    for name in ("a", "b", "a", "a"):
        command("put", name)
    found = command("ls", "ready", "--type", "a", "--limit", 2, "--json").json
    assert [task["type"] for task in found["tasks"]] == ["a", "a"]
    assert found["counts"]["ready"] == 4
    assert {"id", "type", "requester", "data", "status", "created_at", "assigned_to",
            "updated_at"} <= set(found["tasks"][0])
    assert command("ls", "done", "--json").json["tasks"] == []


def test_show_tells_everything(command):
    """A line for each thing known about the task, and its history."""
    task_id = command("put", "x", "n=1", "--max-retries", 3, "--group", "g", "--tag", "a", "--tag", "b", "--timeout",
                      "90").out.strip()
    lines, _, story = command("show", task_id).out.partition("\n\n")
    shown = dict(line.split(None, 1) for line in lines.splitlines())
    assert (shown["id"], shown["state"], shown["data"]) == (task_id, "ready", '{"n": 1}')
    assert shown["attempts"] == "0 of 4 failed"
    assert (shown["group"], shown["tags"], shown["timeout"]) == ("g", "a, b", "90 s")
    assert re.fullmatch(r"history \(UTC\)\n  [\d-]+ [\d:]+  submitted  by cli\n", story)


def test_doctor_finds_what_should_not_be(command, root, monkeypatch):
    """A sound folder: code 0. A task that is in two states at once: code 1 and a line; nothing is changed."""
    monkeypatch.setattr(care, "LOOK_AGAIN_SECONDS", 0.02)
    task_id = command("put", "x").out.strip()
    assert command("doctor").code == 0
    twin = root / "task_queue" / "done" / f"{task_id}.json"
    twin.write_bytes((root / "task_queue" / "tasks" / f"{task_id}.json").read_bytes())
    done = command("doctor", "--json")
    assert done.code == 1
    assert any(task_id in problem for problem in done.json["problems"])
    assert "problem" in command("doctor").out
    assert twin.exists()


def test_sweep_mends(command, root):
    """A file somebody dropped is adopted; a sound folder leaves nothing to do; --json gives numbers."""
    command("put", "x")
    task_id = "0190c0de-0000-7000-8000-000000000001"
    (root / "task_queue" / "tasks" / f"{task_id}.json").write_text('{"type": "ping", "data": {}}')
    assert command("sweep").code == 0
    assert command("show", task_id, "--json").json["type"] == "ping"
    assert command("sweep").out == "nothing to do\n"
    assert set(command("sweep", "--json").json) >= {"expired", "promoted", "adopted"}


def test_texts_from_outside_do_not_steer_the_terminal(command):
    """What a terminal would obey is written as an escape, in tables and in JSON, which stays JSON."""
    command("put", "x", "text=a\x1b]0;b\x07\u202e\x9b")
    out = command("ls", "--json").out
    assert out.replace("\n", "").isprintable()
    assert json.loads(out)["tasks"][0]["data"]["text"] == "a\x1b]0;b\x07\u202e\x9b"
    assert json.loads(json_text({"a": "\ud800 😀"})) == {"a": "\ud800 😀"}
    assert safe("a\nb") == "a\\u000ab"


@pytest.mark.parametrize("encoding", [
    "cp949", pytest.param("cp1252", marks=pytest.mark.slow), pytest.param("ascii", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_letters_the_console_lacks_are_no_error(root, encoding):
    """On a console of another code page `?` stands for what it cannot show, in tables and in errors."""
    def shown(*arguments: str) -> tuple[int, bytes]:
        done = subprocess.run([sys.executable, "-m", "taskspool", *arguments, "--root", root], capture_output=True,
                              env=environment(PYTHONUTF8="0", PYTHONIOENCODING=encoding), timeout=30)
        assert b"Traceback" not in done.stderr
        return done.returncode, done.stdout

    code, task_id = shown("put", "x", "icon=💬", "--requester", "é")
    assert code == 0
    assert [shown("ls")[0], shown("show", task_id.decode().strip())[0], shown("show", "💬é")[0]] == [0, 0, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes end differently there")
def test_a_reader_that_leaves_is_no_error(command, root, tmp_path):
    """`taskspool ls | head -1`: when the reader is gone the command ends without a word."""
    (tmp_path / "lines").write_text(f'{{"text": "{"x" * 500}"}}\n' * 500)
    command("put", "x", "--each", tmp_path / "lines")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "taskspool", "ls", "--json", "--limit", "500", "--root", root],
                          stdout=writing, stderr=subprocess.PIPE, env=environment(), timeout=30)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


@pytest.mark.slow
def test_colour_is_for_terminals(root):
    """No colours in a pipe; none on a terminal when NO_COLOR is set."""
    pty = pytest.importorskip("pty")
    taskspool("put", "x", "--root", root)
    assert "\x1b[" not in taskspool("ls", "--root", root).stdout

    def on_a_terminal(**more: str) -> bytes:
        near, far = pty.openpty()
        with subprocess.Popen([sys.executable, "-m", "taskspool", "ls", "--root", root], stdout=far, stderr=far,
                              stdin=far, env=environment(TERM="xterm", **more)) as shown:
            shown.wait(30)
        os.close(far)
        said = os.read(near, 65_536)
        os.close(near)
        return said

    assert b"\x1b[" in on_a_terminal(NO_COLOR="")
    assert b"\x1b[" not in on_a_terminal(NO_COLOR="1")


def test_columns_stand_below_each_other():
    """Letters of East Asia are two columns wide, accents that join are none."""
    assert [shown_width(text) for text in ("abc", "한글", "e\u0301")] == [3, 4, 1]
    lines = table(("A", "B"), [("한글", "x"), ("abcd", "y")]).splitlines()
    assert lines[1:] == ["한글  x", "abcd  y"]


def test_ages_are_short():
    """The largest unit that fits."""
    now = from_text("2026-01-02T00:00:00Z")
    texts = ["2026-01-01T23:59:48Z", "2026-01-01T23:57:00Z", "2026-01-01T19:00:00Z", "2025-12-01T00:00:00Z",
             "2026-01-03T00:00:00Z"]
    assert [age_text(from_text(text), now) for text in texts] == ["12s", "3m", "5h", "32d", "0s"]
