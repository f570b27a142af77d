"""``taskspool work --exec``: a program as a worker, on the folder and over HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from live_bridge import live_bridge
from service import Services, services, taskspool
from taskspool.cli.main import run
from taskspool.engine.lifecycle import Queue
from taskspool.engine.task import State
from taskspool.worker.guard import Guard
from taskspool.worker.handlers import Handlers
from taskspool.worker.process_tree import MARK
from taskspool.worker.source import WorkSource
from waiting import eventually
from worker.at_work import at_work, put, result, source_of, state
from worker.programs import POSIX, SLEEPER, Make, alive, maker

STUBBORN = f"""
if sys.platform != 'win32': signal.signal(signal.SIGTERM, signal.SIG_IGN)
{SLEEPER.format(", start_new_session=True")}
print('ready', flush=True); time.sleep(300)"""


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    made = Guard(20.0)
    yield made
    made.close()


@pytest.fixture
def make(guard: Guard) -> Make:
    return maker(guard)


@pytest.fixture(params=["folder", "http"])
def source(request: pytest.FixtureRequest, queue: Queue, root: Path) -> Iterator[WorkSource]:
    with source_of(request.param, queue, root) as made:
        yield made


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Services]:
    with services(tmp_path) as made:
        yield made


def lines(queue: Queue, task_id: str) -> list[str]:
    return [f"{line.stream}: {line.text}" for line in queue.logs.read(task_id, -1, 100).lines]


def began(queue: Queue, task_id: str) -> bool:
    """Whether its first line has come all the way to the queue's log."""
    return "out: ready" in lines(queue, task_id)


def test_each_exit_code_has_its_fate(make: Make, queue: Queue, source: WorkSource) -> None:
    """0, failure with a retry, try again later, give up: what the queue makes of them, and the log beside it."""
    program = make("""
task = json.load(sys.stdin)
if task["attempt"] == 1: print("why", file=sys.stderr); print("retry_after=0"); sys.exit(task["data"]["code"])
print(json.dumps({"attempt": task["attempt"], "before": task["previous_error"]}))""", grace_seconds=0.1)
    with at_work(source, Handlers({"job": program.run})):
        tasks = {code: put(queue, "job", {"code": code}, max_retries=1) for code in (1, 75, 65)}
        found = {code: result(queue, task_id) for code, task_id in tasks.items()}
    assert {code: (each.status, each.data, each.error_message) for code, each in found.items()} == {
        1: ("success", {"attempt": 2, "before": "why (exit code 1)"}, None),
        75: ("success", {"attempt": 2, "before": "why (exit code 75)"}, None),
        65: ("error", None, "why (exit code 65)"),
    }
    assert sorted(lines(queue, tasks[65])) == ["err: why", "out: retry_after=0"]


def test_a_cancel_ends_the_program(make: Make, guard: Guard, queue: Queue, source: WorkSource) -> None:
    """Also one that ignores it, with its daemon; the task ends as cancelled, and its history says who wanted that."""
    with at_work(source, Handlers({"job": make(STUBBORN, grace_seconds=0.1).run})):
        task_id = put(queue, "job")
        eventually(lambda: began(queue, task_id), 30)
        queue.cancel(task_id, by="somebody", reason="no longer needed")
        eventually(lambda: state(queue, task_id) is State.CANCELLED, 30)
        assert alive(guard.mark) == []


@pytest.mark.slow
def test_a_timeout_ends_the_program_before_its_next_attempt(make: Make, guard: Guard, queue: Queue,
                                                            source: WorkSource) -> None:
    """When the queue is told, nothing of the program is left."""
    with at_work(source, Handlers({"job": make(STUBBORN).run})):
        task_id = put(queue, "job", timeout_seconds=1.0)
        assert "1 s" in str(result(queue, task_id).error_message)
        eventually(lambda: alive(guard.mark) == [], 30)


def test_a_stopping_worker_gives_the_task_back(make: Make, guard: Guard, queue: Queue, source: WorkSource) -> None:
    """The program had the worker's grace; the task waits again, and has lost no attempt."""
    with at_work(source, Handlers({"job": make(STUBBORN, grace_seconds=0.1).run})):
        task_id = put(queue, "job")
        eventually(lambda: began(queue, task_id), 30)
    assert alive(guard.mark) == []
    assert (state(queue, task_id), queue.task(task_id).task.attempts) == (State.READY, 0)


def marks_of(worker: int) -> str:
    """The mark of the programs that ``worker`` has started, as its guard knows it."""
    for child in psutil.Process(worker).children():
        arguments = child.cmdline()
        if "taskspool.worker.guard" in arguments:
            return arguments[arguments.index("taskspool.worker.guard") + 1]
    return ""


@POSIX
def test_nothing_outlives_a_worker_that_was_killed(queue: Queue, root: Path, running: Services) -> None:
    """kill -9 for the worker: its programs and their daemons end, its folder goes, its task comes back."""
    text = "import os, signal, subprocess, sys, time\n" + STUBBORN
    service = running.worker("--root", root, "--grace", "0.1", "--exec", "--type", "job", "--", sys.executable, "-c",
                             text)
    task_id = put(queue, "job")
    eventually(lambda: began(queue, task_id), 30, service.said())
    worker, mark = service.process.pid, marks_of(service.process.pid)
    folder = Path(str(program_environ(mark)["TASKSPOOL_RESULT_FILE"])).parents[1]
    assert len(alive(mark)) == 2
    psutil.Process(worker).kill()
    eventually(lambda: alive(mark) == [] and not folder.exists(), 30)
    eventually(lambda: state(queue, task_id) in (State.READY, State.SCHEDULED, State.DEAD), 30)


def program_environ(mark: str) -> dict[str, str]:
    return psutil.Process(alive(mark)[0]).environ()


def test_the_command_works_on_the_folder_and_over_http(queue: Queue, root: Path) -> None:
    """The same command line, with --root or --url; the program may itself use taskspool."""
    text = "import json, sys; task = json.load(sys.stdin); print(json.dumps({'by': task['worker'], **task['data']}))"
    program = ["--once", "--name", "me", "--exec", "--type", "job", "--type", "other", "--", sys.executable, "-c", text]
    with live_bridge(root) as bridge:
        on_folder = put(queue, "job", {"n": 1})
        assert run(["work", "--root", str(root), *program]) == 0
        assert result(queue, on_folder).data == {"by": "me", "n": 1}
        over_http = bridge.submit("other", {"n": 2})  # the bridge's own: it is asked once, and knows of it
        assert run(["work", "--url", bridge.url, *program]) == 0
        assert result(queue, over_http).data == {"by": "me", "n": 2}


@pytest.mark.slow
def test_a_program_may_use_taskspool_itself(root: Path) -> None:
    """What it is told in its environment does not get in the way of the command it calls."""
    taskspool("put", "job", TASKSPOOL_ROOT=str(root))
    child = [sys.executable, "-m", "taskspool", "put", "child"]
    done = taskspool("work", "--once", "--exec", "--type", "job", "--", *child, TASKSPOOL_ROOT=str(root))
    listed = json.loads(taskspool("ls", "all", "--json", TASKSPOOL_ROOT=str(root)).stdout)
    assert {task["type"]: task["state"] for task in listed["tasks"]} == {"job": "done", "child": "ready"}, done.stderr


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["--exec"], 2, "--exec needs a program"),
    (["--exec", "--", "ls"], 2, "--type TYPE"),
    (["ls"], 2, "--exec --type TYPE -- CMD"),
    (["--type", "job"], 2, "go with --exec"),
    (["--no-directives"], 2, "go with --exec"),
    (["--exec", "--type", "job", "--handlers", "jobs.py", "--", "ls"], 2, "exclude each other"),
    (["--exec", "--type", "job", "--executor", "process", "--", sys.executable], 2, "thread"),
    (["--exec", "--type", "job", "--", "no-such-program-anywhere"], 2, "is not found"),
    (["--exec", "--type", "", "--", sys.executable], 2, "type"),
])
def test_what_makes_no_sense_is_refused_at_the_start(capsys: pytest.CaptureFixture[str], root: Path,
                                                     arguments: list[str], code: int, words: str) -> None:
    """A clear word, and no worker that waits for what never comes."""
    assert run(["work", "--root", str(root), *arguments]) == code
    assert words in capsys.readouterr().err


def test_the_mark_of_this_test_is_not_inherited() -> None:
    """These tests look for processes by their mark: their own would be found too."""
    assert MARK not in os.environ
