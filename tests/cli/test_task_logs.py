"""taskspool logs: what a worker says, in the terminal, from the folder and from the bridge."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from service import environment
from taskspool.cli.task_logs import line_text
from taskspool.clock import from_text
from taskspool.engine.lifecycle import Failure, Queue, open_queue
from taskspool.engine.log_lines import LogLine
from taskspool.engine.task import Claim, NewTask
from taskspool.settings import Settings
from waiting import eventually


@pytest.fixture
def queue(root: Path) -> Iterator[Queue]:
    """The folder that the command looks into, open here too."""
    opened = open_queue(Settings(root=root, durability="fast"))
    yield opened
    opened.close()


def begun(queue: Queue) -> Claim:
    queue.enqueue(NewTask("x", {}))
    return queue.claim("w")[0]


def say(queue: Queue, claim: Claim, *lines: tuple[str, str]) -> None:
    queue.logs.append(claim.task.id, claim.lease.token, lines, None)


def test_what_was_said(queue: Queue, anywhere: Callable[..., Any]) -> None:
    """All lines so far, as they were said; with --after those behind a line; as JSON with all that is known."""
    claim = begun(queue)
    say(queue, claim, ("out", "a\tb"), ("err", "\x1b[31mred\x1b[0m"))
    shown = anywhere("logs", claim.task.id)
    assert (shown.code, shown.out) == (0, "a\tb\n\x1b[31mred\x1b[0m\n")
    assert anywhere("logs", claim.task.id, "--after", 0).out == "\x1b[31mred\x1b[0m\n"
    line = json.loads(anywhere("logs", claim.task.id, "--json").out.splitlines()[1])
    assert line.pop("at").endswith("Z")
    assert line == {"number": 1, "attempt": 1, "stream": "err", "text": "\x1b[31mred\x1b[0m"}


def test_following_ends_with_the_task(queue: Queue, anywhere: Callable[..., Any]) -> None:
    """-f tells what there is and ends: 0 when the task succeeded, 1 when it failed; without -f it is 0."""
    well, badly = begun(queue), begun(queue)
    for claim in (well, badly):
        say(queue, claim, ("out", "a"))
    queue.complete(well.task.id, well.lease.token, {})
    queue.fail(badly.task.id, badly.lease.token, Failure("no"))
    for claim, code in ((well, 0), (badly, 1)):
        shown = anywhere("logs", "-f", claim.task.id)
        assert (shown.code, shown.out, shown.err) == (code, "a\n", "")
    assert anywhere("logs", badly.task.id).code == 0


def test_no_such_task(queue: Queue, anywhere: Callable[..., Any]) -> None:
    """An unknown task is an error; one that has said nothing yet has an empty log."""
    unknown = anywhere("logs", "01936f5e-0000-7000-8000-000000000001")
    assert (unknown.code, "TASK_NOT_FOUND" in unknown.err) == (1, True)
    silent = anywhere("logs", begun(queue).task.id)
    assert (silent.code, silent.out, silent.err) == (0, "", "")


def test_lines_that_were_dropped_are_missed(root: Path, command: Callable[..., Any]) -> None:
    """When the oldest lines are gone, stderr says how many; the others are shown."""
    queue = open_queue(Settings(root=root, durability="fast", log_max_bytes=65_536))
    claim = begun(queue)
    for number in range(30):
        say(queue, claim, *[("out", f"{number * 100 + each} {'x' * 90}") for each in range(100)])
    queue.close()
    shown = command("logs", claim.task.id)
    first = int(shown.out.split()[0])
    assert first > 0
    assert shown.err == f"({first} older lines were dropped: the log grew too large)\n"


def test_on_a_terminal_nothing_steers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal would obey is shown as an escape, but for tabs; with --time each line says when and where."""
    line = LogLine(3, from_text("2026-01-31T12:00:00.123456Z"), 2, "err", "a\tb\x1b[2J\r\x85\u202e")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert line_text(line, with_time=False) == "a\tb\\u001b[2J\\u000d\\u0085\\u202e"
    assert line_text(line, with_time=True).startswith("2026-01-31 12:00:00.123  2 err  a\tb\\u001b")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
def test_following_a_folder_and_leaving(root: Path, queue: Queue, tmp_path: Path) -> None:
    """A command in another process tells each line soon after it was said; Ctrl-C ends it with one quiet line."""
    claim = begun(queue)
    said, errors = tmp_path / "said", tmp_path / "errors"
    with said.open("wb") as out, errors.open("wb") as err:
        reader = subprocess.Popen([sys.executable, "-m", "taskspool", "logs", "-f", claim.task.id, "--root", str(root)],
                                  stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environment())
    try:
        for number in range(3):
            say(queue, claim, ("out", f"line {number}"))
            eventually(lambda: len(said.read_text().splitlines()) == number + 1, 30, "it is told")  # noqa: B023
        reader.send_signal(signal.SIGINT)
        assert reader.wait(20) == 130
    finally:
        reader.kill()
        reader.wait()
    assert said.read_text() == "line 0\nline 1\nline 2\n"
    assert "Traceback" not in errors.read_text()
