"""Real processes on one folder: each task handed out once, zombies fenced off, the dead noticed at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_clock import FakeClock
from faults.forks import needs_fork
from faults.verdict import queue_on
from taskspool.engine import files
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.sweep import Lookout, Sweeper
from taskspool.engine.task import NewTask, State
from taskspool.settings import Settings
from waiting import eventually

pytestmark = needs_fork
HERE = Path(__file__).parent
PROCESSES = 8
TASKS = int(os.environ.get("TASKSPOOL_TEST_ROUNDS", "10000"))


class Worker:
    """A process that runs one of the stories in ``race_worker.py``; spoken to line by line."""

    def __init__(self, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "race_worker.py"), *map(str, arguments)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])})

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def say(self, line: str = "go") -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def is_stopped(self) -> bool:
        return Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def end(self) -> str:
        """What it still says until it ends by itself; killed if it does not."""
        try:
            rest, _ = self._process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        return rest

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=10)


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    """Append the workers you start: they are gone at the end, whatever happens."""
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.kill()


@pytest.mark.parametrize("tasks", [1_000, pytest.param(TASKS, marks=pytest.mark.slow)])
@pytest.mark.timeout(max(300, TASKS // 100))
def test_each_task_is_handed_out_to_one_process_only(tmp_path: Path, workers: list[Worker], tasks: int) -> None:
    """Eight processes claim and complete as fast as they can, some locally, some with a lease: each task once."""
    queue = open_queue(Settings(root=tmp_path, durability="fast"))
    ids = [one.task_id for start in range(0, tasks, 500)
           for one in queue.enqueue_many([NewTask("ping", {})] * min(500, tasks - start))]
    workers += [Worker("claim_all", tmp_path, number, 0 if number % 2 else 60) for number in range(PROCESSES)]
    for worker in workers:
        assert worker.hear() == "ready"
    began = time.monotonic()
    for worker in workers:
        worker.say()
    handed = [task_id for worker in workers for task_id in worker.end().split()]
    took = time.monotonic() - began
    twice = [task_id for task_id, times in Counter(handed).items() if times > 1]
    print(f"claim race: {PROCESSES} processes, {tasks} tasks, {len(twice)} handed out twice, {tasks / took:.0f}/s")
    assert twice == []
    assert sorted(handed) == sorted(ids)
    queue.sweep()
    eventually(lambda: queue.counts().results == tasks, why="what others finished is read behind, in slices")
    assert list(queue.store.problems()) == []
    queue.close()


def test_a_zombie_is_fenced_off(tmp_path: Path, workers: list[Worker]) -> None:
    """Stopped past its lease and woken again, a worker is refused, and the one that has the task now is undisturbed."""
    clock = FakeClock()
    queue = queue_on(tmp_path, clock)
    queue.start()
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    zombie = Worker("claim_and_complete", tmp_path, 60)
    workers.append(zombie)
    assert zombie.hear() == task_id
    zombie.signal(signal.SIGSTOP)
    eventually(zombie.is_stopped)
    queue.sweep()
    clock.advance(60)
    assert queue.sweep().expired == 1
    held = queue.claim_one(task_id, "second").lease
    zombie.signal(signal.SIGCONT)
    zombie.say()
    assert zombie.end().split() == ["LeaseLost", "LeaseLost", "LeaseLost"]
    assert queue.lease_of(task_id) == held
    assert queue.complete(task_id, held.token, {}).worker == "second"
    queue.close()


def swept(tmp_path: Path) -> tuple[Queue, Sweeper]:
    queue = open_queue(Settings(root=tmp_path))
    sweeper = Sweeper(queue)
    sweeper.start()
    return queue, sweeper


def test_a_killed_holder_gives_its_task_back_within_two_seconds(tmp_path: Path, workers: list[Worker]) -> None:
    """kill -9 of a worker on this machine: the sweeper sees its free lock."""
    queue, sweeper = swept(tmp_path)
    try:
        task_id = queue.enqueue(NewTask("ping", {})).task_id
        holder = Worker("claim_and_complete", tmp_path, 0)
        workers.append(holder)
        assert holder.hear() == task_id
        assert queue.task(task_id).state is State.CLAIMED
        began = time.monotonic()
        holder.signal(signal.SIGKILL)
        eventually(lambda: queue.task(task_id).state is State.READY, seconds=2, why="the task must be given back")
        print(f"given back after {time.monotonic() - began:.2f} s")
        assert queue.task(task_id).task.crashes == 1
    finally:
        sweeper.stop()
        queue.close()


def test_a_stopped_holder_on_this_machine_keeps_its_task(tmp_path: Path, workers: list[Worker]) -> None:
    """A process that only sleeps (SIGSTOP, a suspended laptop) is alive: its claim of its own stays."""
    clock = FakeClock()
    queue = queue_on(tmp_path, clock)
    queue.start()
    task_id = queue.enqueue(NewTask("ping", {})).task_id
    holder = Worker("claim_and_complete", tmp_path, 0)
    workers.append(holder)
    assert holder.hear() == task_id
    holder.signal(signal.SIGSTOP)
    eventually(holder.is_stopped)
    for _ in range(3):
        clock.advance(86_400)
        assert queue.sweep().expired == 0
    holder.signal(signal.SIGCONT)
    holder.say()
    assert holder.end().split()[0] == "completed"
    assert queue.task(task_id).state is State.DONE
    queue.close()


def test_the_sweeper_goes_on_after_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep the disk refused is put off, and so is one that met a mistake of ours: neither is the last one."""
    queue = open_queue(Settings(root=tmp_path))
    real, refused = queue.sweep, []

    def sweep() -> object:
        if len(refused) < 3:
            refused.append(True)
            raise files.translate(OSError(5, "no"), "sweep") if len(refused) < 3 else LookupError("a mistake of ours")
        return real()

    monkeypatch.setattr(queue, "sweep", sweep)
    sweeper = Sweeper(queue, tick_seconds=0.01)
    sweeper.start()
    eventually(lambda: len(refused) == 3)
    (tmp_path / "task_queue" / "tasks" / "01936f5e-0000-4000-8000-000000000001.json").write_text('{"type": "ping"}')
    eventually(lambda: queue.claim("w"))
    sweeper.stop()
    queue.close()


def test_a_lookout_wakes_who_waits_for_another_processs_task(tmp_path: Path) -> None:
    """Without one sweep, and without any file event."""
    queue, other = open_queue(Settings(root=tmp_path)), open_queue(Settings(root=tmp_path))
    lookout = Lookout(queue)
    lookout.start()
    woken: list[bool] = []
    queue.bell.wait_for_task(lambda: woken.append(True))
    other.enqueue(NewTask("ping", {}))
    eventually(lambda: woken)
    lookout.stop()
    queue.close()
    other.close()


def test_a_hint_makes_the_sweeper_look_at_once(tmp_path: Path) -> None:
    """Without waiting for its tick of an hour."""
    queue = open_queue(Settings(root=tmp_path))
    sweeper = Sweeper(queue, tick_seconds=3600)
    sweeper.start()
    woken: list[bool] = []
    queue.bell.wait_for_task(lambda: woken.append(True))
    (tmp_path / "task_queue" / "tasks" / "01936f5e-0000-4000-8000-000000000001.json").write_text('{"type": "ping"}')
    sweeper.hint()
    eventually(lambda: woken)
    sweeper.stop()
    queue.close()
