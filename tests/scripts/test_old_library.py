"""`shared_task_queue`: the old library's calls, on a folder that new programs use at the same time."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from service import PROJECT, environment
from taskspool.engine.lifecycle import open_queue
from taskspool.engine.task import State
from taskspool.errors import LeaseLost, TaskNotFound
from taskspool.settings import Settings

SCRIPTS = PROJECT / "scripts"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module as an old program imports it, with a root of its own."""
    monkeypatch.setenv("TASKSPOOL_ROOT", str(tmp_path))
    monkeypatch.setenv("TASKSPOOL_DURABILITY", "fast")
    monkeypatch.syspath_prepend(str(SCRIPTS))
    spec = importlib.util.spec_from_file_location("shared_task_queue", SCRIPTS / "shared_task_queue.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "shared_task_queue", module)
    spec.loader.exec_module(module)
    yield module
    for queue in list(module._OPEN.values()):
        queue.close()
    module._OPEN.clear()


def in_another_process(library: ModuleType, code: str) -> str:
    """What ``code`` prints, in a process that ends afterwards; ``q`` is its TaskQueue."""
    start = "import sys; sys.path.insert(0, sys.argv[1]); from shared_task_queue import *; q = TaskQueue()\n"
    done = subprocess.run([sys.executable, "-c", start + code, str(SCRIPTS)], capture_output=True, text=True,
                          timeout=30, env=environment(TASKSPOOL_ROOT=str(library.ROOT), TASKSPOOL_DURABILITY="fast"))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_pushed_task_is_a_file_when_push_returns(library) -> None:
    """`tasks/<id>.json` exists with the keys of the contract right after `push_task`."""
    task_id = library.TaskQueue().push_task("ping", {"n": 1}, requester="me")
    document = json.loads((library.TASKS_DIR / f"{task_id}.json").read_text(encoding="utf-8"))
    expected = {"id": task_id, "type": "ping", "requester": "me", "data": {"n": 1}, "status": "pending"}
    assert {name: document[name] for name in expected} == expected
    assert {"created_at", "assigned_to", "updated_at"} <= set(document)


def test_a_task_goes_through(library) -> None:
    """push, pop, push_result, get_result: values with attributes; every object shares the folder."""
    task_id = library.TaskQueue().push_task("calculation", {"numbers": [1]})
    task = library.TaskQueue().pop_task("w", "calculation")
    assert (task.id, task.type, task.data, task.requester) == (task_id, "calculation", {"numbers": [1]}, "copilot")
    assert (task.status, task.assigned_to) == ("in_progress", "w")
    library.TaskQueue().push_result(task_id, {"result": 1}, worker="w")
    result = library.TaskQueue().get_result(task_id, timeout=0)
    assert (result.task_id, result.worker, result.status, result.data, result.error_message) == (
        task_id, "w", "success", {"result": 1}, None)
    assert json.loads((library.RESULTS_DIR / f"{task_id}.json").read_text(encoding="utf-8"))["data"] == {"result": 1}
    assert dataclasses.asdict(task)["id"] == task_id


def test_pop_takes_the_type_it_is_asked_for(library) -> None:
    """`task_type` chooses; None takes the oldest; an empty queue gives None."""
    queue = library.TaskQueue()
    first, second = queue.push_task("a", {}), queue.push_task("b", {})
    assert queue.pop_task(task_type="b").id == second
    assert queue.pop_task(task_type="b") is None
    assert queue.pop_task().id == first
    assert queue.pop_task() is None


@pytest.mark.slow
def test_a_script_may_pop_and_another_finish(library) -> None:
    """What a process popped stays its when it ends: the result may come from another one, with or without a name."""
    queue = library.TaskQueue()
    for worker in ("", ", worker='comet-browser'"):
        task_id = queue.push_task("ping", {})
        assert in_another_process(library, "print(q.pop_task().id)") == task_id
        assert queue.pop_task() is None
        in_another_process(library, f"q.push_result({task_id!r}, {{'message': 'pong'}}{worker})")
        assert queue.get_result(task_id, 0).worker == "comet-browser"


def test_a_popped_task_comes_back_when_its_time_is_over(library, monkeypatch) -> None:
    """A claim by `pop_task` is a lease: without a result it runs out, and the task is given to another."""
    monkeypatch.setattr(library, "CLAIM_SECONDS", 1)
    queue = library.TaskQueue()
    task_id = queue.push_task("ping", {})
    assert queue.pop_task("first").id == task_id
    begin, pause, second = time.monotonic(), threading.Event(), None
    while second is None and time.monotonic() - begin < 10:
        pause.wait(0.05)
        second = queue.pop_task("second")
    assert second.id == task_id
    assert time.monotonic() - begin >= 0.9
    with pytest.raises(LeaseLost):
        queue.push_result(task_id, {}, worker="first")


def test_a_failure_is_a_result_too(library) -> None:
    """`error=` or another status than success: the result says error and the reason; the task is dead."""
    queue = library.TaskQueue()
    for more, message in (({"error": "no disk"}, "no disk"), ({"status": "error"}, "error")):
        task_id = queue.push_task("x", {})
        queue.pop_task("w")
        queue.push_result(task_id, None, worker="w", **more)
        result = queue.get_result(task_id, 0)
        assert (result.status, result.error_message) == ("error", message)


def test_a_result_nobody_waits_for_is_refused(library) -> None:
    """A result for a task that never was: TaskNotFound, and no file appears."""
    with pytest.raises(TaskNotFound):
        library.TaskQueue().push_result("00000000-0000-7000-8000-000000000000", {})
    assert list(library.RESULTS_DIR.iterdir()) == []


def test_get_result_waits_and_gives_up(library) -> None:
    """It returns as soon as the result is there, whoever wrote it, and None when the time is over."""
    queue = library.TaskQueue()
    task_id = queue.push_task("x", {})
    assert queue.get_result(task_id, timeout=0.05) is None
    document = {"task_id": task_id, "worker": "foreign", "status": "success", "data": {}, "error_message": None,
                "completed_at": "2026-01-01T00:00:00Z"}
    writer = threading.Timer(0.1, lambda: (library.RESULTS_DIR / f"{task_id}.json").write_text(json.dumps(document)))
    writer.start()
    begin = time.monotonic()
    assert queue.get_result(task_id, timeout=30).worker == "foreign"
    assert time.monotonic() - begin < 10
    writer.join(5)


def test_pending_tasks_are_listed(library) -> None:
    """What waits, oldest first, also files that somebody else dropped; not what is held."""
    queue = library.TaskQueue()
    held, waiting = queue.push_task("a", {}), queue.push_task("a", {})
    assert queue.pop_task().id == held
    dropped = "0fffffff-0000-7000-8000-000000000001"
    (library.TASKS_DIR / f"{dropped}.json").write_text(json.dumps({"type": "b", "data": {}}))
    listed = wait_for(queue.list_pending_tasks, lambda tasks: len(tasks) == 2)
    assert {task.id for task in listed} == {waiting, dropped}
    assert [task.id for task in queue.list_pending_tasks("b")] == [dropped]
    assert [task.id for task in queue.held_tasks()] == [held]


def wait_for(look: Callable[[], list], is_right: Callable[[list], bool]) -> list:
    from waiting import eventually

    return eventually(lambda: found if is_right(found := look()) else None, 10)


def test_cleaning_up_spares_what_is_not_finished(library) -> None:
    """`cleanup_old_tasks` removes what was finished long enough ago, and nothing else."""
    queue = library.TaskQueue()
    done, waiting = queue.push_task("x", {}), queue.push_task("x", {})
    queue.pop_task()
    queue.push_result(done, {})
    assert queue.cleanup_old_tasks(max_age_hours=1) == 0
    assert queue.cleanup_old_tasks(max_age_hours=0) == 1
    assert queue.get_result(done, 0) is None
    assert [task.id for task in queue.list_pending_tasks()] == [waiting]


def test_old_and_new_programs_share_the_folder(library) -> None:
    """What the old library pushes a new worker does, and the other way round."""
    new = open_queue(Settings(root=library.ROOT, durability="fast"))
    try:
        task_id = library.TaskQueue().push_task("x", {})
        [claim] = wait_for(lambda: new.claim("new", types=["x"]), bool)
        new.complete(claim.task.id, claim.lease.token, {"by": "new"})
        assert library.TaskQueue().get_result(task_id, 5).data == {"by": "new"}
        from taskspool.engine.task import NewTask

        other = new.enqueue(NewTask("y", {})).task_id
        assert wait_for(lambda: [library.TaskQueue().pop_task("old", "y")], lambda found: found[0])[0].id == other
        library.TaskQueue().push_result(other, {"by": "old"})
        assert new.result(other).data == {"by": "old"}
        assert new.task(other).state is State.DONE
    finally:
        new.close()


def test_many_queues_are_one_opening(library) -> None:
    """Old programs make a TaskQueue wherever they need one: the folder is opened once in a process."""
    for _ in range(50):
        library.TaskQueue().push_task("x", {})
    assert len(library._OPEN) == 1
