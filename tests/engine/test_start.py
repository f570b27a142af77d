"""A start with many tasks waiting: the index fills the line, the folder corrects it, and no claim waits for either."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.foreign import drop, pop
from fake_clock import FakeClock
from taskspool.clock import SystemClock
from taskspool.engine import chores, files, intake, refill, tasks_look
from taskspool.engine.chores import Chores
from taskspool.engine.lifecycle import Queue, open_queue
from taskspool.engine.task import NewTask, Priority, State
from taskspool.errors import StoreUnavailable
from taskspool.settings import Settings
from waiting import eventually

Opener = Callable[..., Queue]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of all files that are read from now on."""
    paths: list[str] = []
    read = files.read

    def noted(path: str, *given: object, **named: object) -> object:
        paths.append(path)
        return read(path, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "read", noted)
    return paths


def fill(queue: Queue, count: int) -> list[str]:
    """Tasks of all priorities and two types; their ids in the order they are to be claimed."""
    made = []
    for number in range(count):
        new = NewTask("ab"[number % 2], {}, priority=list(Priority)[number * 3 % 4])
        made.append((-new.priority, number, queue.enqueue(new).task_id))
    return [task_id for *_, task_id in sorted(made)]


@pytest.mark.parametrize("slice_size", [1, 3, 1000])
def test_a_start_reads_only_what_is_claimed(opener: Opener, reads: list[str], clock: FakeClock, slice_size: int,
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    """With an index the line is filled without opening a task's file, in whatever slices, and in the right order."""
    monkeypatch.setattr(refill, "SLICE", slice_size)
    first = opener()
    ids = fill(first, 40)
    clock.advance(60.0)
    first.close()
    reads.clear()
    queue = opener()
    claims = queue.claim("w", max_tasks=7)
    assert [claim.task.id for claim in claims] == ids[:7]
    eventually(lambda: len(queue.store._line) == 33)
    opened = {path for path in reads if "/tasks/" in path}
    assert opened == {str(queue.store._place.task_path(State.READY, task_id)) for task_id in ids[:7]}


def test_what_changed_while_nobody_ran_is_seen(opener: Opener, folder: Path, clock: FakeClock,
                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two runs a task was dropped, one deleted, one popped in place, one moved: the first sweep knows."""
    monkeypatch.setattr(intake, "LOOKS_PER_SWEEP", 0)
    first = opener()
    ids = fill(first, 5)
    waiting = first.enqueue(NewTask("a", {}, delay_seconds=100.0)).task_id
    first.close()
    new = drop(folder, 1)
    (folder / "tasks" / f"{ids[0]}.json").unlink()
    pop(folder, ids[1])
    (folder / "tasks" / f"{ids[2]}.json").rename(folder / "scheduled" / f"{ids[2]}.json")
    (folder / "scheduled" / f"{waiting}.json").rename(folder / "tasks" / f"{waiting}.json")
    queue = opener()
    queue.sweep()
    assert queue.store._line.ids() == {new, waiting, ids[2], *ids[3:]}
    assert queue.task(ids[1]).state is State.CLAIMED
    assert {claim.task.id for claim in queue.claim("w", max_tasks=9)} == {new, waiting, ids[2], *ids[3:]}


def test_what_waits_for_its_time_is_known_from_the_index(opener: Opener, reads: list[str], clock: FakeClock) -> None:
    """Scheduled tasks and results are not read at start either; they come when their time has come."""
    first = opener()
    late = [first.enqueue(NewTask("a", {}, delay_seconds=100.0 + number)).task_id for number in range(5)]
    done = [first.enqueue(NewTask("b", {})).task_id for _ in range(4)]
    for task_id in done:
        first.complete(task_id, first.claim_one(task_id, "w").lease.token, {})
    first.store._recorder.flush()
    first.sweep()
    first.close()
    reads.clear()
    queue = opener()
    queue.sweep()
    assert [path for path in reads if "/scheduled/" in path or "/results/" in path] == []
    assert (queue.counts().done, queue.counts().results) == (4, 4)
    clock.advance(101.5)
    assert queue.sweep().promoted == 2
    assert [claim.task.id for claim in queue.claim("w", max_tasks=9)] == late[:2]


def test_a_start_without_an_index_does_not_wait_for_the_whole_folder(
        tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first claim is answered from the first slice; a thread reads the rest, and the index is filled."""
    settings = Settings(root=tmp_path, durability="fast")
    first = open_queue(settings)
    fill(first, 60)
    first.close()
    for path in folder.glob("index.sqlite*"):
        path.unlink()
    monkeypatch.setattr(tasks_look, "READ_SLICE", 5)
    monkeypatch.setattr(intake, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(chores, "PAUSE_SECONDS", 0.02)
    queue = open_queue(settings, clock=SystemClock())
    try:
        while not queue.claim("w"):
            pass
        assert len(queue.store._line) < 59
        eventually(lambda: len(queue.store._line) == 59)
        queue.sweep()
        eventually(lambda: queue.store.index.statistics().is_complete)
        assert queue.store.index.statistics().by_state[State.READY] == 59
    finally:
        queue.close()


def test_with_ageing_a_start_fills_the_same_line(opener: Opener, clock: FakeClock) -> None:
    """The order of the line does not depend on whether it was filled from the index or by the verbs."""
    first = opener(aging_seconds=10)
    for number in range(12):
        first.enqueue(NewTask("a", {}, priority=list(Priority)[number % 4]))
        clock.advance(7.0)
    wanted = [entry.task_id for entry in first.store._line.first(None, 99)]
    first.close()
    queue = opener(aging_seconds=10)
    assert [claim.task.id for claim in queue.claim("w", max_tasks=12)] == wanted


# -- work in slices ------------------------------------------------------------------------------------------------

def counting(told: list[str], name: str, count: int) -> Callable[[], Iterator[None]]:
    def slices() -> Iterator[None]:
        for number in range(count):
            told.append(f"{name}{number}")
            yield

    return slices


def test_chores_of_one_rank_take_turns() -> None:
    """A folder with a million names does not keep a small one waiting."""
    told: list[str] = []
    work = Chores(FakeClock())
    work.begin("tasks", counting(told, "t", 4))
    work.begin("scheduled", counting(told, "s", 2))
    work.work(1.0)
    assert told == ["t0", "s0", "t1", "s1", "t2", "t3"]


def test_chores_go_on_where_they_stopped_the_urgent_first() -> None:
    """Until the condition holds, or all is done; a chore that is under way is not begun twice."""
    told: list[str] = []
    work = Chores(FakeClock())
    work.begin("index", counting(told, "i", 2))
    work.begin("tasks", counting(told, "t", 3))
    work.begin("tasks", counting(told, "x", 3))
    work._start_thread = lambda: None  # type: ignore[method-assign]
    work.work(1.0, until=lambda: len(told) == 2)
    assert told == ["t0", "t1"]
    assert work.is_under_way("tasks")
    work.work(1.0)
    assert told == ["t0", "t1", "t2", "i0", "i1"]
    assert not work.is_under_way("index")


def test_a_chore_that_fails_is_begun_anew_by_the_next_look() -> None:
    """Its error goes to who did the slice; the others are not hindered."""
    told: list[str] = []

    def failing() -> Iterator[None]:
        yield
        raise StoreUnavailable("the disk")

    work = Chores(FakeClock())
    work.begin("tasks", failing)
    work.begin("index", counting(told, "i", 1))
    with pytest.raises(StoreUnavailable):
        work.work(1.0)
    assert not work.is_under_way("tasks")
    work.work(1.0)
    assert told == ["i0"]


def test_what_a_moment_does_not_suffice_for_a_thread_does() -> None:
    """With no budget at all everything is done, soon."""
    told: list[str] = []
    work = Chores(SystemClock())
    work.begin("tasks", counting(told, "t", 50))
    work.work(-1.0)
    try:
        eventually(lambda: len(told) == 50)
    finally:
        work.close()
