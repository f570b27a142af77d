"""Workers of every kind, and everything that can become of a task: each ends as documented, and nothing is left."""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acceptance.fate_workers import KILLABLE, KINDS, NO_TYPESCRIPT, SETTINGS, Fleet, fleet
from service import Service, services
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.options import Backoff, Options
from taskspool.engine.sweep import Sweeper
from taskspool.engine.task import NewTask, State
from taskspool.settings import Settings
from waiting import eventually

pytestmark = [
    pytest.mark.slow, pytest.mark.timeout(300),
    pytest.mark.skipif(sys.platform != "linux", reason="whether a process lives is looked up in /proc"),
]
HERE = [kind for kind in KINDS if kind != "typescript" or not NO_TYPESCRIPT]
EVERY_KIND = [pytest.param(kind, marks=pytest.mark.skipif(kind not in HERE, reason=NO_TYPESCRIPT)) for kind in KINDS]
OUTAGE_SECONDS = 30.0
TASKS = {"ok": 13, "error": 6, "retry": 6, "give_up": 5, "hang": 3, "die": 3, "ignore": 4}
"""How many of each fate a kind of worker meets: 40, and 200 for all five."""
ENDS = {
    "ok": (State.DONE, None), "retry": (State.DONE, None), "die": (State.DONE, None), "error": (State.DEAD, "it broke"),
    "give_up": (State.DEAD, "hopeless"), "hang": (State.DEAD, "1 s"), "ignore": (State.CANCELLED, None),
}
"""fate -> where the task ends, and what its error says. What hangs where it can be killed has other attempts, and one
of them succeeds."""
RETRIES = {"error": 1, "retry": 1, "give_up": 3, "die": 1}


@dataclass(frozen=True)
class Stage:
    queue: Queue
    root: Path
    port: int
    bridge: Service

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def put(self, kind: str, fate: str, **wishes: Any) -> str:
        can_be_killed = kind in KILLABLE
        retries, timeout = RETRIES.get(fate, 0), None
        if fate == "hang":  # the attempts that do not hang need time too, to start a program on a busy machine
            retries, timeout = (10, 3.0) if can_be_killed else (0, 1.0)
        options = Options(backoff=Backoff("constant", 0.0, 0.0, 0.0), timeout_seconds=timeout, **wishes)
        data = {"fate": fate, "can_be_killed": can_be_killed}
        return self.queue.enqueue(NewTask(kind, data, max_retries=retries, options=options)).task_id

    def is_final(self, task_id: str) -> bool:
        return self.queue.task(task_id).state.is_final

    def error(self, task_id: str) -> str:
        return self.queue.result(task_id).error_message or ""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A queue that this process sweeps, and a bridge on it; a remote worker may be silent for 4 s."""
    root = tmp_path / "outputs"
    queue = open_queue(Settings(root=root, durability="fast", max_crashes=100, cancel_grace_seconds=600,
                                lease_seconds=4))
    sweeper = Sweeper(queue)
    sweeper.start()
    with services(tmp_path) as made:
        bridge = opened(made, root, 0)
        yield Stage(queue, root, bridge.port(), bridge)
    sweeper.stop()
    queue.close()


def opened(made: Any, root: Path, port: int) -> Service:
    """A bridge on ``port``, listening."""
    bridge: Service = made.start("-m", "taskspool", "serve", "bridge", "--port", str(port), "--root", root,
                                 **SETTINGS, TASKSPOOL_LEASE_SECONDS="4")
    eventually(lambda: "listens on" in bridge.said(), 60, "the bridge listens")
    return bridge


def beside_another(stamps: list[list[str]]) -> list[str]:
    """The tasks that began while an earlier attempt of theirs had not ended and its process lived."""
    return [task_id for task_id, what, _, word in stamps if what == "begin" and word == "beside"]


def test_two_hundred_tasks_end_as_documented(stage: Stage, tmp_path: Path) -> None:
    """Every fate over every kind of worker at once: the end is the one of the table, none is lost, none runs beside
    another attempt of itself, and no process is left behind."""
    with fleet(HERE, stage.root, stage.url, tmp_path / "jobs") as workers:
        asked = {stage.put(kind, fate): (kind, fate) for number in range(max(TASKS.values()))
                 for fate, count in TASKS.items() if number < count for kind in HERE}
        to_cancel = {task_id for task_id, (_, fate) in asked.items() if fate == "ignore"}

        def all_are_final() -> bool:
            for task_id in to_cancel & workers.begun():
                stage.queue.cancel(task_id, by="tester")
                to_cancel.discard(task_id)
            return all(map(stage.is_final, asked))

        try:
            eventually(all_are_final, 200)
        except AssertionError:
            open_ones = {task_id: asked[task_id] for task_id in asked if not stage.is_final(task_id)}
            raise AssertionError(f"not final: {open_ones}\n{workers.logs()}") from None
        stamps = workers.stamps()
    assert len(asked) == 40 * len(HERE)
    assert wrong_ends(stage, asked) == []
    assert [asked[task_id] for task_id in beside_another(stamps)] == []
    begins = Counter(task_id for task_id, what, *_ in stamps if what == "begin")
    never = {fate for task_id, (_, fate) in asked.items() if not begins[task_id]}
    assert never <= {"hang"}  # whose time may be over before a busy machine has begun
    assert all(begins[task_id] >= 2 for task_id, (_, fate) in asked.items() if fate in ("error", "retry", "die"))
    print(f"{len(asked)} tasks, {sum(begins.values())} attempts, {workers.deaths} workers died")


def wrong_ends(stage: Stage, asked: dict[str, tuple[str, str]]) -> list[str]:
    wrong = []
    for task_id, (kind, fate) in asked.items():
        state, words = ENDS[fate]
        if fate == "hang" and kind in KILLABLE:
            state, words = State.DONE, None
        found = stage.queue.task(task_id).state
        if found is not state or (words is not None and words not in stage.error(task_id)):
            wrong.append(f"{kind} {fate}: {found}, {stage.error(task_id)}")
    return wrong


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_cancel_reaches_what_runs(kind: str, stage: Stage, tmp_path: Path) -> None:
    """Within one heartbeat: nobody but the worker could end it for ten minutes, and its history says that the worker
    did, in the attempt that ran."""
    with fleet([kind], stage.root, stage.url, tmp_path / "jobs") as workers:
        task_id = stage.put(kind, "obey")
        eventually(lambda: task_id in workers.begun(), 60, "it runs")
        stage.queue.cancel(task_id, by="tester", reason="enough")
        eventually(lambda: stage.is_final(task_id), 60, "it has ended")
        told = [word for who, what, _, word in workers.stamps() if (who, what) == (task_id, "told")]
    claim, end = stage.queue.story(task_id)[-2:]
    assert told == ["True"]
    assert [(step.verb, step.state, step.worker, step.attempt) for step in (claim, end)] == [
        ("claim", State.CLAIMED, kind, 1), ("cancel", State.CANCELLED, kind, 1)]


@pytest.mark.parametrize("outage", ["stopped", "restarted"])
def test_work_goes_on_over_an_outage_of_the_bridge(outage: str, stage: Stage, tmp_path: Path) -> None:
    """The bridge stands still for 30 s, or is killed and started anew: what was running is delivered once, and new
    tasks are done."""
    with fleet(HERE, stage.root, stage.url, tmp_path / "jobs") as workers, services(tmp_path / "jobs") as again:
        before = [stage.put(kind, "span", lease_seconds=120) for kind in HERE for _ in range(3)]
        eventually(lambda: set(before) <= workers.begun(), 60, "all of them run")
        if outage == "stopped":
            stage.bridge.process.send_signal(signal.SIGSTOP)
        else:
            stage.bridge.process.kill()
            stage.bridge.process.wait(10)
        (tmp_path / "jobs" / "go").touch()
        during = [stage.put(kind, "ok") for kind in HERE]
        threading.Event().wait(OUTAGE_SECONDS if outage == "stopped" else 2.0)  # the outage is what is tested
        if outage == "stopped":
            stage.bridge.process.send_signal(signal.SIGCONT)
        else:
            opened(again, stage.root, stage.port)
        after = [stage.put(kind, "ok") for kind in HERE]
        eventually(lambda: all(map(stage.is_final, before + during + after)), 90, "all of them are done")
        begins = Counter(task_id for task_id, what, *_ in workers.stamps() if what == "begin")
    assert {stage.queue.task(task_id).state for task_id in before + during + after} == {State.DONE}
    assert {task_id: count for task_id, count in begins.items() if count != 1} == {}
    assert {stage.queue.result(task_id).attempt for task_id in before} == {1}


def test_a_second_attempt_beside_the_first_would_be_seen(tmp_path: Path) -> None:
    """The jobs look: of an earlier attempt whose process lives and that did not end they say so."""
    workers = Fleet([], tmp_path, "", tmp_path / "jobs")
    (tmp_path / "jobs" / "stamps").write_text("a begin 1 alone\na begin 7 beside\nb begin 8 alone\nb end 8 -\n")
    assert beside_another(workers.stamps()) == ["a"]
