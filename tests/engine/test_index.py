"""The index is disposable: missing, damaged, foreign or late, it costs a moment and loses nothing."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.foreign import drop, pop, reply
from fake_clock import FakeClock
from taskspool.clock import IdMaker, SystemClock
from taskspool.engine import index_file, recorder
from taskspool.engine.events import Change
from taskspool.engine.index import Page
from taskspool.engine.index_query import Filter
from taskspool.engine.index_rows import write_rows
from taskspool.engine.lifecycle import Failure, Queue
from taskspool.engine.task import NewTask, Priority, State, Task
from taskspool.errors import StoreUnavailable

Opener = Callable[..., Queue]


def life(queue: Queue, count: int = 3) -> None:
    """Some tasks in every state."""
    for number in range(count):
        for fate in ("wait", "claim", "complete", "bury", "cancel", "later"):
            new = NewTask(f"kind{number}", {}, priority=list(Priority)[number % 4])
            task_id = queue.enqueue(replace(new, delay_seconds=3600.0) if fate == "later" else new).task_id
            if fate == "cancel":
                queue.cancel(task_id)
            if fate in ("wait", "cancel", "later"):
                continue
            lease = queue.claim_one(task_id, "w").lease
            if fate == "complete":
                queue.complete(task_id, lease.token, {})
            elif fate == "bury":
                queue.fail(task_id, lease.token, Failure("no", retryable=False))


def told(queue: Queue) -> tuple[Page, Counter[State]]:
    """All that the index lists, and how many it counts in each state."""
    page = queue.store.index.listing(sort="type", limit=1000)
    by_state = queue.store.index.statistics().by_state
    assert sum(by_state.values()) == page.total == len(page.items)
    return replace(page, items=tuple(sorted(page.items, key=lambda one: one.task.id))), Counter(by_state)


def spoiled_by(path: Path, how: str) -> None:
    for end in ("-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
    if how == "deleted":
        path.unlink()
    elif how == "emptied":
        path.write_bytes(b"")
    elif how == "rubbish":
        path.write_bytes(b"not a database at all" * 500)
    elif how == "cut short":
        path.write_bytes(path.read_bytes()[:4096 * 3 + 100])
    elif how == "overwritten":
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    else:
        path.unlink()
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE tasks (somebody TEXT)")
            other.execute(f"PRAGMA user_version = {0 if how == 'foreign' else 1}")
        other.close()


SPOILED = ("deleted", "emptied", "rubbish", "cut short", "overwritten", "foreign", "older")


@pytest.mark.parametrize("how", SPOILED)
@pytest.mark.parametrize("is_open", [True, False])
def test_whatever_happens_to_the_file_nothing_is_lost(opener: Opener, folder: Path, how: str, is_open: bool) -> None:
    """While the queue runs, or between two runs: verbs go on, and after a sweep it tells what it told before."""
    queue = opener()
    life(queue)
    before = told(queue)
    if not is_open:
        queue.close()
    spoiled_by(folder / "index.sqlite", how)
    queue = queue if is_open else opener()
    task_id = queue.enqueue(NewTask("kind9", {})).task_id
    queue.complete(task_id, queue.claim_one(task_id, "w").lease.token, {})
    for _ in range(3):
        queue.sweep()
        queue.store._recorder.flush()
    page, counts = told(queue)
    assert [one for one in page.items if one.task.id != task_id] == list(before[0].items)
    assert counts == before[1] + Counter({State.DONE: 1})
    assert queue.store.index.statistics().is_complete


def test_deleting_it_after_every_verb_changes_nothing(opener: Opener, folder: Path, clock: FakeClock) -> None:
    """A queue whose index is removed again and again ends as one whose index stays."""
    queue = opener()
    ids = [queue.enqueue(NewTask("ping", {}, max_retries=1)).task_id for _ in range(4)]
    (folder / "index.sqlite").unlink(missing_ok=True)
    for number, task_id in enumerate(ids):
        lease = queue.claim_one(task_id, "w").lease
        told(queue)
        (folder / "index.sqlite").unlink()
        if number % 2:
            queue.complete(task_id, lease.token, {})
        else:
            queue.fail(task_id, lease.token, Failure("no"))
        told(queue)
        (folder / "index.sqlite").unlink()
    clock.advance(31.0)
    queue.sweep()
    assert +told(queue)[1] == Counter({State.DONE: 2, State.READY: 2})


@pytest.mark.parametrize("obstacle", ["folder", "locked"])
def test_a_queue_works_without_its_index(opener: Opener, folder: Path, monkeypatch: pytest.MonkeyPatch,
                                         obstacle: str) -> None:
    """Something stands in its place, or somebody holds it: every verb works, lists say so, and later all is told."""
    monkeypatch.setattr(index_file, "BUSY_SECONDS", 0.05)
    path = folder / "index.sqlite"
    queue = opener()
    if obstacle == "folder":
        (path / "x").mkdir(parents=True)
    else:
        life(queue)
        queue.store._recorder.flush()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
    life(queue)
    assert not queue.store._recorder.flush()
    queue.sweep()
    if obstacle == "folder":
        with pytest.raises(StoreUnavailable):
            queue.store.index.listing()
        shutil.rmtree(path)
    else:
        other.execute("ROLLBACK")
        other.close()
    life(queue)
    queue.store._recorder.flush()
    queue.sweep()
    assert told(queue)[1].total() == 18 * (2 if obstacle == "folder" else 3)


def test_what_is_too_much_to_remember_is_looked_up(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes beyond the limit are dropped, not the tasks: the next sweep compares."""
    queue.store.index.listing()
    monkeypatch.setattr(recorder, "MAX_NOTES", 5)
    monkeypatch.setattr(recorder, "RHYTHM_SECONDS", 3600.0)
    life(queue)
    queue.sweep()
    assert told(queue)[1].total() == 18


ORPHAN = """
import os, signal, sys
from pathlib import Path
from taskspool.engine import recorder
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import NewTask
from taskspool.settings import Settings
recorder.RHYTHM_SECONDS = float(sys.argv[2])
queue = open_queue(Settings(root=Path(sys.argv[1]), durability="fast"))
ids = [queue.enqueue(NewTask("ping", {})).task_id for _ in range(20)]
queue.claim_one(ids[0], "w", lease_seconds=3600)
queue.complete(ids[1], queue.claim_one(ids[1], "w").lease.token, {})
if not float(sys.argv[2]):
    queue.store._recorder.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 of POSIX")
@pytest.mark.parametrize("rhythm", ["3600", "0"])
def test_what_a_killed_process_did_not_write_is_found(opener: Opener, tmp_path: Path, rhythm: str) -> None:
    """Its notes died with it; who comes next sees its mark, and looks at the files."""
    first = opener()
    life(first)
    first.store._recorder.flush()
    first.sweep()
    first.close()
    died = subprocess.run([sys.executable, "-c", ORPHAN, str(tmp_path), rhythm], check=False, capture_output=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    queue = opener()
    queue.sweep()
    counts = told(queue)[1]
    assert (counts[State.READY], counts[State.CLAIMED], counts[State.DONE]) == (3 + 18, 3 + 1, 3 + 1)
    assert sum(queue.store.index.statistics().by_state.values()) == 18 + 20


# -- several processes ---------------------------------------------------------------------------------------------

def test_changes_may_be_written_in_any_order(queue: Queue, clock: FakeClock) -> None:
    """The later one wins by its own time, and what an earlier one alone knows is kept."""
    task = Task(IdMaker()(), "mail", {}, "ann", clock.now(), Priority.HIGH)
    claimed = Change("claim", task.id, State.CLAIMED, clock.now() + timedelta(seconds=2), None, None, "w", 1)
    index = queue.store._recorder.index
    with index.writing() as connection:
        write_rows(connection, [claimed])
        write_rows(connection, [Change("enqueue", task.id, State.READY, clock.now(), task)])
        row = connection.execute("SELECT state, worker, type, priority, requester FROM tasks").fetchone()
        assert row == ("claimed", "w", "mail", Priority.HIGH, "ann")
        assert connection.execute("SELECT state, type, count FROM tally WHERE count > 0").fetchall() == [
            ("claimed", "mail", 1)]
        back = Change("release", task.id, State.READY, clock.now() - timedelta(hours=1), task)
        write_rows(connection, [back])  # a clock was set back: an hour late is not late
        assert connection.execute("SELECT state, worker FROM tasks").fetchone() == ("ready", None)


def test_the_events_of_two_processes_are_told_once_and_in_one_order(opener: Opener, clock: FakeClock) -> None:
    """Each sees the other's tasks and results in the folder; only who did it tells."""
    one, other = opener(), opener()
    one.store.index.listing()
    for number in range(6):
        clock.advance(1.0)
        task_id = (one, other)[number % 2].enqueue(NewTask("ping", {})).task_id
        lease = (other, one)[number % 2].claim_one(task_id, "w").lease
        (other, one)[number % 2].complete(task_id, lease.token, {})
        for queue in (one, other):
            queue.sweep()
            queue.store._recorder.flush()
    assert Counter(event.verb for event in one.store.index.events()) == {"enqueue": 6, "claim": 6, "complete": 6}
    assert one.store.index.events() == other.store.index.events()


def test_who_sees_a_task_first_does_not_tell_before_who_put_it(opener: Opener, clock: FakeClock,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found waits a moment for the word of the process that did it; nobody's word comes: then it is told."""
    monkeypatch.setattr(recorder, "RHYTHM_SECONDS", 3600.0)
    one, other = opener(), opener()
    one.store.index.listing()
    task_id = one.enqueue(NewTask("ping", {})).task_id
    other.sweep()
    hold = recorder.HOLD_SECONDS
    assert other.store._recorder._write_all(hold_seconds=hold)
    assert one.store._recorder.flush()
    dropped = drop(Path(one.store._place.folder), 7)
    clock.advance(hold / 2)
    other.sweep()
    clock.advance(hold / 2)
    assert other.store._recorder._write_all(hold_seconds=hold)
    assert [(event.verb, event.task_id) for event in one.store.index.events()] == [("enqueue", task_id)]
    clock.advance(hold)
    assert other.store._recorder._write_all(hold_seconds=hold)
    assert [event.verb for event in one.store.index.events(task_id=dropped)] == ["adopt"]


def test_what_another_process_added_is_heard_without_a_look_at_the_folder(
        opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a million names a look is rare; the index tells of what came, and of what was taken."""
    one, other = opener(), opener()
    one.store.index.listing()
    other.sweep()
    monkeypatch.setattr(other.store._intake._tasks_look, "is_due", lambda: False)
    ids = [one.enqueue(NewTask("ping", {})).task_id for _ in range(3)]
    one.store._recorder.flush()
    other.sweep()
    assert other.store._line.ids() == set(ids)
    one.claim_one(ids[1], "w")
    one.store._recorder.flush()
    other.sweep()
    assert other.store._line.ids() == {ids[0], ids[2]}
    assert [claim.task.id for claim in other.claim("w", max_tasks=3)] == [ids[0], ids[2]]


# -- what others do in the folder ----------------------------------------------------------------------------------

def test_what_foreign_programs_do_is_listed_and_told_once(opener: Opener, folder: Path) -> None:
    """A dropped task is adopted, a popped one claimed, a reply an end: each an event, however many processes see it."""
    queues = [opener(), opener()]
    for queue in queues:
        queue.sweep()
    queues[0].store.index.listing()
    first, second, third = (drop(folder, n) for n in range(3))
    for _ in range(2):
        for queue in queues:
            queue.sweep()
            queue.store._recorder.flush()
    pop(folder, second)
    reply(folder, third)
    for _ in range(2):
        for queue in queues:
            queue.sweep()
            queue.store._recorder.flush()
    index = queues[1].store.index
    assert {one.task.id: (one.state, one.worker) for one in index.listing().items} == {
        first: (State.READY, None), second: (State.CLAIMED, "comet"), third: (State.DONE, "old")}
    assert +told(queues[1])[1] == Counter({State.READY: 1, State.CLAIMED: 1, State.DONE: 1})
    assert sorted(event.verb for event in index.events()) == ["adopt"] * 3 + ["claim", "complete"]


def test_a_row_that_is_wrong_is_corrected_by_reading(queue: Queue, folder: Path) -> None:
    """A person moved files by hand: the page says what the files say, and from then on the totals too."""
    life(queue, 1)
    index = queue.store.index
    done = index.listing(Filter(states=frozenset({State.DONE}))).items[0].task.id
    ready = index.listing(Filter(states=frozenset({State.READY}))).items[0].task.id
    (folder / "results" / f"{done}.json").unlink()
    (folder / "done" / f"{done}.json").rename(folder / "tasks" / f"{done}.json")
    (folder / "tasks" / f"{ready}.json").unlink()
    assert index.listing(Filter(states=frozenset({State.DONE}))) == Page((), 0)
    page = index.listing(Filter(states=frozenset({State.READY})))
    assert ([one.task.id for one in page.items], page.total) == ([done], 1)


# -- the stream ----------------------------------------------------------------------------------------------------

def test_a_reader_of_another_index_is_told_to_look_anew(queue: Queue, folder: Path) -> None:
    """Events are counted in each file; a place in a file that is gone, or was never told, leads to a reset."""
    life(queue, 1)
    index = queue.store.index
    old = index.last_event_id()
    (folder / "index.sqlite").unlink()
    queue.enqueue(NewTask("ping", {}))
    for place in (old, "", "x", f"{index.last_event_id()}0", index.last_event_id().replace("-", "--")):
        assert [event.verb for event in index.events(place)] == ["reset"], place
    reset = index.events(old)[0]
    queue.enqueue(NewTask("pong", {}))
    assert [(event.verb, event.type) for event in index.events(reset.id)] == [("enqueue", "pong")]


def test_the_record_of_events_has_an_end(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten; who comes back too late is told so."""
    monkeypatch.setattr("taskspool.engine.index_rows.KEPT_EVENTS", 10)
    index = queue.store.index
    queue.enqueue(NewTask("first", {}))
    place = index.last_event_id()
    for _ in range(30):
        queue.enqueue(NewTask("ping", {}))
    events = index.events()
    assert len(events) == 10
    assert index.events(events[4].id) == events[5:]
    assert [event.verb for event in index.events(place)] == ["reset"]


def test_notes_are_written_soon_without_anybody_asking(opener: Opener, folder: Path) -> None:
    """One thread writes behind; closing writes the rest."""
    queue = opener()
    queue.enqueue(NewTask("ping", {}))
    queue.close()
    with sqlite3.connect(folder / "index.sqlite") as connection:
        assert connection.execute("SELECT count(*) FROM tasks").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM about WHERE name GLOB 'open-*'").fetchone() == (0,)
    connection.close()


def test_the_clock_of_the_machine_serves_too(tmp_path: Path) -> None:
    """A queue on the system's clock lists what it was given."""
    from taskspool.engine.lifecycle import open_queue
    from taskspool.settings import Settings

    queue = open_queue(Settings(root=tmp_path, durability="fast"), clock=SystemClock())
    try:
        life(queue)
        assert told(queue)[1].total() == 18
    finally:
        queue.close()
