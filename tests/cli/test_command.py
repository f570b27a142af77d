"""The command as a whole: exit codes, help, errors, completion, log lines."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys

import pytest

from service import environment, taskspool
from taskspool import errors
from taskspool.cli.codes import MEANINGS, ExitCode, code_of
from taskspool.cli.logs import JsonLines, TextLines
from taskspool.cli.main import run
from taskspool.cli.main import taskspool as group

ALL_ERRORS = [kind for kind in vars(errors).values()
              if isinstance(kind, type) and issubclass(kind, errors.TaskspoolError)]


def test_exit_codes_are_documented_where_people_look():
    """`taskspool --help` ends with the table of exit codes, and every code has a meaning."""
    said = taskspool("--help").stdout
    assert set(MEANINGS) == set(ExitCode)
    for code, meaning in MEANINGS.items():
        assert f"{code.value}  {meaning}" in said


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_is_one_line_and_a_code(kind, monkeypatch, capsys):
    """Whatever the engine raises: `error: message (CODE)`, the hint below, its exit code, never a traceback."""
    def fail(*_: object, **__: object) -> None:
        raise kind("it did\nnot work", hint="try this")

    monkeypatch.setattr(group, "main", fail)
    code = run([])
    assert capsys.readouterr().err == f"error: it did\\u000anot work ({kind.code})\n  hint: try this\n"
    assert code == code_of(kind("")) != ExitCode.OK


def test_errors_have_the_codes_of_the_table():
    """Not found 1, usage and refusals 2, unreachable and full disks 3, pending 4."""
    expected = {errors.TaskNotFound: 1, errors.LeaseLost: 1, errors.IdempotencyConflict: 1, errors.InvalidRequest: 2,
                errors.PayloadTooLarge: 2, errors.RefusedToStart: 2, errors.ServerUnreachable: 3,
                errors.StoreUnavailable: 3, errors.StoreFull: 3, errors.ResultPending: 4}
    assert {kind: int(code_of(kind(""))) for kind in expected} == expected


@pytest.mark.parametrize("arguments", [
    ["nonsense"], ["ls", "nowhere"], ["show"], ["ls", "--limit", "0"], [], ["serve", "kitchen"],
    ["serve", "--port", "99999"], ["work", "--concurrency", "0"]])
def test_wrong_usage_is_code_2(arguments, capsys):
    """A word on what is wrong and where to read on, on stderr; stdout stays empty."""
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "error: " in said.err or "Usage: " in said.err


def test_settings_from_the_environment_are_checked(monkeypatch, capsys):
    """A variable that breaks its rule is named, code 2."""
    monkeypatch.setenv("TASKSPOOL_LEASE_SECONDS", "soon")
    assert run(["put", "x"]) == 2
    assert "TASKSPOOL_LEASE_SECONDS" in capsys.readouterr().err


def test_the_version_is_told():
    """`taskspool --version` names the program and ends well."""
    done = taskspool("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "taskspool")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_are_taught_to_complete(shell):
    """`taskspool completion SHELL` prints a script for it."""
    done = taskspool("completion", shell)
    assert done.returncode == 0, done.stderr
    assert "_TASKSPOOL_COMPLETE" in done.stdout


def test_completion_completes():
    """What the script asks for is answered: commands, states."""
    said = subprocess.run([sys.executable, "-m", "taskspool"], capture_output=True, text=True, timeout=30,
                          env=environment(_TASKSPOOL_COMPLETE="bash_complete", COMP_WORDS="taskspool ls d",
                                          COMP_CWORD="2")).stdout
    assert set(said.split()) == {"plain,done", "plain,dead"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="this machine has no bash")
def test_the_bash_script_is_bash():
    """bash reads the script for bash without an error."""
    script = taskspool("completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True, timeout=30).returncode == 0


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": message, "name": "taskspool.x", "levelno": 20, "levelname": "INFO",
                                  "created": 0.5, **extra})


def test_a_log_event_is_one_line():
    """What a client sent cannot begin a line of its own, nor steer a terminal, in either format."""
    event = record("GET /a\nfaked \x1b[2J", request_id="7")
    text, line = TextLines().format(event), JsonLines().format(event)
    assert text == "1970-01-01T00:00:00.500000Z info    taskspool.x: GET /a\\u000afaked \\u001b[2J request_id=7"
    assert "\n" not in line
    assert json.loads(line) == {"time": "1970-01-01T00:00:00.500000Z", "level": "info", "logger": "taskspool.x",
                                "message": "GET /a\nfaked \x1b[2J", "request_id": "7"}


def test_an_exception_in_the_log_is_one_line_too():
    """A traceback is folded into its event."""
    try:
        raise ValueError("a\nb")
    except ValueError:
        event = record("it failed", exc_info=sys.exc_info())
    assert "\n" not in TextLines().format(event)
    assert "ValueError" in json.loads(JsonLines().format(event))["exception"]
