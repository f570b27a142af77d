"""``taskspool work``: how a worker is told how to work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from cli.conftest import Done
from taskspool.cli.codes import ExitCode
from taskspool.cli.work_options import SIZE

FATES = Path(__file__).parents[1] / "worker" / "fates.py"


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("512K", 512 << 10), ("64m", 64 << 20), ("2GiB", 2 << 30),
                                            ("1TB", 1 << 40)])
def test_a_size_is_bytes_or_has_a_unit_of_1024(text: str, size: int) -> None:
    """As people type it."""
    assert SIZE.convert(text, None, None) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5G", "12X", "M", "9" * 20])
def test_what_is_no_size_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(click.BadParameter, match="like 512M, 2G"):
        SIZE.convert(text, None, None)


@pytest.mark.parametrize(("arguments", "says"), [
    (["--limit", "ping"], "is not TYPE=N"), (["--limit", "ping=0"], "is not TYPE=N"), (["--limit", "=2"], "TYPE=N"),
    (["--limit", "nobody=1"], "which this worker does not do"),
    (["--max-memory", "much"], "like 512M, 2G"), (["--max-tasks", "0"], "--max-tasks"),
    (["--executor", "fibre"], "--executor"), (["--grace", "-1"], "--grace"),
    (["--executor", "process", "--exec", "--type", "t", "--", "python", "-c", "0"], "come from no module"),
])
def test_an_option_that_makes_no_sense_refuses_the_start(command: Callable[..., Done], arguments: list[str],
                                                         says: str) -> None:
    """Before anything is claimed, with the option and the rule."""
    done = command("work", "--once", *arguments)
    assert (done.code, says in done.err) == (ExitCode.USAGE, True), done.err


def test_a_worker_that_has_done_enough_says_so_with_its_code(command: Callable[..., Done]) -> None:
    """Code 5 and a line that names the option; what it did not begin waits."""
    for _ in range(3):
        assert command("put", "soon").code == 0
    done = command("work", "--handlers", FATES, "--max-tasks", "2", "--concurrency", "2", "--limit", "soon=1")
    assert (done.code, "--max-tasks" in done.err) == (ExitCode.RECYCLED, True), done.err
    assert [task["status"] for task in command("ls", "all", "--json").json["tasks"]].count("pending") == 1


def test_handlers_run_in_processes_when_that_is_asked_for(command: Callable[..., Done]) -> None:
    """What they print is in the log of their task."""
    task_id = command("put", "fine").out.strip()
    assert command("work", "--handlers", FATES, "--executor", "process", "--once", "--grace", "20s").code == 0
    assert "on stdout" in command("logs", task_id).out
