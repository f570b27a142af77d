"""A program that is to stop stops, and nothing of it is left."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from taskspool.worker.contact import Cancelled
from taskspool.worker.context import GiveUp, Retry
from taskspool.worker.guard import Guard
from taskspool.worker.program import Program
from waiting import eventually
from worker.programs import SLEEPER, Heard, Make, alive, maker


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    made = Guard(20.0)
    yield made
    made.close()


@pytest.fixture
def make(guard: Guard) -> Make:
    return maker(guard)


def stopped(program: Program, reason: Any) -> BaseException | None:
    """What ``run`` raises when it is told to stop after its first line of output."""
    heard, raised = Heard(), []

    def run() -> None:
        try:
            program.run({}, heard.context)
        except (Cancelled, Retry, GiveUp) as error:
            raised.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    eventually(lambda: heard.lines, 30)
    heard.contact.end(reason)
    runner.join(30)
    assert not runner.is_alive()
    return raised[0] if raised else None


@pytest.mark.parametrize("reason", ["cancelled", "timeout", "lease_lost", "shutdown"])
def test_a_wish_to_stop_ends_the_program_and_its_children(make: Make, guard: Guard, reason: str) -> None:
    """For whatever reason: SIGTERM, SIGKILL for who ignores it, and nobody is left, daemons included."""
    program = make(f"""
if sys.platform != 'win32': signal.signal(signal.SIGTERM, signal.SIG_IGN)
{SLEEPER.format("")}; {SLEEPER.format(", start_new_session=True")}
print('ready', flush=True); time.sleep(300)""", grace_seconds=0.1)
    assert isinstance(stopped(program, reason), Cancelled)
    assert alive(guard.mark) == []


def test_a_program_that_is_stopped_has_no_result(make: Make) -> None:
    """Many a program ends with 0 when it is told to end: that is not success."""
    program = make("""
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
if hasattr(signal, 'SIGBREAK'): signal.signal(signal.SIGBREAK, lambda *_: sys.exit(0))
print('ready', flush=True); time.sleep(300)""")
    assert isinstance(stopped(program, "shutdown"), Cancelled)


def test_one_that_is_to_stop_before_it_began_is_not_started(make: Make, tmp_path: Path) -> None:
    """No process, no trace."""
    heard = Heard()
    heard.contact.end("cancelled")
    with pytest.raises(Cancelled):
        make(f"open({str(tmp_path / 'ran')!r}, 'w')").run({}, heard.context)
    assert not (tmp_path / "ran").exists()


def test_what_a_program_leaves_running_ends_with_it(make: Make, guard: Guard) -> None:
    """Also when it succeeds, and though the one it left holds its stdout open."""
    program = make(f"{SLEEPER.format('')}; {SLEEPER.format(', start_new_session=True')}; print('done')")
    assert program.run({}, Heard().context) == "done"
    assert alive(guard.mark) == []


def test_many_run_at_once(make: Make, tmp_path: Path) -> None:
    """One handler serves all runners of a worker; each run has its own file and marks."""
    program, results = make(f"""
open(os.path.join({str(tmp_path)!r}, os.environ['TASKSPOOL_DATA']), 'w')
while len(os.listdir({str(tmp_path)!r})) < 3: time.sleep(0.01)
open(os.environ['TASKSPOOL_RESULT_FILE'], 'w').write(os.environ['TASKSPOOL_DATA'])"""), []
    runners = [threading.Thread(target=lambda n=n: results.append(program.run(n, Heard().context))) for n in range(3)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(30)
    assert sorted(results) == [0, 1, 2]


def test_closing_the_guard_leaves_nothing() -> None:
    """Its folder goes, what carries its mark goes, and so does it."""
    guard, heard = Guard(0.0), Heard()
    runner = threading.Thread(target=failing, args=[maker(guard)("print('ready', flush=True); time.sleep(300)"), heard])
    runner.start()
    eventually(lambda: heard.lines, 30)
    guard.close()
    assert alive(guard.mark) == []
    assert not guard.folder.exists()
    assert guard._process.poll() == 0
    runner.join(30)
    assert not runner.is_alive()


def failing(program: Program, heard: Heard) -> None:
    with pytest.raises(Retry):
        program.run({}, heard.context)
